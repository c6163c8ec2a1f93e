//! The `ucap` program as it is run, and what it leaves.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The environment of who runs the tests must not weigh in.
const LEFT_OUT: [&str; 4] = ["UCAP_SERVER", "UCAP_KEY", "UCAP_ADMIN_KEY", "RUST_LOG"];

pub fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    for name in LEFT_OUT {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

pub fn run(program: &str, arguments: &[&str]) -> Output {
    command(program, arguments).output().unwrap()
}

pub fn ucap(arguments: &[&str]) -> Output {
    run(env!("CARGO_BIN_EXE_ucap"), arguments)
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

pub fn write(path: &Path, content: &str) -> String {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
    path.display().to_string()
}

/// A folder with a data directory in it, on which `ucap` works without a server.
pub struct Local {
    pub folder: tempfile::TempDir,
}

impl Local {
    /// With the domain `d`.
    pub fn new() -> Self {
        let local = Self { folder: tempfile::tempdir().unwrap() };
        local.must(&["domain", "create", "d"]);
        local
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: &str) -> String {
        write(&self.path(name), content)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let data = self.data().display().to_string();
        command(env!("CARGO_BIN_EXE_ucap"), &[&["--data", &*data][..], arguments].concat())
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// With `input` as standard input.
    pub fn feed(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Must succeed.
    pub fn must(&self, arguments: &[&str]) -> Output {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        output
    }

    /// Must fail with this exit code; what it says on stderr.
    pub fn refused(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        said
    }

    /// A datasource that embeds nothing.
    pub fn datasource(&self, id: &str, format: &str) {
        self.must(&["datasource", "create", id, "--domain", "d", "--format", format, "--no-vectors"]);
    }
}
