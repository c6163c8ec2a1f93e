//! Answers for people: tables and ranked lists, without colour, and without what data might do to a terminal.

use serde_json::Value as Json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const PASSAGE_CHARS: usize = 240;
const CELL_CHARS: usize = 60;
const LONG_CELL_CHARS: usize = 2000;
const MAX_REJECTIONS: usize = 20;

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
    shown(&plain(value), CELL_CHARS)
}

/// Where there is room, as for a schema.
fn long_cell(value: &Json) -> String {
    shown(&plain(value), LONG_CELL_CHARS)
}

fn plain(value: &Json) -> String {
    let text = match value {
        Json::Null => String::new(),
        Json::String(text) => whole_seconds(text).unwrap_or_else(|| text.clone()),
        Json::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    if text.is_empty() { "-".to_owned() } else { text }
}

/// A time without its fraction of a second.
fn whole_seconds(text: &str) -> Option<String> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    time.replace_nanosecond(0).ok()?.format(&Rfc3339).ok()
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

/// An object, a line a key: its id first, its times and version last.
pub(super) fn object(value: &Json) -> String {
    objects(&[value])
}

/// Objects one below the other, as one; a key that stands in several is told once.
pub(super) fn objects(values: &[&Json]) -> String {
    let mut lines: Vec<(&String, &Json)> = Vec::new();
    for (key, value) in values.iter().filter_map(|value| value.as_object()).flatten() {
        if !lines.iter().any(|(told, _)| *told == key) {
            lines.push((key, value));
        }
    }
    let rank = |key: &str| match key {
        "id" => 0,
        "expires_at" => 2,
        "created_at" => 3,
        "version" => 4,
        _ => 1,
    };
    lines.sort_by_key(|(key, _)| rank(key));
    let width = lines.iter().map(|(key, _)| key.chars().count()).max().unwrap_or(0);
    lines.iter().map(|(key, value)| format!("{key:<width$}  {}\n", long_cell(value))).collect()
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
    let rejections = report["rejected"].as_array().map(Vec::as_slice).unwrap_or_default();
    for rejection in rejections.iter().take(MAX_REJECTIONS) {
        let file = shown(rejection["file"].as_str().unwrap_or("?"), 200);
        let line = rejection["line"].as_u64().map(|line| format!(":{line}")).unwrap_or_default();
        text.push_str(&format!("  {file}{line}: {}\n", shown(rejection["error"].as_str().unwrap_or("?"), 300)));
    }
    let more = count("rejected_count").saturating_sub(rejections.len().min(MAX_REJECTIONS) as u64);
    if more > 0 {
        text.push_str(&format!("  and {more} more; --json lists the first 1000\n"));
    }
    text
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

    #[test]
    fn objects_are_told_once_and_in_order() {
        let held =
            json!({"created_at": "2026-01-02T03:04:05.678Z", "id": "x", "title": "", "model": "m", "groups": []});
        let stats = json!({"model": "m", "records": 3});
        let text = objects(&[&held, &stats, &Json::Null]);
        let expected = "id          x\ngroups      -\nmodel       m\ntitle       -\nrecords     3\n\
                        created_at  2026-01-02T03:04:05Z\n";
        assert_eq!(text, expected);
    }
}
