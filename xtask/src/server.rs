//! A `ucap-server` of one's own: on a free port, with a directory that goes when it goes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::http::Client;
use crate::shell::{self, Result};

/// How long a server may take to say where it listens.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A running server; it ends when this is dropped, unless it is told to stay.
#[derive(Debug)]
pub(crate) struct Server {
    programs: PathBuf,
    folder: PathBuf,
    child: Option<Child>,
    /// `http://…`
    pub(crate) base: String,
    /// The administrator's key.
    pub(crate) admin: String,
    /// From the start of the process to the line that says where it listens.
    pub(crate) ready_after: Duration,
    /// It may outlive this program.
    stays: bool,
    /// It was left running: its files are needed.
    left: bool,
}

impl Server {
    /// Starts one in a new temporary folder, from the folder with the built programs. With `stays` it may be left running, and the
    /// terminal's Ctrl-C does not reach it.
    ///
    /// # Errors
    /// It does not start; the sentence holds the last line of its log.
    pub(crate) fn start(programs: &Path, name: &str, stays: bool) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
        let mut server = Self {
            programs: programs.to_path_buf(),
            folder,
            child: None,
            base: String::new(),
            admin: String::new(),
            ready_after: Duration::ZERO,
            stays,
            left: false,
        };
        server.launch()?;
        Ok(server)
    }

    /// Ends the process and starts another on the same directory.
    ///
    /// # Errors
    /// It does not end, or does not start again.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.restart_after(|_| Ok(()))
    }

    /// As `restart`, with something done to the data directory while nobody has it open.
    ///
    /// # Errors
    /// As `restart`, and what `between` says.
    pub(crate) fn restart_after(&mut self, between: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        self.stop()?;
        between(&self.data())?;
        self.launch()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A connection as the administrator.
    ///
    /// # Errors
    /// The server is gone.
    pub(crate) fn administrator(&self) -> Result<Client> {
        Client::connect(&self.base, &self.admin)
    }

    /// The `ucap` client, told of this server and its administrator.
    pub(crate) fn ucap(&self) -> Command {
        let mut client = shell::program(self.programs.join("ucap"));
        client.args(["--server", &self.base, "--key", &self.admin]);
        client
    }

    /// Adds to a failure what became of the server, if it ended meanwhile.
    pub(crate) fn explain(&mut self, failure: String) -> String {
        let Some(Ok(Some(status))) = self.child.as_mut().map(Child::try_wait) else { return failure };
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.trim().lines().collect();
        let last = lines[lines.len().saturating_sub(5)..].join("\n");
        format!("{failure}\nucap-server had ended meanwhile ({status}); the end of its log:\n{last}")
    }

    /// Resident memory in MiB.
    pub(crate) fn resident_mib(&self) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process()?)).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib / 1024.0)
    }

    /// The process id.
    pub(crate) fn process(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Lets it run on after this program; gives back its process id.
    pub(crate) fn leave_running(mut self) -> Option<u32> {
        self.left = true;
        self.child.take().map(|child| child.id())
    }

    fn launch(&mut self) -> Result<()> {
        let log =
            File::create(self.log()).map_err(|error| format!("{} cannot be written: {error}", self.log().display()))?;
        let errors = log.try_clone().map_err(|error| format!("{}: {error}", self.log().display()))?;
        let program = self.programs.join("ucap-server");
        let mut command = Command::new(&program);
        command.arg("--data").arg(self.data()).args(["--listen", "127.0.0.1:0"]).env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        if self.stays {
            detach(&mut command);
        }
        let start = Instant::now();
        let child = command.spawn().map_err(|error| format!("{} cannot be started: {error}", program.display()))?;
        let child = self.child.insert(child);
        loop {
            let log = fs::read_to_string(self.folder.join("server.log")).unwrap_or_default();
            if let Some(base) = listening_on(&log) {
                self.ready_after = start.elapsed();
                self.base = base;
                break;
            }
            if let Ok(Some(status)) = child.try_wait() {
                let last = log.trim().lines().last().unwrap_or("it said nothing");
                return Err(format!("ucap-server ended at its start ({status}): {last}"));
            }
            if start.elapsed() > START_LIMIT {
                return Err(format!("ucap-server did not say where it listens within {} s", START_LIMIT.as_secs()));
            }
            sleep(Duration::from_millis(2));
        }
        let key = self.data().join("admin.key");
        self.admin = match std::env::var("UCAP_ADMIN_KEY") {
            Ok(key) => key,
            Err(_) => fs::read_to_string(&key)
                .map_err(|error| format!("{} cannot be read: {error}", key.display()))?
                .trim()
                .to_owned(),
        };
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        // The standard library can only kill; a server is asked, so that it ends as it would for an operator.
        let asked = Command::new("kill").arg(child.id().to_string()).status().is_ok_and(|status| status.success());
        let start = Instant::now();
        while asked && start.elapsed() < STOP_LIMIT {
            if let Ok(Some(_)) = child.try_wait() {
                return Ok(());
            }
            sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let _ = child.wait();
        if asked { Err("ucap-server did not end when asked, and was killed".into()) } else { Ok(()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        let _ = self.stop();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// In a process group of its own.
#[cfg(unix)]
fn detach(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

#[cfg(not(unix))]
fn detach(_command: &mut Command) {}

fn listening_on(log: &str) -> Option<String> {
    let (_, rest) = log.split_once("listening on http://")?;
    // Only a finished line holds the whole address.
    let line = rest.split_once('\n')?.0;
    let address: String =
        line.chars().take_while(|letter| letter.is_ascii_alphanumeric() || ".:[]".contains(*letter)).collect();
    Some(format!("http://{address}"))
}

#[cfg(test)]
mod tests {
    use super::listening_on;

    #[test]
    fn the_address_stands_in_the_log() {
        let log = "2026 INFO ucap: opening\n2026 INFO ucap: listening on http://127.0.0.1:40123 pid=7\n";
        assert_eq!(listening_on(log).as_deref(), Some("http://127.0.0.1:40123"));
        assert_eq!(listening_on("listening on http://127.0.0.1:401"), None, "the line may not be whole");
        assert_eq!(listening_on("opening\n"), None);
    }
}
