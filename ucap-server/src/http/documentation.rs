//! `/docs`: the OpenAPI document as one page of HTML, without scripts and without anything from elsewhere.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}\
code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#f4f4f4;padding:.75rem;overflow:auto}\
details{border:1px solid #ddd;border-radius:4px;margin:.4rem 0;padding:.3rem .7rem}summary{cursor:pointer}\
b.m{display:inline-block;width:4.5rem}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}pre{background:#222}details{border-color:#444}}";

/// The page of a document.
pub(super) fn page(document: &[u8]) -> String {
    let document: Json = serde_json::from_slice(document).unwrap_or_default();
    let mut html =
        String::from("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>ucap API</title>");
    let _ = write!(
        html,
        "<meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body><h1>ucap API</h1>"
    );
    let about = text(&document["info"]["description"]);
    let _ = write!(
        html,
        "<p>{about} Send a key as <code>Authorization: Bearer KEY</code>. The same as JSON: <a href=\"openapi.json\">openapi.json</a>.</p>"
    );
    for group in groups(&document) {
        let _ = write!(html, "<h2>{}</h2>", escape(&group));
        for (path, methods) in object(&document["paths"]) {
            for (method, operation) in object(methods) {
                if operation["tags"][0] == *group {
                    write_operation(&mut html, path, method, operation);
                }
            }
        }
    }
    html.push_str("<h2>Shapes</h2>");
    for (name, schema) in object(&document["components"]["schemas"]) {
        let _ = write!(
            html,
            "<details id=\"{0}\"><summary><code>{0}</code></summary>{1}</details>",
            escape(name),
            block(schema)
        );
    }
    html.push_str("</body></html>");
    html
}

fn groups(document: &Json) -> Vec<String> {
    let mut groups = Vec::new();
    for methods in object(&document["paths"]).values() {
        for operation in object(methods).values() {
            let group = operation["tags"][0].as_str().unwrap_or_default().to_owned();
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
    }
    groups
}

fn write_operation(html: &mut String, path: &str, method: &str, operation: &Json) {
    let (method, path, summary) = (escape(&method.to_uppercase()), escape(path), text(&operation["summary"]));
    let _ = write!(html, "<details><summary><b class=\"m\">{method}</b> <code>{path}</code> {summary}</summary>");
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let _ = write!(
            html,
            "<p><code>{}</code> ({}) {}</p>",
            text(&parameter["name"]),
            text(&parameter["in"]),
            text(&parameter["description"])
        );
    }
    for (title, content) in [("Takes", &operation["requestBody"]["content"]), ("Answers", &operation["responses"])] {
        if !content.is_null() {
            let _ = write!(html, "<p>{title}</p>{}", block(content));
        }
    }
    html.push_str("</details>");
}

fn block(json: &Json) -> String {
    format!("<pre>{}</pre>", escape(&serde_json::to_string_pretty(json).unwrap_or_default()))
}

fn object(json: &Json) -> &Map<String, Json> {
    static EMPTY: std::sync::LazyLock<Map<String, Json>> = std::sync::LazyLock::new(Map::new);
    json.as_object().unwrap_or(&EMPTY)
}

fn text(json: &Json) -> String {
    escape(json.as_str().unwrap_or_default())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
