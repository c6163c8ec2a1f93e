//! The two programs, as they are run; and that an embedder pays for no web server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/programs.rs"]
mod programs;

use std::process::Command;

use programs::{json, run, text, ucap, write};

#[test]
fn usage_is_code_2_and_configuration_names_its_key() {
    let typo = ucap(&["serch"]);
    assert_eq!(typo.status.code(), Some(2));
    assert!(text(&typo.stderr).contains("search"));
    let server = env!("CARGO_BIN_EXE_ucap-server");
    assert_eq!(run(server, &["--nosuch"]).status.code(), Some(2));
    assert_eq!(run(server, &["--help"]).status.code(), Some(0));
    let folder = tempfile::tempdir().unwrap();
    for (content, code, name) in [
        ("", 0, ""),
        ("[retrieval]\nmax_open = 'many'", 2, "max_open"),
        ("nosuch = 1", 2, "nosuch"),
        ("[[models]]\nid = 'x'", 2, "models"),
    ] {
        let file = write(&folder.path().join("ucap.toml"), content);
        let checked = run(server, &["--check", "--config", &file]);
        assert_eq!(checked.status.code(), Some(code), "{content}");
        assert!(text(&checked.stderr).contains(name), "{content}: {}", text(&checked.stderr));
    }
    assert!(!folder.path().join("ucap-data").exists());
}

#[test]
fn a_directory_is_worked_on_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string();
    let local = |arguments: &[&str]| ucap(&[&["--data", &data][..], arguments].concat());

    let missing = local(&["search", "x"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains(&data));

    assert!(local(&["domain", "create", "d"]).status.success());
    assert!(
        local(&["datasource", "create", "docs", "--domain", "d", "--format", "documents", "--no-vectors"])
            .status
            .success()
    );
    write(&folder.path().join("notes/a.md"), "# One\n\nThe walrus sleeps.");
    write(&folder.path().join("notes/deep/b.html"), "<p>The okapi audits.</p>");
    let notes = folder.path().join("notes").display().to_string();
    let report = json(&local(&["ingest", "docs", &notes, "--json"]));
    assert_eq!((report["accepted"].as_u64(), report["rejected_count"].as_u64()), (Some(2), Some(0)), "{report}");
    let found = json(&local(&["search", "okapi", "--mode", "lexical", "--json"]));
    assert_eq!(found["hits"][0]["id"], "deep/b.html");
    let shown = local(&["search", "walrus", "--mode", "lexical"]);
    assert!(text(&shown.stdout).contains("a.md") && !text(&shown.stdout).contains('\u{1b}'));

    // Rejections name their file and line; several files are summed.
    assert!(local(&["datasource", "create", "o", "--domain", "d", "--format", "osv", "--no-vectors"]).status.success());
    let one = write(&folder.path().join("one.jsonl"), "{\"id\":\"A-1\",\"summary\":\"x\"}\n{broken\n");
    let two = write(&folder.path().join("two.json"), "{\n\"id\":\"A-2\",\n\"summary\":\"y\"}");
    let report = json(&local(&["ingest", "o", &one, &two, "--json"]));
    assert_eq!((report["accepted"].as_u64(), report["rejected_count"].as_u64()), (Some(2), Some(1)), "{report}");
    assert_eq!(
        (report["rejected"][0]["file"].as_str(), report["rejected"][0]["line"].as_u64()),
        (Some(&*one), Some(2))
    );

    // Nobody else, unless asked for.
    assert!(local(&["user", "create", "ana"]).status.success());
    let hidden = local(&["--as", "ana", "search", "okapi", "--mode", "lexical", "--datasource", "docs"]);
    assert_eq!(hidden.status.code(), Some(1));
    assert!(text(&hidden.stderr).contains("docs"));
    assert!(local(&["audit", "verify"]).status.success());
    assert!(local(&["status"]).status.success());
    assert_eq!(local(&["ask", "why?"]).status.code(), Some(1));
}

/// Neither a web server nor a command line is compiled for who embeds the platform. (`hyper` itself comes in with
/// reqwest, by which the embedding model is downloaded.)
#[test]
fn without_its_features_the_crate_is_light() {
    let arguments =
        ["tree", "--offline", "-p", "ucap-server", "--no-default-features", "-e", "normal", "--prefix", "none"];
    let tree = Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(tree.status.success(), "{}", text(&tree.stderr));
    let tree = text(&tree.stdout);
    assert!(tree.contains("ucap-core"));
    for heavy in ["axum ", "clap ", "utoipa ", "indicatif ", "tracing-subscriber "] {
        assert!(!tree.lines().any(|line| line.starts_with(heavy)), "{heavy}");
    }
}
