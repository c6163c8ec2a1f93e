//! `cargo xtask bench`: one server, measured over HTTP on real data, each figure beside its goal.
//!
//! The data is `../shared/data` (advisories, knowledge, ready-made vectors); what is asked of it is data too, in `benches/workloads`.
//! A run is bounded to about ten minutes.

mod asking;
mod corpus;
mod figures;
mod loading;
mod npy;
mod workload;

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
}

#[derive(Debug, Args)]
struct SliceOptions {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Measure the release profile (its build takes far longer)
    #[arg(long)]
    release: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let What::Slice(options) = &options.what;
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
    let asked = asking::ask(&server, &corpus, &workload, local, &mut figures);
    asked.map_err(|failure| server.explain(failure))?;
    memory(&mut figures, "after all queries", &server);
    figures.single("data directory", corpus::folder_mib(&server.data()), "MiB", None);
    figures.print(options.json);
    Ok(())
}

fn memory(figures: &mut Figures, when: &str, server: &Server) {
    if let Some(resident) = server.resident_mib() {
        figures.single(&format!("memory (VmRSS) {when}"), resident, "MiB", None);
    }
}
