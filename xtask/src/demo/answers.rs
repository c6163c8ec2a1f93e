//! Two answers, side by side on a terminal.

use std::time::Duration;

use serde_json::Value as Json;

use super::corpus::Half;
use crate::http::Answer;
use crate::shell::Result;

/// Letters in a column.
const WIDTH: usize = 66;

/// How many records there are for whom.
pub(super) struct Counts {
    pub(super) visible: u64,
    pub(super) all: u64,
    pub(super) is_filtered: bool,
}

/// What one user was told.
pub(super) struct Told {
    lines: Vec<String>,
}

impl Told {
    /// # Errors
    /// The search was refused.
    pub(super) fn read(half: &Half, answer: Answer, took: Duration, counts: &Counts) -> Result<Self> {
        let Half { user, group, .. } = half;
        let timing = answer.header("server-timing").map(spell_timing).unwrap_or_default();
        let body = answer.json().map_err(|error| format!("the search of {user} was refused: {error}"))?;
        let total = body.get("total").and_then(Json::as_u64).unwrap_or(0);
        let Counts { visible, all, is_filtered } = counts;
        let filtered = if *is_filtered { format!("; the filter leaves {total}") } else { String::new() };
        let mut lines =
            vec![format!("{user} (group {group})"), format!("may see {visible} of {all} records{filtered}")];
        let hits = body.get("hits").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        for (rank, hit) in hits.iter().enumerate() {
            lines.extend(spell_hit(rank + 1, hit));
        }
        if hits.is_empty() {
            lines.push("nothing".into());
        }
        lines.push(format!("{:.1} ms ({timing})", took.as_secs_f64() * 1000.0));
        Ok(Self { lines })
    }
}

fn spell_hit(rank: usize, hit: &Json) -> [String; 2] {
    let text = |name: &str| hit.get(name).and_then(Json::as_str).unwrap_or_default();
    let field = |name: &str| hit.get("fields").and_then(|fields| fields.get(name));
    let severity =
        field("severity").and_then(Json::as_f64).map(|score| format!("{score:.1}")).unwrap_or_else(|| "?".into());
    let summary = field("summary").and_then(Json::as_str).unwrap_or_else(|| text("passage"));
    let score = hit.get("score").and_then(Json::as_f64).unwrap_or(0.0);
    [format!("{rank}. {}  CVSS {severity}  score {score:.4}", text("id")), format!("   {summary}")]
}

/// `embed;dur=3.2, filter;dur=0.1, fuse;dur=0` -> `embed 3.2, filter 0.1`: what took no time worth naming is left out.
fn spell_timing(header: &str) -> String {
    let parts = header.split(',').filter_map(|part| {
        let (name, rest) = part.trim().split_once(';')?;
        let milliseconds: f64 = rest.split(';').find_map(|value| value.trim().strip_prefix("dur="))?.parse().ok()?;
        (milliseconds >= 0.05).then(|| format!("{name} {milliseconds:.1}"))
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// The answers in columns.
pub(super) fn print_side_by_side(told: &[Told]) {
    let rows = told.iter().map(|told| told.lines.len()).max().unwrap_or(0);
    // The last line (timings) stands in the same row for both.
    let line = |told: &Told, row: usize| {
        let lines = &told.lines;
        if row + 1 == rows { lines.last().cloned() } else { lines[..lines.len() - 1].get(row).cloned() }
    };
    for row in 0..rows {
        let cells: Vec<String> = told.iter().map(|told| fit(&line(told, row).unwrap_or_default())).collect();
        println!("   {}", cells.join(" │ ").trim_end());
    }
}

/// Exactly `WIDTH` letters.
fn fit(text: &str) -> String {
    let letters = text.chars().count();
    if letters <= WIDTH {
        return format!("{text}{}", " ".repeat(WIDTH - letters));
    }
    text.chars().take(WIDTH - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::{WIDTH, fit, spell_timing};

    #[test]
    fn timings_are_spelt_out() {
        assert_eq!(
            spell_timing("embed;dur=3.24, filter;desc=\"x\";dur=0.1,vector;dur=0.01,fuse"),
            "embed 3.2, filter 0.1"
        );
        assert_eq!(spell_timing(""), "");
    }

    #[test]
    fn cells_have_one_width_in_letters() {
        assert_eq!(fit("año").chars().count(), WIDTH);
        let cut = fit(&"ñ".repeat(200));
        assert_eq!(cut.chars().count(), WIDTH);
        assert!(cut.ends_with('…'));
    }
}
