//! Other programs: where things are, and running them with a failure that reads as a sentence.

use std::env;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A chore either works or fails with a sentence for the person at the terminal.
pub(crate) type Result<T> = std::result::Result<T, String>;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// The data that is not part of the repository, if it lies beside it: `../shared/data`, else `$UCAP_DATA`.
pub(crate) fn shared_data() -> Option<PathBuf> {
    let beside = root().join("../shared/data");
    env::var_os("UCAP_DATA").map(PathBuf::from).into_iter().chain([beside]).find(|folder| folder.is_dir())
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Any program, started in the repository's root.
pub(crate) fn program(name: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root());
    command
}

/// Runs a command whose output the user sees.
///
/// # Errors
/// It cannot be started, or ends with another exit code than 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = words(command);
    let status = command.status().map_err(|error| format!("`{line}` cannot be started: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{line}` ended with {status}")) }
}

/// Runs a command and gives back what it printed. On a terminal its stderr is shown: that is where long work tells how far it is.
///
/// # Errors
/// It cannot be started, or ends with another exit code than 0; then the sentence holds the end of its stderr, if that was not shown.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = words(command);
    let stderr = if std::io::stderr().is_terminal() { Stdio::inherit() } else { Stdio::piped() };
    let done = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .and_then(Child::wait_with_output)
        .map_err(|error| format!("`{line}` cannot be started: {error}"))?;
    if !done.status.success() {
        let complaint = String::from_utf8_lossy(&done.stderr);
        let tail: Vec<&str> = complaint.trim().lines().rev().take(5).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        return Err(format!("`{line}` ended with {}: {}", done.status, tail.join("\n")));
    }
    String::from_utf8(done.stdout).map_err(|_| format!("`{line}` printed something that is not UTF-8"))
}

/// Builds the programs that users start, in the profile that the tests use or the one for releases.
///
/// # Errors
/// They do not compile.
pub(crate) fn build_programs(release: bool) -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--workspace", "--bins"]);
    if release {
        build.arg("--release");
    }
    run(&mut build)?;
    Ok(target().join(if release { "release" } else { "debug" }))
}

/// A Python environment of its own at `target/<name>` that holds `packages`; gives back its interpreter.
///
/// # Errors
/// There is no Python 3 with `venv`, or a package cannot be installed.
pub(crate) fn python_with(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = target().join(name);
    let python = folder.join("bin/python");
    if !python.exists() {
        output(program("python3").args(["-m", "venv"]).arg(&folder))?;
    }
    let wanted = packages.join("\n");
    let list = folder.join("installed.txt");
    if std::fs::read_to_string(&list).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    output(program(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages))?;
    std::fs::write(&list, wanted).map_err(|error| format!("{} cannot be written: {error}", list.display()))?;
    Ok(python)
}

/// Whether a program of this name is on the path.
pub(crate) fn is_installed(name: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

/// How many letters fit on a line of the terminal; `None` when the output goes elsewhere, or the system does not tell.
pub(crate) fn terminal_width() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    // Asked of the terminal on stdin; the standard library cannot.
    let size = program("stty").arg("size").stdin(Stdio::inherit()).stderr(Stdio::null()).output().ok()?;
    String::from_utf8(size.stdout).ok()?.split_whitespace().nth(1)?.parse().ok().filter(|columns| *columns > 0)
}

fn words(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args().take(8) {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}
