//! The command line as people use it: files that are not as they should be, pipes, and messages that speak its language.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/programs.rs"]
mod programs;
mod support;

use std::fs;
use std::io::Write as _;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use programs::{Local, command, json, text};
use serde_json::Value;
use support::{ADMIN, Server};

/// The report of an ingest that failed for one of its files.
fn report(output: &Output, code: i32) -> Value {
    assert_eq!(output.status.code(), Some(code), "{} {}", text(&output.stdout), text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The rejection of the file whose path ends so.
fn rejection<'a>(report: &'a Value, end: &str) -> &'a Value {
    let rejected = report["rejected"].as_array().unwrap();
    let found = rejected.iter().find(|rejection| rejection["file"].as_str().unwrap().ends_with(end));
    found.unwrap_or_else(|| panic!("{end}: {report}"))
}

#[test]
fn a_second_document_of_the_same_id_is_rejected() {
    let local = Local::new();
    local.datasource("docs", "documents");
    local.write("a/x.md", "# First\n\nwalrus");
    local.write("b/x.md", "# Second\n\nokapi");
    local.write("b/y.md", "# Third\n\ntapir");
    let (a, b) = (local.path("a").display().to_string(), local.path("b").display().to_string());
    let output = local.run(&["ingest", "docs", &a, &b, "--json"]);
    let found = report(&output, 1);
    assert_eq!((found["accepted"].as_u64(), found["rejected_count"].as_u64()), (Some(2), Some(1)), "{found}");
    let second = rejection(&found, "b/x.md");
    assert!(second["error"].as_str().unwrap().contains("a/x.md") && second["line"].is_null(), "{found}");
    assert!(text(&output.stderr).contains("b/x.md"));
    let kept = json(&local.run(&["search", "walrus", "--mode", "lexical", "--json"]));
    assert_eq!(kept["hits"][0]["id"], "x.md");
    // The same folder twice is no contradiction.
    assert_eq!(report(&local.run(&["ingest", "docs", &a, &a, "--json"]), 0)["accepted"], 1);
}

#[cfg(unix)]
#[test]
fn one_bad_file_does_not_stop_the_others() {
    use std::os::unix::fs::symlink;
    let local = Local::new();
    local.datasource("docs", "documents");
    local.write("in/a.md", "# A\n\nwalrus");
    local.write("in/z.md", "# Z\n\nokapi");
    local.write("in/deep/report.pdf", "%PDF");
    local.write("in/empty.md", "");
    symlink("nowhere.md", local.path("in/dangling.md")).unwrap();
    symlink("loop.md", local.path("in/loop.md")).unwrap();
    symlink(local.path("in"), local.path("in/deep/again")).unwrap();
    let folder = local.path("in").display().to_string();
    let output = local.run(&["ingest", "docs", &folder, "--json"]);
    let found = report(&output, 1);
    assert!(found["accepted"].as_u64() >= Some(2), "{found}");
    for (file, reason) in [
        ("report.pdf", "unsupported file type .pdf"),
        ("dangling.md", "cannot be read"),
        ("loop.md", "cannot be read"),
        ("deep/again", "link to a folder"),
    ] {
        let rejection = rejection(&found, file);
        assert!(rejection["error"].as_str().unwrap().contains(reason) && rejection["line"].is_null(), "{found}");
    }
    let shown = local.run(&["ingest", "docs", &folder]);
    assert!(text(&shown.stdout).contains("report.pdf: unsupported"), "{}", text(&shown.stdout));

    // Types that nobody asked for are told of, and no failure.
    local.write("other/a.md", "# A");
    local.write("other/b.png", "");
    let other = local.path("other").display().to_string();
    assert_eq!(report(&local.run(&["ingest", "docs", &other, "--json"]), 0)["rejected_count"], 1);
}

#[test]
fn a_corrupt_archive_and_a_missing_file_leave_the_rest() {
    let local = Local::new();
    local.datasource("o", "osv");
    let good = local.write("good.jsonl", "{\"id\":\"A-1\",\"summary\":\"x\"}\n{broken\n");
    let corrupt = local.write("corrupt.jsonl.gz", "this is no gzip");
    let missing = local.path("missing.jsonl").display().to_string();
    let output = local.run(&["ingest", "o", &corrupt, &missing, &good, "--json"]);
    let found = report(&output, 1);
    assert_eq!((found["accepted"].as_u64(), found["rejected_count"].as_u64()), (Some(1), Some(3)), "{found}");
    assert!(rejection(&found, "corrupt.jsonl.gz")["error"].as_str().unwrap().contains("gzip"));
    assert_eq!(rejection(&found, "good.jsonl")["line"], 2);
    let said = text(&output.stderr);
    assert!(said.contains("missing.jsonl") && !said.contains("body"), "{said}");
    let lines = local.run(&["ingest", "o", &good, "--json"]);
    assert_eq!(report(&lines, 0)["rejected_count"], 1, "a bad line is told of, and no failure");
}

#[test]
fn records_come_through_a_pipe() {
    let local = Local::new();
    local.datasource("o", "osv");
    let output = local.feed(&["ingest", "o", "-", "--json"], b"{\"id\":\"A-1\"}\n\n{bad}\n{\"id\":\"A-2\"}\n");
    let found = report(&output, 0);
    assert_eq!((found["accepted"].as_u64(), found["rejected"][0]["line"].as_u64()), (Some(2), Some(3)), "{found}");
    assert_eq!(found["rejected"][0]["file"], "-");
    assert_eq!(local.feed(&["ingest", "o", "-", "-"], b"").status.code(), Some(2));
}

/// What was piped in is committed while the pipe is still open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipe_is_a_stream() {
    let server = Server::start().await;
    server.make("POST", "/v1/domains", serde_json::json!({"id": "d"})).await;
    let new = serde_json::json!({"id": "o", "domain": "d", "format": "osv", "vectors": false});
    server.make("POST", "/v1/datasources", new).await;
    let url = format!("http://{}", server.address);
    let arguments = ["--server", &*url, "--key", ADMIN, "ingest", "o", "-", "--json"];
    let mut child = command(env!("CARGO_BIN_EXE_ucap"), &arguments);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let mut send = |from: u32, to: u32| {
        for n in from..to {
            writeln!(pipe, "{{\"id\":\"A-{n}\",\"summary\":\"{}\"}}", "word ".repeat(20)).unwrap();
        }
    };
    send(0, 3000);
    let patience = Instant::now() + Duration::from_secs(120);
    while server.make("GET", "/v1/datasources/o/stats", Value::Null).await["records"].as_u64() < Some(1000) {
        assert!(Instant::now() < patience, "nothing arrives while the pipe is open");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    send(3000, 3001);
    drop(pipe);
    let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(json(&output)["accepted"], 3001);
    server.stop().await;
}

#[test]
fn a_vector_is_given_as_text_as_file_or_through_a_pipe() {
    let local = Local::new();
    let schema = "{\"fields\":{\"t\":{\"type\":\"text\"}},\"text\":[\"t\"]}";
    let new = ["datasource", "create", "v", "--domain", "d", "--format", "records", "--schema", schema];
    local.must(&[&new[..], &["--embedding-model", "external/test", "--dimensions", "2"]].concat());
    let lines = "{\"id\":\"east\",\"t\":\"a\",\"_vector\":[1,0]}\n{\"id\":\"north\",\"t\":\"b\",\"_vector\":[0,1]}\n";
    assert_eq!(report(&local.feed(&["ingest", "v", "-", "--json"], lines.as_bytes()), 0)["accepted"], 2);
    let file = format!("@{}", local.write("q.json", "[0.1, 0.9]"));
    let search = |vector: &str| local.feed(&["search", "--mode", "vector", "--vector", vector, "--json"], b"[0.9,0.1]");
    for (vector, first) in [("[0.9, -0.1]", "east"), ("[-0.2,0.9]", "north"), (&*file, "north"), ("-", "east")] {
        assert_eq!(json(&search(vector))["hits"][0]["id"], first, "{vector}");
    }
    let wrong = search("east");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("vector"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_speak_of_the_command_line() {
    let server = Server::start().await;
    let url = format!("http://{}", server.address);
    let run = |key: Option<&str>, arguments: &[&str]| {
        let key = key.map_or(vec![], |key| vec!["--key", key]);
        programs::ucap(&[&["--server", &*url][..], &key, arguments].concat())
    };
    for (key, arguments, advice) in [
        (None, &["status"][..], "--key"),
        (Some("ucap_live_wrong"), &["domain", "list"], "--key"),
        (Some(ADMIN), &["domain", "create", "d", "--title", "One"], ""),
        (Some(ADMIN), &["datasource", "create", "s", "--domain", "d", "--format", "osv"], ""),
        (Some(ADMIN), &["domain", "create", "d", "--title", "Two"], "show"),
        (Some(ADMIN), &["domain", "delete", "d"], "--cascade"),
        (Some(ADMIN), &["domain", "delete", "d", "--cascade"], ""),
    ] {
        let output = tokio::task::block_in_place(|| run(key, arguments));
        let said = text(&output.stderr);
        assert_eq!(output.status.success(), advice.is_empty(), "{arguments:?}: {said}");
        assert!(said.contains(advice), "{arguments:?}: {said}");
        for foreign in ["?cascade", "PATCH", "Bearer", "POST"] {
            assert!(!said.contains(foreign), "{arguments:?}: {said}");
        }
    }
    server.stop().await;
}

/// A command's own words for a user must not say as whom it is run.
#[test]
fn a_directory_is_worked_on_as_its_administrator_unless_told_otherwise() {
    let local = Local::new();
    local.must(&["user", "create", "ana"]);
    assert!(text(&local.must(&["key", "create", "ana", "--name", "laptop"]).stdout).contains("ucap_live_"));
    local.must(&["user", "delete", "ana"]);
    local.must(&["user", "create", "ana"]);
    assert!(local.refused(&["--as", "ana", "user", "create", "eve"], 1).contains("administrator"));
    assert!(local.refused(&["--as", "ana", "audit", "verify"], 1).contains("administrator"));
}

#[test]
fn a_server_and_a_directory_contradict_each_other() {
    let local = Local::new();
    for other in [["--server", "http://127.0.0.1:9"], ["--key", "x"]] {
        for arguments in [[&other[..], &["status"]].concat(), [&["status"], &other[..]].concat()] {
            assert!(local.refused(&arguments, 2).contains(other[0]));
        }
    }
    let mut from_environment = local.command(&["status"]);
    let output = from_environment.env("UCAP_SERVER", "http://127.0.0.1:9").env("UCAP_KEY", "x").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn reading_makes_no_data_directory() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, empty) = (folder.path().join("missing"), folder.path().join("empty"));
    fs::create_dir(&empty).unwrap();
    for data in [&missing, &empty] {
        for verb in [
            &["status"][..],
            &["search", "x", "--mode", "lexical"],
            &["domain", "list"],
            &["user", "show", "ana"],
            &["grant", "create", "user:ana", "platform", "read"],
            &["datasource", "create", "x", "--domain", "d", "--format", "osv"],
            &["key", "list"],
            &["audit", "list"],
            &["audit", "verify"],
            &["ingest", "x", "y.jsonl"],
            &["models", "list"],
        ] {
            let output = programs::ucap(&[&["--data", &*data.display().to_string()][..], verb].concat());
            assert_eq!(output.status.code(), Some(1), "{verb:?}");
            assert!(text(&output.stderr).contains("no data directory"), "{verb:?}: {}", text(&output.stderr));
        }
    }
    assert!(!missing.exists());
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
}

#[test]
fn shells_take_their_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let script = programs::ucap(&["completions", shell]);
        assert!(script.status.success() && text(&script.stdout).contains("datasource"), "{shell}");
        let folder = tempfile::tempdir().unwrap();
        let file = programs::write(&folder.path().join("script"), &text(&script.stdout));
        // Where the shell is there, it reads the script.
        if let Ok(checked) = std::process::Command::new(shell).args(["-n", &file]).output() {
            assert!(checked.status.success(), "{shell}: {}", text(&checked.stderr));
        }
    }
    assert_eq!(programs::ucap(&["completions", "tcsh"]).status.code(), Some(2));
}
