//! `cargo xtask demo`: the platform's main job on real input, in one command.
//!
//! Advisories of two topics go into two domains, two users may read one each, both ask the same three questions, and each gets the right,
//! different answer. What an operator would type (domains, users, grants, keys, ingest) is done with `ucap`; the questions go over HTTP,
//! whose headers say where the time went.

mod answers;
mod corpus;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use clap::Args;
use serde_json::{Value as Json, json};

use self::answers::{Counts, Told, print_beside};
use self::corpus::Half;
use crate::http::Client;
use crate::server::Server;
use crate::shell::{self, Result};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A folder of *.jsonl[.zst] files in OSV shape instead of the sample
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Load only N records of each file, spread evenly over it
    #[arg(long, value_name = "N")]
    sample: Option<usize>,
    /// Leave the server running
    #[arg(long)]
    keep: bool,
}

/// More records than somebody wants to wait for without having been told.
const MANY: usize = 2000;

/// What both users ask.
struct Question {
    text: &'static str,
    filter: Option<&'static str>,
    /// What makes it worth asking.
    about: &'static str,
}

const QUESTIONS: [Question; 3] = [
    Question {
        text: "an attacker makes the process run out of stack with nested input",
        filter: None,
        about: "words and meaning together: BM25 and vectors",
    },
    Question {
        text: "remote code execution",
        filter: Some("severity >= 9 and published >= '2020-01-01'"),
        about: "the filter first: only critical ones since 2020 are ranked",
    },
    Question {
        text: "¿Cómo puede alguien hacerse pasar por un servidor con un certificado falso?",
        filter: None,
        about: "in Spanish, on English data with a model that knows little Spanish: the ranks as they are",
    },
];

pub(crate) fn run(options: &Options) -> Result<()> {
    let folder = options.data.clone().unwrap_or_else(|| shell::root().join("examples/data"));
    let halves = corpus::split(&folder)?;
    let size = corpus::size(&halves, options.sample)?;
    println!("{} records in {} files of {}", size.records, size.files, folder.display());
    if size.records > MANY {
        println!("that many take a while to embed; `--sample 200` takes 200 of each file");
    }

    println!("building ucap-server and ucap …");
    let start = Instant::now();
    let programs = shell::build_programs(false)?;
    println!("built in {:.1} s", start.elapsed().as_secs_f64());

    println!("\nthe embedding model (kept in the user's cache) …");
    shell::run(Command::new(programs.join("ucap")).args(["models", "pull"]))
        .map_err(|failure| format!("without its embedding model the demo cannot show search by meaning: {failure}"))?;

    let start = Instant::now();
    let mut server = Server::start(&programs, "ucap-demo", options.keep)?;
    println!("\nucap-server answers at {} after {} ms", server.base, server.ready_after.as_millis());
    let shown = prepare(&server, &halves, options.sample).and_then(|keys| ask(&server, &halves, &keys).map(|()| keys));
    let keys = shown.map_err(|failure| server.explain(failure))?;
    println!("\nfrom the server's start to here: {:.1} s", start.elapsed().as_secs_f64());
    what_next(server, &keys, options.keep);
    Ok(())
}

/// Domains, data, users and what they may read; gives back a key for each user.
fn prepare(server: &Server, halves: &[Half; 2], sample: Option<usize>) -> Result<[String; 2]> {
    println!("\nan operator's part (each line is `ucap …`):");
    let mut keys = [String::new(), String::new()];
    for (half, key) in halves.iter().zip(&mut keys) {
        ucap(server, &["domain", "create", &half.domain, "--title", &half.domain])?;
        for (datasource, file) in &half.files {
            ucap(server, &["datasource", "create", datasource, "--domain", &half.domain, "--format", "osv"])?;
            match sample {
                None => ingest(server, datasource, file)?,
                Some(most) => ingest(server, datasource, &corpus::sample(file, most, server.folder())?)?,
            }
        }
        ucap(server, &["user", "create", half.user, "--group", half.group])?;
        ucap(
            server,
            &["grant", "create", &format!("group:{}", half.group), &format!("domain:{}", half.domain), "read"],
        )?;
        let made = ucap(server, &["key", "create", half.user, "--name", "demo"])?;
        *key = made.get("key").and_then(Json::as_str).ok_or("`ucap key create` answered without a key")?.to_owned();
    }
    Ok(keys)
}

/// Runs `ucap … --json`, shows the command and gives back the answer.
fn ucap(server: &Server, arguments: &[&str]) -> Result<Json> {
    println!("  ucap {}", arguments.join(" "));
    let printed = shell::output(server.ucap().args(arguments).arg("--json"))?;
    serde_json::from_str(&printed).map_err(|error| format!("`ucap {}` printed no JSON: {error}", arguments.join(" ")))
}

fn ingest(server: &Server, datasource: &str, file: &Path) -> Result<()> {
    let start = Instant::now();
    let answer = ucap(server, &["ingest", datasource, &file.to_string_lossy()])?;
    let count = |name: &str| answer.get(name).and_then(Json::as_u64).unwrap_or(0);
    let seconds = start.elapsed().as_secs_f64();
    println!("    {} records in, {} rejected, {seconds:.1} s", count("accepted"), count("rejected_count"));
    match answer.pointer("/rejected/0/error").and_then(Json::as_str) {
        Some(why) => Err(format!("{} holds a record that is refused: {why}", file.display())),
        None => Ok(()),
    }
}

/// Both users' answers to every question.
fn ask(server: &Server, halves: &[Half; 2], keys: &[String; 2]) -> Result<()> {
    let all = visible(&mut server.administrator()?)?;
    let mut clients = [Client::connect(&server.base, &keys[0])?, Client::connect(&server.base, &keys[1])?];
    for (number, question) in QUESTIONS.iter().enumerate() {
        println!("\n{}. \"{}\"", number + 1, question.text);
        println!("   {}", question.about);
        if let Some(filter) = question.filter {
            println!("   filter: {filter}");
        }
        let mut told = Vec::new();
        for (client, half) in clients.iter_mut().zip(halves) {
            let visible = visible(client)?;
            let mut body = json!({ "query": question.text, "limit": 5, "mode": "hybrid" });
            if let (Some(filter), Some(body)) = (question.filter, body.as_object_mut()) {
                body.insert("filter".into(), filter.into());
            }
            let start = Instant::now();
            let answer = client.send("POST", "/v1/search", Some(&body))?;
            let took = start.elapsed();
            let counts = Counts { visible, all, is_filtered: question.filter.is_some() };
            told.push(Told::read(half, answer, took, &counts)?);
        }
        print_beside(&told, shell::terminal_width());
    }
    Ok(())
}

/// How many records a caller may see.
fn visible(client: &mut Client) -> Result<u64> {
    let answer = client.post("/v1/search", &json!({ "mode": "filter", "limit": 1 }))?;
    Ok(answer.get("total").and_then(Json::as_u64).unwrap_or(0))
}

fn what_next(server: Server, keys: &[String; 2], keep: bool) {
    if !keep {
        println!("\nto ask it yourself: `cargo xtask demo --keep` leaves the server running and prints what to type");
        return;
    }
    let [ana, bea] = keys;
    println!("\nto try next:");
    println!("  AT={}\n  ANA={ana}\n  BEA={bea}", server.base);
    let search = |about: &str, key: &str, body: Json| {
        println!("  # {about}");
        let headers = format!("-H \"authorization: Bearer ${key}\" -H 'content-type: application/json'");
        println!("  curl -s $AT/v1/search {headers} -d '{body}'");
    };
    let affected = json!({ "ecosystem": "crates.io", "package": "smallvec", "version": "1.6.0" });
    let affected = json!({ "mode": "filter", "filter": { "affects": affected } });
    search(
        "which advisories affect smallvec 1.6.0, as far as ana may know? Exact: by the order of versions",
        "ANA",
        affected.clone(),
    );
    search("as far as bea may know: what she may not see answers like what does not exist", "BEA", affected);
    search("why each hit was found", "BEA", json!({ "query": "request smuggling", "limit": 3, "explain": true }));
    println!("  # who am I, and what may I do");
    println!("  curl -s $AT/v1/me -H \"authorization: Bearer $ANA\"");
    println!("  # every route: {}/docs", server.base);
    let (admin, folder) = (server.admin.clone(), server.folder().display().to_string());
    println!("\nthe administrator's key is {admin}");
    if let Some(process) = server.leave_running() {
        println!("the server runs on; `kill {process}` ends it, its files lie in {folder}");
    }
}
