//! `cargo xtask bench`: one server, measured over HTTP on real data, each figure beside its goal; and the benches beside the code.
//!
//! The data of the first is `../shared/data` (advisories, knowledge, ready-made vectors); what is asked of it is data too, in `benches/workloads`.
//! A run is bounded to about ten minutes.

mod asking;
mod cold;
mod corpus;
mod figures;
mod loading;
mod npy;
mod plot;
mod progress;
mod workload;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use clap::{Args, Subcommand};

use self::corpus::Corpus;
use self::figures::{Figures, milliseconds};
use self::workload::Workload;
use crate::server::Server;
use crate::shell::{self, Result};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Ingest, filter, lexical, vector and hybrid search, memory and start, on about 100,000 passages
    Slice(SliceOptions),
    /// The benches beside the code (`*/benches`), each figure beside something simpler or what the machine allows; always in release
    Code(CodeOptions),
}

#[derive(Debug, Args)]
struct CodeOptions {
    /// One figure after few measurements, instead of an estimate
    #[arg(long)]
    quick: bool,
    /// Only those whose name contains this
    filter: Option<String>,
}

#[derive(Debug, Args)]
struct SliceOptions {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Measure the release profile (its build takes far longer)
    #[arg(long)]
    release: bool,
    /// Draw the latencies into this file, too
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    match &options.what {
        What::Slice(options) => slice(options),
        What::Code(options) => code(options),
    }
}

fn code(options: &CodeOptions) -> Result<()> {
    let mut bench = shell::cargo();
    // By name, so that the unit tests of libraries and programs are left out: their harness knows other arguments.
    bench.args(["bench", "--workspace", "--bench", "*", "--"]);
    bench.args(options.quick.then_some("--quick")).args(&options.filter);
    shell::run(&mut bench)
}

fn slice(options: &SliceOptions) -> Result<()> {
    if let Some(file) = &options.plot {
        // Before minutes of measuring, not after.
        fs::write(file, "").map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
    }
    let data =
        shell::shared_data().ok_or("the data to measure with is not here: ../shared/data, or UCAP_DATA names it")?;
    let workload = Workload::read(&shell::root().join("benches/workloads"))?;
    let corpus = Corpus::new(data)?;
    eprintln!("building …");
    let programs = shell::build_programs(options.release)?;
    let model = shell::run(Command::new(programs.join("ucap")).args(["models", "pull"]));
    if let Err(why) = &model {
        eprintln!("without the local model its figures are missing: {why}");
    }

    let mut figures = Figures::new(options.release);
    let mut server = Server::start(&programs, "ucap-bench", false)?;
    let listening = |figures: &mut Figures, what: &str, server: &Server| {
        let took = milliseconds(server.ready_after);
        figures.single(&format!("`listening on` after, {what}"), took, "ms", Some(500.0));
    };
    listening(&mut figures, "empty directory", &server);
    let local = model.is_ok();
    loading::load(&server, &corpus, local, &mut figures).map_err(|failure| server.explain(failure))?;
    memory(&mut figures, "after loading", &server);

    server.restart()?;
    listening(&mut figures, "everything loaded", &server);
    memory(&mut figures, "after a restart", &server);
    let asked = asking::ask(&mut server, &corpus, &workload, local, &mut figures);
    asked.map_err(|failure| server.explain(failure))?;
    memory(&mut figures, "after all queries", &server);
    figures.single("data directory", corpus::folder_mib(&server.data()), "MiB", None);
    if let Some(file) = &options.plot {
        fs::write(file, figures.picture()).map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
    }
    figures.print(options.json);
    Ok(())
}

fn memory(figures: &mut Figures, when: &str, server: &Server) {
    if let Some(resident) = server.resident_mib() {
        figures.single(&format!("memory (VmRSS) {when}"), resident, "MiB", None);
    }
}
