//! What `ucap-server` does: reads its arguments and configuration, opens the platform, serves it, ends in order.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use ucap_core::{Error, ErrorKind, Redacted, Result};

use crate::config::Config;
use crate::descriptors::within_limit;
use crate::http::serve;
use crate::platform::Platform;

const ADMIN_KEY: &str = "UCAP_ADMIN_KEY";

/// The ucap server: retrieval, models and tools within your permissions.
#[derive(Debug, Parser)]
#[command(name = "ucap-server", version)]
struct Arguments {
    /// The data directory; created when it does not exist.
    #[arg(long, value_name = "DIR", default_value = "./ucap-data")]
    data: PathBuf,
    /// Where to listen; port 0 takes a free one. [default: the configuration's, else 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// The configuration, a TOML file. Every key can also be set as UCAP__SECTION__KEY.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only check the arguments and the configuration.
    #[arg(long)]
    check: bool,
}

/// Runs the server with these arguments until it is told to stop. The exit code: 0 clean, 2 for wrong usage or
/// configuration, 1 else.
pub fn run_server(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    log_to_stderr();
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut config = match Config::load(arguments.config.as_deref(), environment) {
        Ok(config) => config,
        Err(error) => return refuse(&error, 2),
    };
    if let Some(listen) = arguments.listen {
        config.server.listen = listen;
    }
    if arguments.check {
        tracing::info!("the configuration is fine");
        return ExitCode::SUCCESS;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&Error::internal(format!("the runtime does not start: {error}")), 1),
    };
    match runtime.block_on(run(arguments.data, config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error, if error.param() == Some(ADMIN_KEY) { 2 } else { 1 }),
    }
}

fn refuse(error: &Error, code: u8) -> ExitCode {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(cause, "{error}");
    ExitCode::from(code)
}

/// `RUST_LOG` says how much; `NO_COLOR`, or a stderr that is no terminal, leaves the colour out.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colour).with_target(false);
    let _ = subscriber.with_writer(std::io::stderr).try_init();
}

async fn run(data: PathBuf, config: Config) -> Result<()> {
    let key = std::env::var(ADMIN_KEY).ok().filter(|key| !key.is_empty()).map(Redacted::new);
    let options = config.platform(data).with_environment(|name| std::env::var_os(name)).with_admin_key(key);
    let options = within_limit(options);
    // Before the directory is touched: an address in use is the more common mistake.
    let listener = TcpListener::bind(config.server.listen).await;
    let listener = listener.map_err(|cause| cannot_listen(config.server.listen, &cause))?;
    let address = listener.local_addr().map_err(|cause| cannot_listen(config.server.listen, &cause))?;
    let stop = stop_signal()?;
    let platform = Platform::open_with(options).await?;
    tracing::info!("listening on http://{address}");
    serve(platform.clone(), config.server, listener, stop).await;
    platform.close().await?;
    tracing::info!("stopped");
    Ok(())
}

fn cannot_listen(address: SocketAddr, cause: &std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("cannot listen on {address}: {cause}"))
}

/// Done when the process is told to stop. A second signal ends it at once.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let failed = |cause: std::io::Error| Error::internal("signals cannot be received").with_source(cause);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: requests that run may end");
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            std::process::exit(1);
        });
    })
}
