//! The command line: every command is a request of the HTTP API, sent to a server or answered in this process.

mod args;
mod audit;
mod commands;
mod complaint;
mod connection;
mod ingest;
mod models;
mod render;
mod sources;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _};
use tracing_subscriber::EnvFilter;

use args::{Arguments, Audit, Command, Models, Place};
use commands::Printed;
use complaint::{Complaint, Outcome};
use connection::Connection;

/// Runs `ucap` with these arguments. The exit code: 0, 1 (a sentence on stderr), 2 for wrong usage.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match parse(arguments) {
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

/// Reads the arguments. A server and a directory contradict each other only where both are written out: one of them may
/// well stand in the environment.
fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    let mut command = Arguments::command();
    let matches = command.try_get_matches_from_mut(arguments)?;
    let is_written = |name: &str| matches.value_source(name) == Some(ValueSource::CommandLine);
    for name in ["server", "key"] {
        if is_written("data") && is_written(name) {
            let message = format!("--data works on a directory without a server, so it goes without --{name}");
            return Err(command.error(clap::error::ErrorKind::ArgumentConflict, message));
        }
    }
    Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

async fn execute(arguments: Arguments) -> Outcome<Printed> {
    match arguments.command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "ucap", &mut script);
            let text = String::from_utf8_lossy(&script).into_owned();
            Ok(Printed::new(script, text))
        }
        Command::Models(Models::Pull { model_dir }) => {
            let pulled = models::pull_model(model_dir).await?;
            Ok(Printed::of_value(&pulled, render::object(&pulled)))
        }
        Command::Later(command) => Err(Complaint::new(format!("`ucap {}` is not built yet", command.name()))),
        Command::Audit(command @ (Audit::Verify | Audit::Repair)) if is_offline(&arguments.place) => {
            audit::on_directory(&arguments.place, &command).await
        }
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

/// Whether the journal is looked at without opening the platform: whoever reads the directory may.
fn is_offline(place: &Place) -> bool {
    place.data.is_some() && place.acting_as.is_none()
}

fn print(json: bool, printed: &Printed) -> ExitCode {
    let bytes = if json { &*printed.json } else { printed.text.as_bytes() };
    match write(bytes) {
        // Whoever read it has read enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            say(&format!("the answer cannot be written: {error}"));
            return ExitCode::FAILURE;
        }
        Ok(()) | Err(_) => {}
    }
    if let Some(note) = &printed.note {
        say(note);
    }
    ExitCode::from(u8::from(printed.failed))
}

fn write(bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
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
    say(complaint.sentence());
    ExitCode::from(complaint.code())
}

/// Data is in such sentences; it must not steer a terminal.
fn say(sentence: &str) {
    let sentence: String = sentence.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let _ = writeln!(io::stderr(), "ucap: {sentence}");
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
