//! Commands as requests, and their answers for people.

use std::fs::File;
use std::io::{self, Read};

use http::Method;
use serde_json::{Map, Value as Json, json};

use super::args::{Audit, Command, Datasource, Domain, Grant, Group, Key, Models, NewDatasource, Search, User};
use super::complaint::{Complaint, Outcome};
use super::connection::{Ask, Connection, Reply, segment};
use super::ingest::{self, Ingested};
use super::{audit, render};

/// The API takes no longer body.
const MAX_ARGUMENT_BYTES: u64 = 1 << 20;

/// What a command prints.
pub(super) struct Printed {
    /// With `--json`.
    pub(super) json: Vec<u8>,
    /// Without.
    pub(super) text: String,
    /// A sentence for stderr, either way.
    pub(super) note: Option<String>,
    /// Whether the exit code is 1.
    pub(super) failed: bool,
}

impl Printed {
    pub(super) fn new(json: Vec<u8>, text: String) -> Self {
        Self { json, text, note: None, failed: false }
    }

    fn of(reply: &Reply, text: impl FnOnce(&Json) -> String) -> Outcome<Self> {
        Ok(Self::new(reply.body.to_vec(), text(&reply.json()?)))
    }

    pub(super) fn of_value(value: &Json, text: String) -> Self {
        Self::new(value.to_string().into_bytes(), text)
    }

    /// Says `note` on stderr; it is why the command has failed.
    #[must_use]
    pub(super) fn failing(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), failed: true, ..self }
    }

    /// Says `note` on stderr.
    #[must_use]
    pub(super) fn noting(self, note: Option<String>) -> Self {
        Self { note, ..self }
    }
}

/// Whether a command may create the data directory that it works on.
pub(super) fn creates(command: &Command) -> bool {
    matches!(
        command,
        Command::Domain(Domain::Create { .. })
            | Command::User(User::Create { .. })
            | Command::Group(Group::Create { .. })
            | Command::Key(Key::Create { .. })
    )
}

/// Whether a command may need the embedding model.
pub(super) fn embeds(command: &Command) -> bool {
    matches!(command, Command::Search(_) | Command::Ingest(_))
}

/// Runs a command that asks a platform.
pub(super) async fn run(connection: &Connection, command: Command) -> Outcome<Printed> {
    match command {
        Command::Search(search) => {
            let reply = connection.send(Ask::new(Method::POST, "/v1/search").json(&search_body(search)?)).await?;
            Printed::of(&reply, render::hits)
        }
        Command::Ingest(wanted) => {
            let Ingested { report, failure } = ingest::ingest(connection, &wanted).await?;
            let printed = Printed::of_value(&report, render::ingested(&report));
            Ok(match failure {
                Some(failure) => printed.failing(failure),
                None => printed,
            })
        }
        Command::Domain(command) => domain(connection, command).await,
        Command::Datasource(command) => datasource(connection, command).await,
        Command::User(command) => user(connection, command).await,
        Command::Group(command) => group(connection, command).await,
        Command::Grant(command) => grant(connection, command).await,
        Command::Key(command) => key(connection, command).await,
        Command::Audit(Audit::List { limit }) => {
            let reply = connection.send(Ask::new(Method::GET, format!("/v1/audit?limit={limit}"))).await?;
            Printed::of(&reply, |answer| rows(answer, &["at", "principal", "kind", "resource", "decision"]))
        }
        Command::Audit(Audit::Verify) => audit::verify(connection).await,
        Command::Audit(Audit::Repair) => Err(audit::repair_needs_a_directory()),
        Command::Models(Models::List) => {
            let reply = connection.send(Ask::new(Method::GET, "/v1/models")).await?;
            Printed::of(&reply, |answer| rows(answer, &["id", "owned_by"]))
        }
        Command::Status => status(connection).await,
        Command::Models(Models::Pull { .. }) | Command::Completions { .. } | Command::Later(_) => {
            Err(Complaint::new("this command asks no platform"))
        }
    }
}

fn search_body(search: Search) -> Outcome<Json> {
    let mut body = Map::new();
    let mut set = |key: &str, value: Option<Json>| {
        if let Some(value) = value {
            body.insert(key.to_owned(), value);
        }
    };
    set("query", search.query.map(Json::from));
    set("filter", search.filter.as_deref().map(filter).transpose()?);
    set("datasources", (!search.datasource.is_empty()).then(|| search.datasource.into()));
    set("domains", (!search.domain.is_empty()).then(|| search.domain.into()));
    set("mode", search.mode.map(Json::from));
    set("limit", search.limit.map(Json::from));
    set("sort", (!search.sort.is_empty()).then(|| search.sort.iter().map(|text| sort(text)).collect()));
    set("withdrawn", search.withdrawn.map(Json::from));
    set("vector", search.vector.as_deref().map(vector).transpose()?);
    set("explain", search.explain.then(|| true.into()));
    set("cursor", search.cursor.map(Json::from));
    Ok(Json::Object(body))
}

fn filter(text: &str) -> Outcome<Json> {
    if !text.trim_start().starts_with('{') {
        return Ok(text.into());
    }
    serde_json::from_str(text).map_err(|error| Complaint::usage(format!("the filter is not valid JSON: {error}")))
}

fn vector(text: &str) -> Outcome<Json> {
    let text = argument(text, "the vector")?;
    let vector: Vec<f32> = serde_json::from_str(&text)
        .map_err(|error| Complaint::usage(format!("the vector is not a JSON array of numbers: {error}")))?;
    Ok(vector.into())
}

/// A long argument: its text, @FILE, or - for the standard input; `what` it is, for messages.
fn argument(text: &str, what: &str) -> Outcome<String> {
    let (name, opened): (&str, io::Result<Box<dyn Read>>) = match (text, text.strip_prefix('@')) {
        ("-" | "@-", _) => ("the standard input", Ok(Box::new(io::stdin()))),
        (_, Some(path)) => (path, File::open(path).map(|file| Box::new(file) as Box<dyn Read>)),
        (text, None) => return Ok(text.to_owned()),
    };
    let mut content = String::new();
    opened
        .and_then(|input| input.take(MAX_ARGUMENT_BYTES + 1).read_to_string(&mut content))
        .map_err(|error| Complaint::new(format!("{name} cannot be read: {error}")))?;
    if content.len() as u64 > MAX_ARGUMENT_BYTES {
        return Err(Complaint::new(format!("{name} is longer than {MAX_ARGUMENT_BYTES} bytes: is it {what}?")));
    }
    Ok(content)
}

fn sort(text: &str) -> Json {
    match text.rsplit_once(':') {
        Some((field, order @ ("asc" | "desc"))) => json!({"field": field, "order": order}),
        _ => json!({"field": text}),
    }
}

fn rows(answer: &Json, columns: &[&str]) -> String {
    let mut text = render::table(answer["data"].as_array().map(Vec::as_slice).unwrap_or_default(), columns);
    if !answer["next"].is_null() {
        text.push_str("… and more\n");
    }
    text
}

async fn list(connection: &Connection, collection: &str, columns: &[&str]) -> Outcome<Printed> {
    let reply = connection.send(Ask::new(Method::GET, format!("/v1/{collection}?limit=1000"))).await?;
    Printed::of(&reply, |answer| rows(answer, columns))
}

async fn show(connection: &Connection, collection: &str, id: &str) -> Outcome<Printed> {
    let reply = connection.send(Ask::new(Method::GET, format!("/v1/{collection}/{}", segment(id)))).await?;
    Printed::of(&reply, render::object)
}

async fn create(connection: &Connection, collection: &str, body: &Json) -> Outcome<Printed> {
    let reply = connection.send(Ask::new(Method::POST, format!("/v1/{collection}")).json(body)).await?;
    Printed::of(&reply, render::object)
}

async fn delete(connection: &Connection, collection: &str, id: &str, query: &str) -> Outcome<Printed> {
    let reply = connection.send(Ask::new(Method::DELETE, format!("/v1/{collection}/{}{query}", segment(id)))).await?;
    Printed::of(&reply, |answer| format!("{} is deleted\n", answer["id"].as_str().unwrap_or_default()))
}

async fn domain(connection: &Connection, command: Domain) -> Outcome<Printed> {
    match command {
        Domain::Create { id, title, public } => {
            create(connection, "domains", &json!({"id": id, "title": title, "public": public})).await
        }
        Domain::List => list(connection, "domains", &["id", "title", "public"]).await,
        Domain::Show { id } => show(connection, "domains", &id).await,
        Domain::Delete { id, cascade } => {
            delete(connection, "domains", &id, if cascade { "?cascade=true" } else { "" }).await
        }
    }
}

async fn datasource(connection: &Connection, command: Datasource) -> Outcome<Printed> {
    match command {
        Datasource::Create(new) => create(connection, "datasources", &new_datasource(new)?).await,
        Datasource::List => list(connection, "datasources", &["id", "domain", "format", "title"]).await,
        Datasource::Show { id } => {
            let path = format!("/v1/datasources/{}", segment(&id));
            let held = connection.send(Ask::new(Method::GET, &*path)).await?;
            // Who may not read it sees no numbers.
            let stats = connection.try_send(Ask::new(Method::GET, format!("{path}/stats"))).await?;
            let stats = if stats.status.is_success() { stats.json()? } else { Json::Null };
            Printed::of(&held, |held| render::objects(&[held, &stats]))
        }
        Datasource::Delete { id } => delete(connection, "datasources", &id, "").await,
    }
}

fn new_datasource(new: NewDatasource) -> Outcome<Json> {
    let mut body = json!({"id": new.id, "domain": new.domain, "format": new.format, "title": new.title});
    if let Some(schema) = &new.schema {
        let text = argument(schema, "the schema")?;
        body["schema"] = serde_json::from_str(&text)
            .map_err(|error| Complaint::usage(format!("the schema is not valid JSON: {error}")))?;
    }
    let optional = [
        ("language", new.language.map(Json::from)),
        ("vectors", new.no_vectors.then(|| false.into())),
        ("embedding_model", new.embedding_model.map(Json::from)),
        ("dimensions", new.dimensions.map(Json::from)),
        ("retention_days", new.retention_days.map(Json::from)),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            body[key] = value;
        }
    }
    Ok(body)
}

async fn user(connection: &Connection, command: User) -> Outcome<Printed> {
    match command {
        User::Create { id, group } => create(connection, "users", &json!({"id": id, "groups": group})).await,
        User::List => list(connection, "users", &["id", "groups"]).await,
        User::Show { id } => show(connection, "users", &id).await,
        User::Delete { id } => delete(connection, "users", &id, "").await,
    }
}

async fn group(connection: &Connection, command: Group) -> Outcome<Printed> {
    match command {
        Group::Create { id, title } => create(connection, "groups", &json!({"id": id, "title": title})).await,
        Group::List => list(connection, "groups", &["id", "title"]).await,
        Group::Show { id } => show(connection, "groups", &id).await,
        Group::Delete { id } => delete(connection, "groups", &id, "").await,
    }
}

async fn grant(connection: &Connection, command: Grant) -> Outcome<Printed> {
    match command {
        Grant::Create { subject, resource, actions, deny, expires_at } => {
            // `read,write` and `read write` are both natural.
            let actions: Vec<&str> = actions.iter().flat_map(|words| words.split(',')).collect();
            let effect = if deny { "deny" } else { "allow" };
            let body = json!({"subject": subject, "resource": resource, "actions": actions, "effect": effect, "expires_at": expires_at});
            create(connection, "grants", &body).await
        }
        Grant::List => {
            list(connection, "grants", &["id", "effect", "subject", "resource", "actions", "expires_at"]).await
        }
        Grant::Show { id } => show(connection, "grants", &id).await,
        Grant::Delete { id } => delete(connection, "grants", &id, "").await,
    }
}

async fn key(connection: &Connection, command: Key) -> Outcome<Printed> {
    match command {
        Key::Create { user, name, expires_at, scope } => {
            let scopes = scope.iter().map(|text| key_scope(text)).collect::<Outcome<Vec<_>>>()?;
            let scopes = if scopes.is_empty() { Json::Null } else { scopes.into() };
            let body = json!({"user": user, "name": name, "expires_at": expires_at, "scopes": scopes});
            create(connection, "keys", &body).await.map(whole_key)
        }
        Key::List => list(connection, "keys", &["id", "user", "name", "expires_at"]).await,
        Key::Show { id } => show(connection, "keys", &id).await,
        Key::Rotate { id, overlap_seconds } => {
            let body = json!({"overlap_seconds": overlap_seconds});
            create(connection, &format!("keys/{}/rotate", segment(&id)), &body).await.map(whole_key)
        }
        Key::Delete { id } => delete(connection, "keys", &id, "").await,
    }
}

/// A key's text is longer than a cell.
fn whole_key(mut printed: Printed) -> Printed {
    if let Ok(answer) = serde_json::from_slice::<Json>(&printed.json) {
        let word = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        printed.text = format!(
            "id    {}\nuser  {}\nkey   {}\n(the key is shown this once)\n",
            word("id"),
            word("user"),
            word("key")
        );
    }
    printed
}

fn key_scope(text: &str) -> Outcome<Json> {
    let (resource, actions) = text.rsplit_once('=').ok_or_else(|| {
        Complaint::usage(format!(
            "the scope `{text}` names no actions; write RESOURCE=ACTIONS, such as datasource:ghsa=read"
        ))
    })?;
    Ok(json!({"resource": resource, "actions": actions.split(',').collect::<Vec<_>>()}))
}

async fn status(connection: &Connection) -> Outcome<Printed> {
    let ready = connection.send(Ask::new(Method::GET, "/readyz")).await?;
    let ready = ready.json()?;
    let me = connection.send(Ask::new(Method::GET, "/v1/me")).await?.json()?;
    let whole = json!({"readyz": ready, "me": me});
    let resources = me["actions"].as_object().map_or(0, Map::len);
    let who = json!({"principal": me["principal"], "groups": me["groups"], "visible resources": resources});
    Ok(Printed::of_value(&whole, render::objects(&[&ready, &who])))
}
