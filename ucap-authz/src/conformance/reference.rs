//! The rule itself, read off the documentation: slow, obvious, and without anything that the authorizers use.

use time::OffsetDateTime;
use ucap_core::catalog::{Effect, Snapshot};
use ucap_core::{Action, Resource, Subject};

use crate::gate::Caller;

/// Whether `caller` may do `action` to `resource`.
pub fn may(snapshot: &Snapshot, caller: &Caller, resource: &Resource, action: Action, now: OffsetDateTime) -> bool {
    let text = resource.to_string();
    let (kind, name) = text.split_once(':').unwrap_or((&text, ""));
    let mut above = vec![text.clone(), "platform".to_owned()];
    if kind != "platform" {
        above.push(format!("{kind}:*"));
    }
    match kind {
        "domain" if name != "*" && snapshot.domain(name).is_none() => return false,
        "datasource" => {
            above.push("domain:*".to_owned());
            match snapshot.datasources().find(|held| held.id == name) {
                Some(held) => above.push(format!("domain:{}", held.domain)),
                None if name == "*" => {}
                None => return false,
            }
        }
        "tool" => above.extend(["mcp:*".to_owned(), format!("mcp:{}", name.split('/').next().unwrap_or_default())]),
        _ => {}
    }
    let names = |subject: &Subject| match subject {
        Subject::User(id) => caller.user() == Some(id),
        Subject::Group(id) => caller.groups().contains(id),
        Subject::Public => true,
    };
    let speaking = snapshot.grants().filter(|grant| {
        let live = grant.expires_at.is_none_or(|end| now < end);
        live && names(&grant.subject) && grant.actions.contains(action) && above.contains(&grant.resource.to_string())
    });
    let public = action == Action::Read
        && snapshot.domains().any(|domain| domain.public && above.contains(&format!("domain:{}", domain.id)));
    let (allowed, denied) = speaking.fold((public, false), |(allowed, denied), grant| match grant.effect {
        Effect::Allow => (true, denied),
        Effect::Deny => (allowed, true),
    });
    let mut scopes = caller.scopes().into_iter().flat_map(|scopes| scopes.iter());
    let kept = scopes.any(|scope| scope.actions.contains(action) && above.contains(&scope.resource.to_string()));
    allowed && !denied && (caller.scopes().is_none() || kept)
}
