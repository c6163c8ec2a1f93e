//! `cargo xtask test`: everything that has to pass, cheap things first.
//!
//! One profile and one set of features for lints, tests and programs: another set compiles the dependencies again. The single exception is
//! the check that the platform still builds for embedders who want no HTTP.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use clap::Args;

use crate::shell::{self, Result};
use crate::tidy;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only format, rules, lints and tests
    #[arg(long)]
    quick: bool,
    /// Go on after a failure, to see all of them
    #[arg(long)]
    keep_going: bool,
    /// Install cargo-deny if it is missing (a few minutes, once)
    #[arg(long)]
    with_deny: bool,
}

/// What a step found.
enum Outcome {
    Passed,
    /// It could not be done here, and that is allowed; why.
    Skipped(String),
    Failed(String),
}

impl From<Result<()>> for Outcome {
    fn from(result: Result<()>) -> Self {
        result.map_or_else(Self::Failed, |()| Self::Passed)
    }
}

struct Step {
    name: String,
    run: Box<dyn FnOnce(&mut TestCount) -> Outcome>,
}

impl Step {
    fn new(name: impl Into<String>, run: impl FnOnce() -> Outcome + 'static) -> Self {
        Self { name: name.into(), run: Box::new(|_| run()) }
    }
}

/// The acceptance checks that take seconds; the others (kill, quality, ingest …) are for the machine that has the time.
const ACCEPTANCE: [&str; 6] = ["bad_input", "command_line", "filters", "structured", "two_users", "versions"];

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut tests = TestCount::default();
    let mut rows: Vec<(String, Duration, Outcome)> = Vec::new();
    for step in steps(options) {
        println!("\n=== {}", step.name);
        let start = Instant::now();
        let outcome = (step.run)(&mut tests);
        let took = start.elapsed();
        if let Outcome::Failed(why) | Outcome::Skipped(why) = &outcome {
            println!("{why}");
        }
        let stop = matches!(outcome, Outcome::Failed(_)) && !options.keep_going;
        rows.push((step.name, took, outcome));
        if stop {
            break;
        }
    }
    summary(&rows, &tests)
}

fn steps(options: &Options) -> Vec<Step> {
    let mut steps =
        vec![Step::new("format", || cargo(&["fmt", "--all", "--check"])), Step::new("tidy", || tidy::run().into())];
    if !options.quick {
        let with_deny = options.with_deny;
        steps.push(Step::new("typos", typos));
        steps.push(Step::new("licences and sources", move || deny(with_deny)));
    }
    steps.push(Step::new("lints", || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])));
    if !options.quick {
        steps.push(Step::new("documentation", || {
            let mut doc = shell::cargo();
            doc.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
            shell::run(&mut doc).into()
        }));
        steps.push(Step::new("platform without HTTP", || {
            cargo(&["check", "--package", "ucap-server", "--no-default-features"])
        }));
    }
    steps.push(Step::new("programs", || shell::build_programs(false).map(drop).into()));
    if !options.quick {
        steps.extend(ACCEPTANCE.map(|name| Step::new(format!("acceptance: {name}"), move || acceptance(name))));
    }
    steps.push(Step { name: "tests".into(), run: Box::new(|count| cargo_test(count).into()) });
    steps
}

fn cargo(arguments: &[&str]) -> Outcome {
    shell::run(shell::cargo().args(arguments)).into()
}

fn typos() -> Outcome {
    match shell::python_with("tools/typos", &["typos==1.52.0"]) {
        Ok(python) => shell::run(&mut shell::program(python.with_file_name("typos"))).into(),
        Err(why) => Outcome::Skipped(format!("skipped: typos cannot be had: {why}")),
    }
}

fn deny(install: bool) -> Outcome {
    if !shell::is_installed("cargo-deny") {
        if !install {
            return Outcome::Skipped("skipped: cargo-deny is not installed (--with-deny installs it)".into());
        }
        if let Err(why) = shell::run(shell::cargo().args(["install", "--debug", "--locked", "cargo-deny@0.20.2"])) {
            return Outcome::Failed(why);
        }
    }
    // Advisories need a clone of their database: a network that CI need not have.
    cargo(&["deny", "check", "licenses", "bans", "sources"])
}

fn acceptance(name: &str) -> Outcome {
    let check = shell::root().join("../shared/acceptance/check");
    if !check.is_file() {
        return Outcome::Skipped("skipped: ../shared/acceptance is not here".into());
    }
    let python = if shell::is_installed("zstd") {
        "python3".into()
    } else {
        match shell::python_with("tools/acceptance", &["zstandard"]) {
            Ok(python) => python,
            Err(why) => return Outcome::Skipped(format!("skipped: neither zstd nor zstandard can be had: {why}")),
        }
    };
    let mut run = shell::program(python);
    run.arg(check).arg(format!("slice/{name}")).env("UCAP_BIN", shell::target().join("debug"));
    shell::run(&mut run).into()
}

/// What all test programs together reported.
#[derive(Debug, Default, PartialEq, Eq)]
struct TestCount {
    programs: usize,
    passed: usize,
    failed: usize,
    ignored: usize,
}

impl TestCount {
    /// Reads a line such as `test result: ok. 12 passed; 0 failed; 1 ignored; …`.
    fn read(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
            return;
        };
        self.programs += 1;
        for count in counts.split("; ") {
            let Some((number, what)) = count.split_once(' ') else { continue };
            let number = number.parse().unwrap_or(0);
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

/// The workspace's tests, documentation tests included; shown as they run and counted.
fn cargo_test(count: &mut TestCount) -> Result<()> {
    let mut test = shell::cargo();
    test.args(["test", "--workspace", "--no-fail-fast"]).stdout(Stdio::piped());
    let mut running = test.spawn().map_err(|error| format!("`cargo test` cannot be started: {error}"))?;
    if let Some(printed) = running.stdout.take() {
        for line in BufReader::new(printed).split(b'\n') {
            let line = line.map_err(|error| format!("the output of `cargo test` cannot be read: {error}"))?;
            let line = String::from_utf8_lossy(&line);
            count.read(&line);
            println!("{line}");
        }
    }
    let status = running.wait().map_err(|error| format!("`cargo test` cannot be waited for: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`cargo test` ended with {status}")) }
}

fn summary(rows: &[(String, Duration, Outcome)], tests: &TestCount) -> Result<()> {
    println!();
    let (mut passed, mut failed) = (0, Vec::new());
    for (name, took, outcome) in rows {
        let word = match outcome {
            Outcome::Passed => "ok",
            Outcome::Skipped(_) => "skipped",
            Outcome::Failed(_) => "FAILED",
        };
        println!("{word:<8} {:>7.1} s  {name}", took.as_secs_f64());
        match outcome {
            Outcome::Passed => passed += 1,
            Outcome::Skipped(_) => {}
            Outcome::Failed(_) => failed.push(name.as_str()),
        }
    }
    let seconds: f64 = rows.iter().map(|(_, took, _)| took.as_secs_f64()).sum();
    println!("steps: {passed} passed, {} failed", failed.len());
    let TestCount { programs, passed, failed: broken, ignored } = tests;
    println!("all {programs} test programs together:");
    println!(
        "test result: {}. {passed} passed; {broken} failed; {ignored} ignored; 0 measured; 0 filtered out; finished in {seconds:.2}s",
        if failed.is_empty() { "ok" } else { "FAILED" }
    );
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::TestCount;

    #[test]
    fn adds_up_what_the_test_programs_report() {
        let mut count = TestCount::default();
        for line in [
            "running 3 tests",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.20s",
            "test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: something else",
        ] {
            count.read(line);
        }
        assert_eq!(count, TestCount { programs: 2, passed: 14, failed: 3, ignored: 1 });
    }
}
