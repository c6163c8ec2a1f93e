//! `ucap audit verify` and `ucap audit repair`: the journal of a server, or of a directory that need not be whole.

use std::path::Path;

use http::Method;
use serde::Serialize;
use serde_json::json;
use ucap_core::journal::Verification;

use super::args::{Audit, Place};
use super::commands::Printed;
use super::complaint::{Complaint, Outcome};
use super::connection::{Ask, Connection};
use crate::journal_custody::{JOURNAL_FOLDER, repair_journal, verify_journal};

/// What `POST /v1/audit/verify` answers, byte for byte.
#[derive(Serialize)]
struct Answer {
    valid: bool,
    entries: u64,
    first_bad: Option<u64>,
}

/// Asks a platform.
pub(super) async fn verify(connection: &Connection) -> Outcome<Printed> {
    let reply = connection.send(Ask::new(Method::POST, "/v1/audit/verify")).await?;
    let answer = reply.json()?;
    let printed = Printed::new(reply.body.to_vec(), String::new());
    if answer["valid"] != true {
        return Ok(printed.failing(format!(
            "the journal is broken: entry {} is missing or does not fit its chain; on the server's machine, `ucap --data DIR \
             audit verify` says more",
            answer["first_bad"]
        )));
    }
    let entries = answer["entries"].as_u64().unwrap_or(0);
    Ok(Printed { text: whole(entries), ..printed })
}

/// Without a directory.
pub(super) fn repair_needs_a_directory() -> Complaint {
    Complaint::usage("a repair works on a data directory: stop the server, then name the directory with --data")
}

/// Verifies or repairs the journal of the directory that `place` names.
pub(super) async fn on_directory(place: &Place, command: &Audit) -> Outcome<Printed> {
    let path = place.data.as_deref().unwrap_or(Path::new("."));
    match command {
        Audit::Repair => repair(path).await,
        Audit::Verify | Audit::List { .. } => {
            let found = verify_journal(path).await?;
            verdict(path, &found)
        }
    }
}

fn verdict(path: &Path, found: &Verification) -> Outcome<Printed> {
    let answer = Answer { valid: found.valid, entries: found.entries, first_bad: found.first_bad };
    let json = serde_json::to_vec(&answer).map_err(|error| Complaint::new(error.to_string()))?;
    if !found.valid {
        let note = format!("the journal in {} is broken: {found}", path.join(JOURNAL_FOLDER).display());
        return Ok(Printed::new(json, String::new()).failing(note));
    }
    let note = found.last_break.map(|last| match found.breaks {
        1 => format!("a break is on record: entry {last} says what was set aside"),
        breaks => format!("{breaks} breaks are on record, the last in entry {last}"),
    });
    Ok(Printed::new(json, whole(found.entries)).noting(note))
}

fn whole(entries: u64) -> String {
    format!("the journal is whole: {entries} {}\n", if entries == 1 { "entry" } else { "entries" })
}

async fn repair(path: &Path) -> Outcome<Printed> {
    let Some(done) = repair_journal(path).await? else {
        return Ok(Printed::of_value(&json!({"repaired": false}), "nothing is broken, nothing was done\n".to_owned()));
    };
    let mut text = format!("broken was {}\n", done.found);
    for file in &done.set_aside {
        text.push_str(&format!("set aside: {}\n", path.join(JOURNAL_FOLDER).join(&file.file).display()));
    }
    text.push_str(&format!("the journal goes on: entry {} records this\n", done.head.sequence));
    let place = done.found.place.as_ref().map(|place| json!({"file": place.file, "line": place.line}));
    let value = json!({
        "repaired": true,
        "first_bad": done.found.first_bad,
        "reason": done.found.reason,
        "place": place,
        "set_aside": done.set_aside,
        "head": done.head,
    });
    Ok(Printed::of_value(&value, text))
}
