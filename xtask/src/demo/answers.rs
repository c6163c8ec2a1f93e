//! Two answers, side by side where the terminal is wide enough, else one below the other.

use std::time::Duration;

use serde_json::Value as Json;

use super::corpus::Half;
use crate::http::Answer;
use crate::shell::Result;

/// Letters in a column, at most: what the longest of the lines needs.
const WIDEST: usize = 66;
/// With less, a column says too little: one column then.
const NARROWEST: usize = 45;
/// Letters before a column.
const MARGIN: usize = 3;

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
        let digits = usize::from(milliseconds < 9.95);
        (milliseconds >= 0.05).then(|| format!("{name} {milliseconds:.digits$}"))
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// The answers in columns, on a terminal of so many letters a line.
pub(super) fn print_beside(told: &[Told], terminal: Option<usize>) {
    for line in lay_out(told, terminal) {
        println!("{line}");
    }
}

fn lay_out(told: &[Told], terminal: Option<usize>) -> Vec<String> {
    let room = |columns: usize| terminal.map_or(WIDEST, |letters| (letters / columns).saturating_sub(MARGIN));
    let width = room(told.len()).min(WIDEST);
    if width < NARROWEST {
        let width = room(1).max(NARROWEST);
        let lines = told.iter().flat_map(|told| told.lines.iter().chain([const { &String::new() }]));
        return lines.map(|line| format!("   {}", fit(line, width)).trim_end().to_owned()).collect();
    }
    let rows = told.iter().map(|told| told.lines.len()).max().unwrap_or(0);
    // The last line (timings) stands in the same row for both.
    let line = |told: &Told, row: usize| {
        let lines = &told.lines;
        if row + 1 == rows { lines.last().cloned() } else { lines[..lines.len() - 1].get(row).cloned() }
    };
    let cells = |row| told.iter().map(|told| fit(&line(told, row).unwrap_or_default(), width)).collect::<Vec<_>>();
    (0..rows).map(|row| format!("   {}", cells(row).join(" │ ")).trim_end().to_owned()).collect()
}

/// Exactly `width` letters.
fn fit(text: &str, width: usize) -> String {
    let letters = text.chars().count();
    if letters <= width {
        return format!("{text}{}", " ".repeat(width - letters));
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::{Told, fit, lay_out, spell_timing};

    #[test]
    fn timings_are_spelt_out() {
        assert_eq!(
            spell_timing("embed;dur=3.24, filter;desc=\"x\";dur=0.1,vector;dur=0.01,fuse,lexical;dur=24.4"),
            "embed 3.2, filter 0.1, lexical 24"
        );
        assert_eq!(spell_timing(""), "");
    }

    #[test]
    fn cells_have_one_width_in_letters() {
        assert_eq!(fit("año", 66).chars().count(), 66);
        let cut = fit(&"ñ".repeat(200), 66);
        assert_eq!(cut.chars().count(), 66);
        assert!(cut.ends_with('…'));
    }

    #[test]
    fn no_line_is_longer_than_the_terminal() {
        let told = |user: &str| Told { lines: [user, &"long ".repeat(30), "1 ms"].map(str::to_owned).into() };
        let told = [told("ana"), told("bea")];
        for terminal in [Some(50), Some(80), Some(100), Some(137), Some(300), None] {
            let lines = lay_out(&told, terminal);
            assert_eq!(lines.len(), if terminal.is_some_and(|width| width < 96) { 8 } else { 3 }, "{terminal:?}");
            let longest = lines.iter().map(|line| line.chars().count()).max().expect("lines");
            assert!(longest <= terminal.unwrap_or(138).max(48), "{terminal:?}: {longest}");
        }
    }
}
