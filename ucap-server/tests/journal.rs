//! The journal of a data directory: what is missing or changed is told, refused and repaired, and nothing is answered that
//! cannot be recorded.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/programs.rs"]
mod programs;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use programs::{Local, json, text, write};
use serde_json::Value;

fn flip(path: &Path, line: usize) {
    let mut bytes = fs::read(path).unwrap();
    let start = bytes.split_inclusive(|byte| *byte == b'\n').take(line - 1).map(<[u8]>::len).sum::<usize>();
    bytes[start + 30] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// The verdict as JSON, and what stderr says.
fn verdict(local: &Local) -> (Value, String) {
    let output = local.run(&["audit", "verify", "--json"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.success(), found["valid"] == true, "{found}");
    assert_eq!(found.as_object().unwrap().len(), 3, "{found}");
    (found, text(&output.stderr))
}

/// What a repair must achieve.
fn is_mended(local: &Local) {
    let (found, said) = verdict(local);
    assert!(found["valid"] == true && said.contains("on record"), "{found} {said}");
    let list = text(&local.must(&["audit", "list"]).stdout);
    assert!(list.contains("journal.repaired"), "{list}");
    local.must(&["domain", "create", "after"]);
    assert!(text(&local.must(&["audit", "verify"]).stdout).starts_with("the journal is whole"));
    assert_eq!(json(&local.run(&["audit", "repair", "--json"]))["repaired"], false);
}

#[test]
fn a_journal_that_is_gone_is_refused_until_it_is_repaired() {
    type Removal = fn(&Path);
    let removals: [(&str, Removal); 4] = [
        ("the folder", |data| fs::remove_dir_all(data.join("journal")).unwrap()),
        ("HEAD", |data| fs::remove_file(data.join("journal/HEAD")).unwrap()),
        ("the segments", |data| fs::remove_file(data.join("journal/000001.log")).unwrap()),
        ("folder and anchor", |data| {
            fs::remove_dir_all(data.join("journal")).unwrap();
            fs::remove_file(data.join("journal.anchor")).unwrap();
        }),
    ];
    for (what, remove) in removals {
        let local = Local::new();
        local.must(&["audit", "verify"]);
        remove(&local.data());
        let (found, said) = verdict(&local);
        assert!(found["valid"] == false && found["first_bad"].is_u64(), "{what}: {found}");
        assert!(
            said.contains("missing") || said.contains("once reached") || said.contains("no entries"),
            "{what}: {said}"
        );
        // Neither does the platform start, nor is what is missing made anew on the way.
        for _ in 0..2 {
            let said = local.refused(&["status"], 1);
            assert!(said.contains("journal is damaged") || said.contains("journal in"), "{what}: {said}");
            assert!(said.contains("audit repair"), "{what}: {said}");
        }
        assert!(local.refused(&["audit", "verify"], 1).contains("broken"), "{what}");
        let repaired = json(&local.run(&["audit", "repair", "--json"]));
        assert_eq!(repaired["repaired"], true, "{what}: {repaired}");
        is_mended(&local);
    }
}

#[test]
fn a_changed_line_is_named_without_opening_the_platform() {
    let local = Local::new();
    local.must(&["domain", "create", "e"]);
    let (found, _) = verdict(&local);
    let entries = found["entries"].as_u64().unwrap();
    assert!(entries >= 3, "{found}");
    let segment = local.data().join("journal/000001.log");
    let whole = fs::read(&segment).unwrap();
    flip(&segment, 2);
    let broken = fs::read(&segment).unwrap();
    let output = local.run(&["audit", "verify", "--json"]);
    assert_eq!(text(&output.stdout), "{\"valid\":false,\"entries\":1,\"first_bad\":2}\n");
    assert!(text(&output.stderr).contains("000001.log line 2"), "{}", text(&output.stderr));
    assert_eq!(fs::read(&segment).unwrap(), broken, "nothing was written");

    let said = text(&local.must(&["audit", "repair"]).stdout);
    let aside = local.data().join("journal/set-aside-1/000001.log");
    assert!(said.contains(&aside.display().to_string()) && said.contains("line 2"), "{said}");
    assert_eq!(fs::read(&aside).unwrap(), broken);
    assert!(whole.starts_with(&fs::read(&segment).unwrap()));
    is_mended(&local);
}

#[test]
fn an_older_journal_in_its_place_is_not_taken() {
    let local = Local::new();
    let (journal, older) = (local.data().join("journal"), local.path("older"));
    copy(&journal, &older);
    local.must(&["user", "create", "ana"]);
    fs::remove_dir_all(&journal).unwrap();
    copy(&older, &journal);
    let (found, said) = verdict(&local);
    assert!(found["valid"] == false && said.contains("once reached"), "{found} {said}");
    assert!(local.refused(&["status"], 1).contains("once reached"));
    local.must(&["audit", "repair"]);
    is_mended(&local);
}

#[test]
fn a_broken_anchor_is_told_and_made_anew() {
    let local = Local::new();
    fs::write(local.data().join("journal.anchor"), "?").unwrap();
    assert!(local.refused(&["status"], 1).contains("journal.anchor"));
    assert!(verdict(&local).1.contains("journal.anchor"));
    local.must(&["audit", "repair"]);
    is_mended(&local);
}

#[test]
fn what_is_no_data_directory_is_not_made_one() {
    let folder = tempfile::tempdir().unwrap();
    for verb in ["verify", "repair"] {
        let output = programs::ucap(&["--data", &folder.path().display().to_string(), "audit", verb]);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("no data directory"));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let elsewhere = programs::ucap(&["--server", "http://127.0.0.1:9", "audit", "repair"]);
    assert_eq!(elsewhere.status.code(), Some(2), "{}", text(&elsewhere.stderr));
}

/// Runs a program that can write no file beyond so many blocks of 512 bytes.
#[cfg(unix)]
fn limited(program: &Command, blocks: u64) -> Command {
    let mut shell = Command::new("sh");
    // Ignored, the signal becomes an error of the write.
    shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"")]);
    shell.arg(program.get_program()).args(program.get_args());
    for (name, _) in program.get_envs() {
        shell.env_remove(name);
    }
    shell
}

/// A directory with a note about a walrus, and a journal that has outgrown every other file that a search writes, so that
/// a limit on files is the journal's own.
#[cfg(unix)]
fn with_a_long_journal() -> (Local, u64, String) {
    let local = Local::new();
    local.datasource("notes", "documents");
    let note = local.write("notes/a.md", "# One\n\nThe walrus sleeps.");
    local.must(&["ingest", "notes", &note]);
    let long = format!("walrus {}", "x".repeat(8000));
    let size = || fs::metadata(local.data().join("journal/000001.log")).unwrap().len();
    while size() < 80 << 10 {
        local.must(&["search", &long, "--mode", "lexical"]);
    }
    let blocks = size().div_ceil(512) + 20;
    (local, blocks, long)
}

/// A full disk, by a limit on the size of files: what cannot be recorded is not answered.
#[cfg(unix)]
#[test]
fn a_full_disk_denies_instead_of_answering() {
    let (local, blocks, long) = with_a_long_journal();
    let search = |query: &str| {
        limited(&local.command(&["search", query, "--mode", "lexical", "--json"]), blocks).output().unwrap()
    };
    assert_eq!(json(&search("walrus"))["total"], 1, "the limit leaves room for some");
    let full = (0..3).map(|_| search(&long)).find(|output| !output.status.success()).unwrap();
    assert_eq!(full.status.code(), Some(1));
    assert!(!text(&full.stdout).contains("hits"), "{}", text(&full.stdout));
    assert!(text(&full.stderr).contains("nothing can be recorded"), "{}", text(&full.stderr));
    // With room again, nothing is broken.
    assert_eq!(json(&local.run(&["search", &long, "--mode", "lexical", "--json"]))["total"], 1);
    local.must(&["audit", "verify"]);
}

/// The same for a server, which stays up, denies everything, and says that it is not ready.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_a_full_disk_is_not_ready() {
    let (local, blocks, long) = with_a_long_journal();
    let data = local.data().display().to_string();
    let server = programs::command(env!("CARGO_BIN_EXE_ucap-server"), &["--data", &data, "--listen", "127.0.0.1:0"]);
    let mut server = limited(&server, blocks);
    let server = server.env("UCAP__EMBEDDINGS__OFFLINE", "true").env("NO_COLOR", "1");
    let mut child = server.stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let base = log.find_map(|line| line.split_once("listening on ").map(|(_, base)| base.trim().to_owned())).unwrap();
    let drained = std::thread::spawn(move || log.count());

    let key = fs::read_to_string(local.data().join("admin.key")).unwrap();
    let client = reqwest::Client::new();
    let ready = async || client.get(format!("{base}/readyz")).send().await.unwrap().status().as_u16();
    let search = async |query: &str| {
        let body = serde_json::json!({"query": query, "mode": "lexical"});
        let request = client.post(format!("{base}/v1/search")).bearer_auth(key.trim()).json(&body);
        let reply = request.send().await.unwrap();
        (reply.status().as_u16(), reply.json::<Value>().await.unwrap())
    };
    assert_eq!((ready().await, search("walrus").await.0), (200, 200));
    let mut last = (200, Value::Null);
    for _ in 0..3 {
        last = search(&long).await;
    }
    assert_eq!((last.0, &last.1["error"]["code"]), (503, &Value::from("unavailable")), "{last:?}");
    assert_eq!(search("walrus").await.0, 503, "what would fit is not answered either: the journal has failed once");
    assert_eq!(ready().await, 503);
    child.kill().unwrap();
    child.wait().unwrap();
    drained.join().unwrap();
    local.must(&["audit", "verify"]);
}

#[test]
fn a_catalog_that_is_gone_is_refused_and_its_data_stay() {
    let local = Local::new();
    local.must(&["datasource", "create", "notes", "--domain", "d", "--format", "documents", "--no-vectors"]);
    local.must(&["ingest", "notes", &write(&local.folder.path().join("a.md"), "# a")]);
    let folder = || fs::read_dir(local.data().join("datasources")).unwrap().count();
    assert_eq!(folder(), 1);
    for file in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        let _ = fs::remove_file(local.data().join(file));
    }
    let refused = local.run(&["datasource", "list"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("`catalog.db` is missing"), "{}", text(&refused.stderr));
    assert_eq!(folder(), 1);
}
