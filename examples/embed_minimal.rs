//! ucap inside a program, without a server: `cargo run --example embed_minimal [DIRECTORY]`.
//!
//! Two datasources, one user who may read one of them, and a search that knows nothing of the other.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ucap_server::Platform;
use ucap_server::authz::administration::NewGrant;
use ucap_server::core::catalog::Effect;
use ucap_server::core::{Action, ActionSet, Principal, Resource, Result, Subject};
use ucap_server::retrieval::{Filter, Mode, NewSettings, SearchAnswer, SearchRequest};

const DATASOURCES: [(&str, &str); 2] = [
    ("memory-safety", include_str!("data/memory-safety.jsonl")),
    ("network-and-crypto", include_str!("data/network-and-crypto.jsonl")),
];

async fn run(directory: PathBuf) -> Result<SearchAnswer> {
    let platform = Platform::open(directory).await?;
    let administrator = platform.admin_session().await?;
    administrator.create_domain("advisories", "Advisories", false).await?;
    // Without vectors nothing has to be fetched; leave that out, and searches find by meaning too.
    let settings = NewSettings { format: "osv".into(), vectors: Some(false), ..NewSettings::default() };
    for (id, lines) in DATASOURCES {
        administrator.create_datasource(id, "advisories", id, None, &settings).await?;
        let mut ingest = administrator.ingest(id).await?;
        for line in lines.lines() {
            ingest.record(line.as_bytes()).await?;
        }
        ingest.finish().await?;
    }
    administrator.create_user("ana", BTreeSet::from(["analysts".to_owned()])).await?;
    administrator
        .create_grant(NewGrant {
            subject: Subject::Group("analysts".into()),
            resource: Resource::datasource("memory-safety"),
            actions: [Action::Read].into_iter().collect::<ActionSet>(),
            effect: Effect::Allow,
            expires_at: None,
        })
        .await?;

    let ana = platform.session(&Principal::User("ana".into()))?;
    let filter = Filter::from_text("severity >= 9 and affects('crates.io', 'smallvec', '1.6.0')")?;
    let answer =
        ana.search(&SearchRequest::new("buffer overflow").with_mode(Mode::Lexical).with_filter(filter)).await?;
    platform.close().await?;
    Ok(answer)
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "a program for the terminal")]
async fn main() -> Result<()> {
    let directory =
        std::env::args_os().nth(1).map_or_else(|| std::env::temp_dir().join("embed-minimal"), PathBuf::from);
    for hit in run(directory).await?.hits {
        println!("{} {}", hit.id, hit.passage.unwrap_or_default());
    }
    Ok(())
}

#[tokio::test]
async fn finds_what_ana_may_read() {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let answer = run(directory.path().join("data")).await.expect("it works");
    assert_eq!(answer.hits.iter().map(|hit| hit.id.as_str()).collect::<Vec<_>>(), ["RUSTSEC-2021-0003"]);
    assert_eq!(answer.total, 1);
}
