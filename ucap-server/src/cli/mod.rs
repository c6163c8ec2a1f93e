//! The command line: every command is a request of the HTTP API, sent to a server or answered in this process.

mod args;
mod commands;
mod complaint;
mod connection;
mod ingest;
mod models;
mod render;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use tracing_subscriber::EnvFilter;

use args::{Arguments, Command, Models};
use commands::Printed;
use complaint::{Complaint, Outcome};
use connection::Connection;

/// Runs `ucap` with these arguments. The exit code: 0, 1 (a sentence on stderr), 2 for wrong usage.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(io::stderr).try_init();
    let json = arguments.json;
    let printed = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let printed = runtime.block_on(execute(arguments));
            // A model that is still being loaded is nobody's concern any more.
            runtime.shutdown_background();
            printed
        }
        Err(error) => Err(Complaint::new(format!("the runtime does not start: {error}"))),
    };
    match printed {
        Ok(printed) => print(json, &printed),
        Err(complaint) => complain(json, &complaint),
    }
}

async fn execute(arguments: Arguments) -> Outcome<Printed> {
    match arguments.command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "ucap", &mut script);
            Ok(Printed { text: String::from_utf8_lossy(&script).into_owned(), json: script })
        }
        Command::Models(Models::Pull { model_dir }) => {
            let pulled = models::pull_model(model_dir).await?;
            Ok(Printed { text: render::object(&pulled), json: pulled.to_string().into_bytes() })
        }
        Command::Later(command) => Err(Complaint::new(format!("`ucap {}` is not built yet", command.name()))),
        command => {
            let (creates, embeds) = (commands::creates(&command), commands::embeds(&command));
            let connection = Connection::open(&arguments.place, creates, embeds).await?;
            let printed = commands::run(&connection, command).await;
            let closed = connection.close().await;
            let printed = printed?;
            closed?;
            Ok(printed)
        }
    }
}

fn print(json: bool, printed: &Printed) -> ExitCode {
    let bytes = if json { &*printed.json } else { printed.text.as_bytes() };
    match write(bytes) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read it has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "ucap: the answer cannot be written: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    if !bytes.ends_with(b"\n") {
        out.write_all(b"\n")?;
    }
    out.flush()
}

fn complain(json: bool, complaint: &Complaint) -> ExitCode {
    if let Some(answer) = complaint.answer().filter(|_| json) {
        let _ = write(answer);
    }
    let sentence: String = complaint.sentence().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let _ = writeln!(io::stderr(), "ucap: {sentence}");
    ExitCode::from(complaint.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn help_fits_a_screen() {
        let help = Arguments::command().render_help().to_string();
        assert!(help.lines().count() < 60 && help.contains("ingest"), "{help}");
    }
}
