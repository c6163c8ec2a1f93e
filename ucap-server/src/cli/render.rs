//! Answers for people: tables and ranked lists, without colour, and without what data might do to a terminal.

use serde_json::Value as Json;

const PASSAGE_CHARS: usize = 240;
const CELL_CHARS: usize = 60;

/// What a person reads of a value: one line, no control characters, at most so many characters.
fn shown(text: &str, most: usize) -> String {
    let mut line = String::new();
    let mut space = false;
    for (place, c) in text.chars().enumerate() {
        if place >= most {
            line.push('…');
            break;
        }
        if c.is_whitespace() || c.is_control() {
            space = true;
        } else {
            if std::mem::take(&mut space) && !line.is_empty() {
                line.push(' ');
            }
            line.push(c);
        }
    }
    line
}

fn cell(value: &Json) -> String {
    let text = match value {
        Json::Null => "-".to_owned(),
        Json::String(text) => text.clone(),
        Json::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    shown(&text, CELL_CHARS)
}

/// Objects as a table of these columns.
pub(super) fn table(rows: &[Json], columns: &[&str]) -> String {
    if rows.is_empty() {
        return "none\n".to_owned();
    }
    let mut lines = vec![columns.iter().map(|name| name.to_uppercase().replace('_', " ")).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(|row| columns.iter().map(|column| cell(&row[*column])).collect()));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// An object, a line a key.
pub(super) fn object(value: &Json) -> String {
    let Some(map) = value.as_object() else { return format!("{}\n", cell(value)) };
    let width = map.keys().map(|key| key.chars().count()).max().unwrap_or(0);
    let line = |(key, value): (&String, &Json)| format!("{key:<width$}  {}\n", cell(value));
    map.iter().map(line).collect()
}

/// A search's hits, best first.
pub(super) fn hits(answer: &Json) -> String {
    let hits = answer["hits"].as_array().map(Vec::as_slice).unwrap_or_default();
    let total = answer["total"].as_u64().unwrap_or(0);
    let mut text = String::new();
    for (place, hit) in hits.iter().enumerate() {
        let score = hit["score"].as_f64().map(|score| format!("  {score:.4}")).unwrap_or_default();
        let (datasource, id) = (cell(&hit["datasource"]), shown(hit["id"].as_str().unwrap_or_default(), 512));
        text.push_str(&format!("{:>3}. {id}  ({datasource}){score}\n", place + 1));
        let fields = &hit["fields"];
        let title = ["summary", "title"].into_iter().find_map(|name| fields[name].as_str());
        let passage = hit["passage"].as_str().or(title).map(|passage| shown(passage, PASSAGE_CHARS));
        if let Some(passage) = passage.filter(|passage| !passage.is_empty()) {
            text.push_str(&format!("     {passage}\n"));
        }
        if !hit["why"].is_null() {
            text.push_str(&format!("     why: {}\n", shown(&hit["why"].to_string(), PASSAGE_CHARS)));
        }
    }
    let count = hits.len();
    text.push_str(&format!("{count} of {total} records that satisfy the filter\n"));
    if let Some(next) = answer["next"].as_str() {
        text.push_str(&format!("more: --cursor {next}\n"));
    }
    text
}

/// What an ingest did.
pub(super) fn ingested(report: &Json) -> String {
    let count = |name: &str| report[name].as_u64().unwrap_or(0);
    let mut text = format!(
        "{} accepted, {} of them unchanged, {} rejected\n",
        count("accepted"),
        count("unchanged"),
        count("rejected_count")
    );
    for rejection in report["rejected"].as_array().into_iter().flatten().take(20) {
        let (file, line) = (rejection["file"].as_str().unwrap_or("?"), count_of(&rejection["line"]));
        text.push_str(&format!(
            "  {}:{line}: {}\n",
            shown(file, 200),
            shown(rejection["error"].as_str().unwrap_or("?"), 300)
        ));
    }
    text
}

fn count_of(value: &Json) -> u64 {
    value.as_u64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn data_cannot_steer_a_terminal() {
        assert_eq!(shown("a\u{1b}[31mb\r\nc\u{9b}d", 100), "a [31mb c d");
        let answer = json!({"hits": [{"id": "x\u{1b}]0;y", "datasource": "d", "score": 1.0, "passage": "\u{1b}[2J"}], "total": 1, "next": null});
        assert!(!hits(&answer).contains('\u{1b}'));
    }

    #[test]
    fn tables_align() {
        let rows = [json!({"id": "a", "title": "Ñandú"}), json!({"id": "long-id", "title": null})];
        assert_eq!(table(&rows, &["id", "title"]), "ID       TITLE\na        Ñandú\nlong-id  -\n");
    }
}
