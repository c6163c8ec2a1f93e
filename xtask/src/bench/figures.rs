//! What was measured, and how it is shown.

use std::fs;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::plot::{self, Mark, Times};
use super::progress::say;

/// Milliseconds of a duration.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The times of one kind of request.
#[derive(Debug, Default)]
pub(super) struct Latencies(Vec<f64>);

impl Latencies {
    pub(super) fn add(&mut self, took: Duration) {
        self.0.push(milliseconds(took));
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The smallest time that a share of all requests did not exceed (nearest rank); 0 without any.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank among a few hundred requests"
        )]
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    }
}

/// All figures of a run, in the order they were taken.
#[derive(Debug)]
pub(super) struct Figures {
    release: bool,
    machine: String,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    what: String,
    figure: String,
    goal: String,
    json: Json,
    /// For the picture.
    times: Option<Times>,
}

impl Figures {
    /// None yet. What the machine is and how busy it is gets noted now.
    pub(super) fn new(release: bool) -> Self {
        Self { release, machine: machine(), rows: Vec::new() }
    }

    /// One number, with the most it should be.
    pub(super) fn single(&mut self, what: &str, value: f64, unit: &str, at_most: Option<f64>) {
        let figure = format!("{value:.1} {unit}");
        let goal = at_most.map_or_else(String::new, |most| verdict(value <= most, &format!("<= {most} {unit}")));
        self.push(what, figure, goal, json!({ "value": value, "unit": unit, "at_most": at_most }), None);
    }

    /// So many things within a time.
    pub(super) fn rate(&mut self, what: &str, count: u64, took: Duration) {
        let per_second = count as f64 / took.as_secs_f64().max(1e-9);
        let figure = format!("{per_second:.0} /s ({count} in {:.1} s)", took.as_secs_f64());
        self.push(
            what,
            figure,
            String::new(),
            json!({ "count": count, "seconds": took.as_secs_f64(), "per_second": per_second }),
            None,
        );
    }

    /// The times of one kind of request, with the most that half of them should take; `total` is how many records the filter
    /// left on average.
    pub(super) fn latencies(&mut self, what: &str, times: &Latencies, total: u64, p50_below: Option<f64>) {
        let (p50, p99) = (times.quantile(0.5), times.quantile(0.99));
        let figure =
            format!("p50 {p50:.2} ms, p99 {p99:.2} ms ({} requests, {total} records left on average)", times.count());
        let goal = p50_below.map_or_else(String::new, |most| verdict(p50 < most, &format!("p50 < {most} ms")));
        let json =
            json!({ "p50_ms": p50, "p99_ms": p99, "requests": times.count(), "total": total, "p50_below": p50_below });
        self.push(what, figure, goal, json, Some(Times::Many { p50, p99, goal: p50_below }));
    }

    /// The time of the first request after a cold start, beside the median of warm ones, in milliseconds.
    pub(super) fn cold(&mut self, what: &str, cold: f64, warm: f64) {
        let figure = format!("{cold:.1} ms (warm: p50 {warm:.2} ms)");
        let json = json!({ "cold_ms": cold, "warm_p50_ms": warm });
        self.push(what, figure, String::new(), json, Some(Times::First { cold, warm }));
    }

    fn push(&mut self, what: &str, figure: String, goal: String, mut json: Json, times: Option<Times>) {
        say(format!("{what}: {figure} {goal}").trim_end());
        if let Some(object) = json.as_object_mut() {
            object.insert("what".into(), what.into());
        }
        self.rows.push(Row { what: what.to_owned(), figure, goal, json, times });
    }

    fn profile(&self) -> &'static str {
        if self.release { "release" } else { "dev" }
    }

    /// The latencies as an SVG.
    pub(super) fn picture(&self) -> String {
        let marks: Vec<Mark> =
            self.rows.iter().filter_map(|row| Some(Mark { what: row.what.clone(), times: row.times? })).collect();
        let subtitle = format!("{} profile, {}", self.profile(), self.machine);
        plot::svg("ucap: searches over HTTP, about 100,000 passages", &subtitle, &marks)
    }

    /// Prints all of them, as a table in Markdown or as JSON.
    pub(super) fn print(&self, as_json: bool) {
        let (profile, machine) = (self.profile(), &self.machine);
        let command = if self.release { "cargo xtask bench slice --release" } else { "cargo xtask bench slice" };
        if as_json {
            let rows: Vec<&Json> = self.rows.iter().map(|row| &row.json).collect();
            println!("{}", json!({ "command": command, "profile": profile, "machine": machine, "figures": rows }));
            return;
        }
        println!("\n`{command}`: {profile} profile, {machine}\n");
        println!("| what | measured | goal |\n|---|---|---|");
        for row in &self.rows {
            println!("| {} | {} | {} |", row.what, row.figure, row.goal);
        }
    }
}

fn verdict(met: bool, goal: &str) -> String {
    format!("{goal}: {}", if met { "met" } else { "MISSED" })
}

/// The machine, as far as the system tells: what a figure means depends on it, and on what else runs there.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (info, memory, load) = (read("/proc/cpuinfo"), read("/proc/meminfo"), read("/proc/loadavg"));
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut machine = format!("{cores} cores of {model}");
    let kib = memory.strip_prefix("MemTotal:").and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    if let Some(kib) = kib {
        machine.push_str(&format!(", {} GiB", (kib + (1 << 19)) >> 20));
    }
    if let Some(load) = load.split(' ').next().filter(|load| !load.is_empty()) {
        machine.push_str(&format!(", load {load} at the start"));
    }
    machine
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Latencies;

    #[test]
    fn quantiles_are_nearest_ranks() {
        let mut times = Latencies::default();
        assert!(times.quantile(0.5).abs() < f64::EPSILON);
        for milliseconds in (1..=100).rev() {
            times.add(Duration::from_millis(milliseconds));
        }
        assert!((times.quantile(0.5) - 50.0).abs() < 1e-9);
        assert!((times.quantile(0.99) - 99.0).abs() < 1e-9);
        assert!((times.quantile(1.0) - 100.0).abs() < 1e-9);
    }
}
