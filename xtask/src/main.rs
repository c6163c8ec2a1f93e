//! The project's chores: `cargo xtask test | tidy | demo | bench | oracle`.
//!
//! Everything runs in a fresh clone with Rust, a C compiler and Python; what else a chore needs it puts below `target/`.
#![expect(clippy::print_stdout, reason = "a program of the terminal: printing is what it is for")]

mod bench;
mod checks;
mod demo;
mod http;
mod oracle;
mod server;
mod shell;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Everything that has to pass before a change is proposed: format, rules, lints, documentation, tests
    Test(checks::Options),
    /// The rules that no compiler checks: crate edges, sizes, headers, names, words
    Tidy,
    /// Two users with different permissions ask the same questions
    Demo(demo::Options),
    /// Measurements, each printed beside its goal
    Bench(bench::Options),
    /// Tables of facts, made anew by the reference implementations
    Oracle(oracle::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Test(options) => checks::run(&options),
        Chore::Tidy => tidy::run(),
        Chore::Demo(options) => demo::run(&options),
        Chore::Bench(options) => bench::run(&options),
        Chore::Oracle(options) => oracle::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
