//! `cargo xtask oracle`: the tables of facts that tests compare with, made anew by the reference implementations.
//!
//! The tables are committed, so that tests need none of this; a table is made again when its reference has a new version.

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
    /// Embeddings of the golden texts by sentence-transformers
    Embeddings {
        /// The model's folder, with modules.json
        model: String,
    },
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let (script, packages, arguments): (_, &[&str], Vec<&str>) = match &options.table {
        Table::Versions { arguments } => {
            let missing: Vec<_> =
                ["node", "npm", "javac", "mvn", "zstd"].into_iter().filter(|name| !shell::is_installed(name)).collect();
            if !missing.is_empty() {
                return Err(format!("the tables need {}, which cannot be found here", missing.join(", ")));
            }
            ("versions", &["packaging==26.3"], arguments.iter().map(String::as_str).collect())
        }
        Table::Embeddings { model } => {
            ("embeddings", &["sentence-transformers"], vec![model, "ucap-inference/tests/golden/all_minilm_l6_v2.json"])
        }
    };
    let python = shell::python_with(&format!("oracle/{script}"), packages)?;
    shell::run(shell::program(python).arg(format!("xtask/oracle/{script}.py")).args(arguments))
}
