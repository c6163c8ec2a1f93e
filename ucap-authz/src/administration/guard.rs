//! The law that somebody can always mend the platform.

use ucap_core::catalog::{Effect, Snapshot};
use ucap_core::{Error, ErrorKind, Result, Subject};

/// Refuses a change after which nobody holds unexpiring `admin` on the platform. A deny counts whenever it ends: while it
/// lives it would leave nobody.
///
/// # Errors
/// `Conflict`.
pub fn an_administrator_remains(before: &Snapshot, after: &Snapshot) -> Result<()> {
    if has_administrator(after) || !has_administrator(before) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Conflict,
        "nobody would hold unexpiring admin on the platform any more; give it to somebody else first",
    ))
}

fn has_administrator(snapshot: &Snapshot) -> bool {
    let (denies, allows): (Vec<_>, Vec<_>) =
        snapshot.platform_admin_grants().partition(|grant| grant.effect == Effect::Deny);
    let names = |subject: &Subject, user: &str| match subject {
        Subject::User(id) => id == user,
        Subject::Group(id) => snapshot.user(user).is_some_and(|held| held.groups.contains(id)),
        Subject::Public => true,
    };
    let free = |user: &str| snapshot.user(user).is_some() && !denies.iter().any(|deny| names(&deny.subject, user));
    allows.iter().filter(|grant| grant.expires_at.is_none()).any(|grant| match &grant.subject {
        Subject::User(id) => free(id),
        Subject::Group(id) => snapshot.users_in(id).any(free),
        Subject::Public => snapshot.users().any(|user| free(&user.id)),
    })
}
