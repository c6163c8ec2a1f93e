//! The server as a process of its own, which a test may limit and kill.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

pub const ADMIN: &str = "the-administrators-key-of-these-tests";

/// A server process; killed when it is dropped.
pub struct Process {
    child: Child,
    address: String,
    client: reqwest::Client,
    /// What it logged until it listened.
    pub log: String,
}

impl Process {
    /// Starts a server on `data` after the shell has run `before`, and waits until it listens. It has no model.
    pub fn start(data: &Path, before: &str, environment: &[(&str, &str)]) -> Self {
        let script = format!("{before}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_ucap-server"), "--listen", "127.0.0.1:0", "--data"]).arg(data);
        command.env_remove("RUST_LOG").env("NO_COLOR", "1").env("UCAP_ADMIN_KEY", ADMIN);
        command.env("UCAP_CACHE", data.with_extension("cache")).env("UCAP__EMBEDDINGS__OFFLINE", "true");
        command.envs(environment.iter().copied()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = String::new();
        let address = loop {
            let line = lines.next().unwrap_or_else(|| panic!("the server ended: {log}")).unwrap();
            log = format!("{log}{line}\n");
            if let Some((_, address)) = line.split_once("listening on ") {
                break address.trim().to_owned();
            }
        };
        // Somebody must read on, or the server waits when the pipe is full.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("{line}")));
        Self { child, address, client: reqwest::Client::new(), log }
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Files that it has open.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    pub async fn send(&self, method: &str, path: &str, content_type: &str, body: String) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.address)).bearer_auth(ADMIN);
        if !body.is_empty() {
            request = request.header("content-type", content_type).body(body);
        }
        let reply = request.send().await.unwrap();
        let status = reply.status().as_u16();
        let text = reply.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    /// As the administrator; must succeed. `body` null sends none.
    pub async fn make(&self, method: &str, path: &str, body: Value) -> Value {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let (status, reply) = self.send(method, path, "application/json", text).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {reply}");
        reply
    }

    pub async fn lines(&self, path: &str, lines: String) -> (u16, Value) {
        self.send("POST", path, "application/x-ndjson", lines).await
    }

    /// A domain with these datasources of notes (`body`, a text; `n`, an integer).
    pub async fn notes(&self, domain: &str, datasources: &[String], more: Value) {
        self.make("POST", "/v1/domains", json!({"id": domain, "title": domain})).await;
        let schema = json!({"fields": {"body": {"type": "text"}, "n": {"type": "integer"}}, "text": ["body"]});
        for id in datasources {
            let mut datasource = json!({"id": id, "domain": domain, "format": "records", "schema": schema});
            datasource.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            self.make("POST", "/v1/datasources", datasource).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
