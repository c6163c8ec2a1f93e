//! Each operation's rule, what stays hidden, and the law that somebody can always mend the platform.

use ucap_core::catalog::Effect;
use ucap_core::{Action, Clock as _};

use super::*;
use crate::fixture::{Platform, new_datasource, new_grant, set, shown};

type Shown = (ErrorKind, String, Option<String>);

/// Every operation on the thing of each kind that `suffix` names, as `scope` is answered.
async fn everything(
    platform: &Platform,
    scope: &Scope,
    domain: &str,
    datasource: &str,
) -> Vec<(&'static str, Option<Shown>)> {
    fn seen<T>(result: Result<T>) -> Option<Shown> {
        result.err().map(|error| shown::<()>(Err(error)))
    }
    let (made, context) = (&platform.administration, &platform.context);
    let title = || DomainPatch { title: Some("t".into()), ..DomainPatch::default() };
    let retitled = DatasourcePatch { title: Some("t".into()), ..DatasourcePatch::default() };
    let moved = DatasourcePatch { domain: Some(domain.into()), ..DatasourcePatch::default() };
    let key = NewKey { user: "ana".into(), name: "n".into(), scopes: None, expires_at: None };
    let on = |resource: String| new_grant("user:bob", &resource, &["execute"]);
    vec![
        ("change domain", seen(made.change_domain(context, scope, domain, title(), None).await)),
        ("change datasource", seen(made.change_datasource(context, scope, datasource, retitled, None).await)),
        ("move datasource", seen(made.change_datasource(context, scope, datasource, moved, None).await)),
        ("grant on domain", seen(platform.try_grant(scope, on(format!("domain:{domain}"))).await)),
        ("grant on datasource", seen(platform.try_grant(scope, on(format!("datasource:{datasource}"))).await)),
        ("delete datasource", seen(made.delete_datasource(context, scope, datasource, None).await)),
        ("delete domain", seen(made.delete_domain(context, scope, domain, true, None).await)),
        ("create domain", seen(made.create_domain(context, scope, "new", "", false).await)),
        ("create datasource", seen(made.create_datasource(context, scope, new_datasource("n", "new")).await)),
        ("create user", seen(made.create_user(context, scope, "u", set(&["x"])).await)),
        ("change user", seen(made.change_user(context, scope, "u", Some(set(&[])), None).await)),
        ("delete user", seen(made.delete_user(context, scope, "u", None).await)),
        ("create group", seen(made.create_group(context, scope, "g", "").await)),
        ("change group", seen(made.change_group(context, scope, "g", Some("t".into()), None).await)),
        ("delete group", seen(made.delete_group(context, scope, "g", None).await)),
        ("create key", seen(made.create_key(context, scope, key).await)),
        ("rotate key", seen(made.rotate_key(context, scope, "bootstrap", std::time::Duration::ZERO).await)),
        ("change key", seen(made.change_key(context, scope, "bootstrap", Some("n".into()), None, None).await)),
        ("grant on wildcard", seen(platform.try_grant(scope, on("domain:*".into())).await)),
        ("grant on platform", seen(platform.try_grant(scope, on("platform".into())).await)),
        ("grant on model", seen(platform.try_grant(scope, on("model:m".into())).await)),
    ]
}

fn kinds(answers: &[(&'static str, Option<Shown>)]) -> Vec<(&'static str, Option<ErrorKind>)> {
    answers.iter().map(|(what, shown)| (*what, shown.as_ref().map(|shown| shown.0))).collect()
}

#[tokio::test]
async fn who_administers_nothing_may_nothing_and_learns_nothing() {
    let platform = Platform::furnished().await;
    let before = platform.gate.catalog().snapshot();
    let scope = platform.scope("bob").await;
    let (hidden, missing) =
        (everything(&platform, &scope, "d", "ds").await, everything(&platform, &scope, "x", "xs").await);
    for ((what, hidden), (_, missing)) in hidden.iter().zip(&missing) {
        let (hidden, missing) = (hidden.clone().unwrap(), missing.clone().unwrap());
        let renamed = hidden.1.replace("`ds`", "`xs`").replace("`d`", "`x`");
        assert_eq!((hidden.0, renamed, hidden.2), (missing.0, missing.1.clone(), missing.2.clone()), "{what}");
        let touches = ["change domain", "change datasource", "move datasource", "delete datasource", "delete domain"];
        let expected = if touches.contains(what) { ErrorKind::NotFound } else { ErrorKind::PermissionDenied };
        assert_eq!(missing.0, expected, "{what}");
    }
    assert!(Arc::ptr_eq(&before, &platform.gate.catalog().snapshot()));
}

#[tokio::test]
async fn another_domains_administrator_sees_hidden_as_missing() {
    let platform = Platform::furnished().await;
    platform.grant("user:bob", "domain:e", &["admin"]).await;
    let scope = platform.scope("bob").await;
    let (hidden, missing) =
        (everything(&platform, &scope, "d", "ds").await, everything(&platform, &scope, "x", "xs").await);
    assert_eq!(kinds(&hidden), kinds(&missing));
    for ((what, hidden), (_, missing)) in hidden.iter().zip(&missing) {
        let (hidden, missing) = (hidden.clone().unwrap(), missing.clone().unwrap());
        assert_eq!(hidden.1.replace("`ds`", "`xs`").replace("`d`", "`x`"), missing.1, "{what}");
        assert_eq!(hidden.2, missing.2, "{what}");
    }
    let wanted = |what: &str| hidden.iter().find(|(name, _)| *name == what).unwrap().1.clone().unwrap();
    assert_eq!(
        (wanted("grant on domain").0, wanted("grant on domain").2.as_deref()),
        (ErrorKind::NotFound, Some("resource"))
    );
    assert_eq!(wanted("grant on wildcard").0, ErrorKind::PermissionDenied);
    assert_eq!(wanted("grant on model").0, ErrorKind::NotFound);
    assert_eq!(wanted("create datasource").0, ErrorKind::PermissionDenied);
    // A grant on what is hidden is missing, by id too.
    let grant = platform.grant("user:ana", "domain:d", &["read"]).await;
    let delete =
        async |id: &str| shown(platform.administration.delete_grant(&platform.context, &scope, id, None).await);
    assert_eq!(
        delete(&grant.id).await,
        (ErrorKind::NotFound, format!("grant `{}` does not exist or is not visible to you", grant.id), None)
    );
    assert_eq!(delete("g_0").await.0, ErrorKind::NotFound);
}

#[tokio::test]
async fn a_domains_administrator_manages_what_is_inside_and_only_that() {
    let platform = Platform::furnished().await;
    platform.grant("user:bob", "domain:d", &["admin"]).await;
    platform.grant("user:bob", "domain:e", &["read"]).await;
    let scope = platform.scope("bob").await;
    let (made, context) = (&platform.administration, &platform.context);
    let to_e = DatasourcePatch { domain: Some("e".into()), ..DatasourcePatch::default() };
    let refused = shown(made.change_datasource(context, &scope, "ds", to_e, None).await);
    assert_eq!((refused.0, refused.2.as_deref()), (ErrorKind::PermissionDenied, Some("domain")));
    let answers = everything(&platform, &scope, "d", "ds").await;
    let done: Vec<&str> = answers.iter().filter(|(_, error)| error.is_none()).map(|(what, _)| *what).collect();
    let inside = [
        "change domain",
        "change datasource",
        "move datasource",
        "grant on domain",
        "grant on datasource",
        "delete datasource",
        "delete domain",
    ];
    assert_eq!(done, inside);
}

#[tokio::test]
async fn whoever_administers_a_server_or_model_may_grant_it() {
    let platform = Platform::furnished().await;
    platform.grant("user:bob", "mcp:files", &["admin"]).await;
    let scope = platform.scope("bob").await;
    let made = platform.try_grant(&scope, new_grant("user:ana", "mcp:files", &["execute"])).await.unwrap();
    let scope = platform.scope("bob").await;
    platform.administration.delete_grant(&platform.context, &scope, &made.into_inner().id, None).await.unwrap();
    assert_eq!(
        shown(platform.try_grant(&scope, new_grant("user:ana", "mcp:other", &["execute"])).await).0,
        ErrorKind::NotFound
    );
    // A platform administrator whose key keeps one server.
    let (_, text) = platform.key("admin", Some(&[("mcp:files", &["admin"])])).await;
    let narrow = platform.gate.scope(&platform.context, &platform.gate.authenticate(&text).unwrap()).await.unwrap();
    assert!(narrow.administers_something() && !narrow.is_platform_admin());
    platform.try_grant(&narrow, new_grant("user:ana", "mcp:files", &["read"])).await.unwrap();
    let admin = platform.admin().await;
    assert_eq!(
        shown(platform.try_grant(&admin, new_grant("public", "model:none", &["execute"])).await).0,
        ErrorKind::NotFound
    );
    platform.try_grant(&admin, new_grant("public", "mcp:*", &["execute"])).await.unwrap();
}

#[tokio::test]
async fn the_same_post_again_is_no_change_and_another_conflicts() {
    let platform = Platform::furnished().await;
    let (admin, made, context) = (platform.admin().await, &platform.administration, &platform.context);
    let before = platform.gate.catalog().snapshot().epoch();
    assert!(!made.create_domain(context, &admin, "d", "", false).await.unwrap().is_new());
    assert!(!made.create_datasource(context, &admin, new_datasource("ds", "d")).await.unwrap().is_new());
    assert!(!made.create_user(context, &admin, "ana", set(&["team"])).await.unwrap().is_new());
    assert!(!made.create_group(context, &admin, "team", "").await.unwrap().is_new());
    assert_eq!(platform.gate.catalog().snapshot().epoch(), before);
    let conflicts = [
        shown(made.create_domain(context, &admin, "d", "other", false).await),
        shown(made.create_datasource(context, &admin, new_datasource("ds", "e")).await),
        shown(made.create_user(context, &admin, "ana", set(&[])).await),
        shown(made.create_group(context, &admin, "team", "other").await),
    ];
    assert!(conflicts.iter().all(|shown| shown.0 == ErrorKind::AlreadyExists), "{conflicts:?}");

    let one = platform.grant("user:ana", "domain:d", &["write", "read"]).await;
    let again = platform.try_grant(&admin, new_grant("user:ana", "domain:d", &["read", "write"])).await.unwrap();
    assert_eq!(again, Created::Unchanged(one.clone()));
    let mut ending = new_grant("user:ana", "domain:d", &["read", "write"]);
    ending.expires_at = Some(platform.clock.now().to_offset(time::UtcOffset::from_hms(2, 0, 0).unwrap()));
    let ending = platform.try_grant(&admin, ending).await.unwrap().into_inner();
    assert_ne!(ending.id, one.id);
    assert!(ending.expires_at.unwrap().offset().is_utc());
    let equal = made.change_grant(context, &platform.admin().await, &ending.id, Some(None), None).await;
    assert_eq!(shown(equal).0, ErrorKind::AlreadyExists, "two grants never say the same");
}

#[tokio::test]
async fn if_match_names_the_revision() {
    let platform = Platform::furnished().await;
    let (made, context) = (&platform.administration, &platform.context);
    let grant = platform.grant("user:ana", "domain:d", &["read"]).await;
    let (key, _) = platform.key("ana", None).await;
    let admin = platform.admin().await;
    let title = |text: &str| DomainPatch { title: Some(text.into()), ..DomainPatch::default() };
    let first = Revision::of(admin.snapshot().domain("d").unwrap().stamp);
    let second = Revision { version: 2, ..first };
    let changed = made.change_domain(context, &admin, "d", title("1"), Some(vec![first])).await.unwrap();
    assert_eq!(Revision::of(changed.stamp), second);
    let same = made.change_domain(context, &admin, "d", title("1"), Some(vec![first, second])).await.unwrap();
    assert_eq!(same.stamp.version, 2);
    let later = Some(Some(platform.clock.now()));
    let another = || Some(vec![Revision { version: 7, ..first }]);
    let failed = [
        shown(made.change_domain(context, &admin, "d", title("2"), Some(vec![first])).await),
        shown(made.change_domain(context, &admin, "d", title("2"), Some(vec![])).await),
        shown(made.delete_domain(context, &admin, "d", true, Some(vec![first])).await),
        shown(made.change_datasource(context, &admin, "ds", DatasourcePatch::default(), another()).await),
        shown(made.delete_datasource(context, &admin, "ds", another()).await),
        shown(made.change_user(context, &admin, "ana", None, another()).await),
        shown(made.delete_user(context, &admin, "ana", another()).await),
        shown(made.change_group(context, &admin, "team", None, another()).await),
        shown(made.delete_group(context, &admin, "team", another()).await),
        shown(made.change_grant(context, &admin, &grant.id, later, another()).await),
        shown(made.delete_grant(context, &admin, &grant.id, another()).await),
        shown(made.change_key(context, &admin, &key, None, None, another()).await),
        shown(made.delete_key(context, &admin, &key, another()).await),
    ];
    assert!(failed.iter().all(|shown| shown.0 == ErrorKind::PreconditionFailed), "{failed:?}");
}

#[tokio::test]
async fn a_name_that_is_used_again_has_no_old_revision() {
    let platform = Platform::furnished().await;
    let (made, context) = (&platform.administration, &platform.context);
    let admin = platform.admin().await;
    let old = Revision::of(admin.snapshot().domain("d").unwrap().stamp);
    made.delete_domain(context, &admin, "d", true, Some(vec![old])).await.unwrap();
    let again = made.create_domain(context, &admin, "d", "again", false).await.unwrap().into_inner();
    assert_eq!(again.stamp.version, old.version);
    let admin = platform.admin().await;
    let refused = shown(made.delete_domain(context, &admin, "d", true, Some(vec![old])).await);
    assert_eq!(refused.0, ErrorKind::PreconditionFailed);
    made.delete_domain(context, &admin, "d", true, Some(vec![Revision::of(again.stamp)])).await.unwrap();
}

#[tokio::test]
async fn what_is_deleted_takes_its_grants_along_and_keys_forget_it() {
    let platform = Platform::furnished().await;
    let (admin, made, context) = (platform.admin().await, &platform.administration, &platform.context);
    platform.grant("user:bob", "domain:d", &["read"]).await;
    platform.grant("user:bob", "datasource:ds", &["write"]).await;
    platform.grant("group:team", "domain:e", &["read"]).await;
    let scopes: &[(&str, &[&str])] = &[("datasource:ds", &["read"]), ("domain:d", &["read"]), ("domain:e", &["read"])];
    let (key, _) = platform.key("bob", Some(scopes)).await;
    let refused = shown(made.delete_domain(context, &admin, "d", false, None).await);
    assert_eq!(refused.0, ErrorKind::NotEmpty);
    let gone = made.delete_domain(context, &admin, "d", true, None).await.unwrap();
    assert_eq!(gone.iter().map(|held| &*held.id).collect::<Vec<_>>(), ["ds"]);
    let snapshot = platform.gate.catalog().snapshot();
    assert!(snapshot.datasource("ds").is_none() && snapshot.grants_of(&Subject::User("bob".into())).count() == 0);
    let kept = snapshot.key(&key).unwrap();
    assert_eq!(
        kept.scopes.as_ref().unwrap().iter().map(|scope| scope.resource.to_string()).collect::<Vec<_>>(),
        ["domain:e"]
    );
    platform.domain("d", false).await;
    platform.datasource("ds", "d").await;
    assert!(platform.scope("bob").await.visible_datasources().is_empty(), "a name used again inherits nothing");

    made.delete_group(context, &admin, "team", None).await.unwrap();
    let snapshot = platform.gate.catalog().snapshot();
    assert!(
        snapshot.user("ana").unwrap().groups.is_empty()
            && snapshot.grants_of(&Subject::Group("team".into())).count() == 0
    );
    platform.key("ana", None).await;
    platform.grant("user:ana", "domain:e", &["read"]).await;
    made.delete_user(context, &admin, "ana", None).await.unwrap();
    let snapshot = platform.gate.catalog().snapshot();
    assert_eq!((snapshot.keys_of("ana").count(), snapshot.grants_of(&Subject::User("ana".into())).count()), (0, 0));
}

#[tokio::test]
async fn a_scope_speaks_of_what_was_there_when_it_was_minted() {
    let platform = Platform::furnished().await;
    platform.grant("user:bob", "domain:d", &["admin"]).await;
    let (old, admin, made, context) =
        (platform.scope("bob").await, platform.admin().await, &platform.administration, &platform.context);
    made.delete_domain(context, &admin, "d", true, None).await.unwrap();
    platform.domain("d", false).await;
    platform.datasource("ds", "d").await;
    let before = platform.gate.catalog().snapshot();
    let title = DomainPatch { title: Some("t".into()), ..DomainPatch::default() };
    let late = [
        shown(made.change_domain(context, &old, "d", title, None).await),
        shown(made.delete_domain(context, &old, "d", true, None).await),
        shown(made.delete_datasource(context, &old, "ds", None).await),
        shown(made.change_datasource(context, &old, "ds", DatasourcePatch::default(), None).await),
        shown(platform.try_grant(&old, new_grant("user:bob", "domain:d", &["read"])).await),
    ];
    assert!(late.iter().all(|shown| shown.0 == ErrorKind::NotFound), "{late:?}");
    assert!(Arc::ptr_eq(&before, &platform.gate.catalog().snapshot()));
}

#[tokio::test]
async fn groups_come_into_being_and_stay() {
    let platform = Platform::furnished().await;
    let (admin, made, context) = (platform.admin().await, &platform.administration, &platform.context);
    made.change_user(context, &admin, "ana", Some(set(&["a", "b"])), None).await.unwrap();
    made.change_user(context, &admin, "ana", Some(set(&[])), None).await.unwrap();
    let snapshot = platform.gate.catalog().snapshot();
    assert_eq!(snapshot.groups().map(|group| &*group.id).collect::<Vec<_>>(), ["a", "b", "team"]);
    assert_eq!(snapshot.users_in("a").count(), 0);
}

#[tokio::test]
async fn bounds_name_the_field_and_echo_little() {
    let platform = Platform::furnished().await;
    let (admin, made, context) = (platform.admin().await, &platform.administration, &platform.context);
    let (long, many) = ("x".repeat(1 << 20), (0..1001).map(|i| format!("g{i}")).collect());
    let far = |hours| {
        time::OffsetDateTime::new_in_offset(
            time::Date::from_calendar_date(9999, time::Month::December, 31).unwrap(),
            time::Time::from_hms(23, 59, 59).unwrap(),
            time::UtcOffset::from_hms(hours, 0, 0).unwrap(),
        )
    };
    let scope =
        ucap_core::catalog::KeyScope { resource: Resource::PLATFORM, actions: [Action::Read].into_iter().collect() };
    let key = |name: &str, scopes, expires_at| NewKey { user: "ana".into(), name: name.into(), scopes, expires_at };
    let ending = |hours| NewGrant { expires_at: Some(far(hours)), ..new_grant("public", "domain:d", &["read"]) };
    let settings = serde_json::Value::String(long.clone());
    let large = NewDatasource { settings, ..new_datasource("large", "d") };
    let refused = [
        ("id", shown(made.create_domain(context, &admin, &long, "", false).await)),
        ("id", shown(made.create_domain(context, &admin, "..", "", false).await)),
        ("id", shown(made.create_datasource(context, &admin, new_datasource("Ñ", "d")).await)),
        ("id", shown(made.create_user(context, &admin, "idp/ana", set(&[])).await)),
        ("id", shown(made.create_group(context, &admin, "A\n", "").await)),
        ("title", shown(made.create_domain(context, &admin, "n", &long, false).await)),
        ("title", shown(made.create_group(context, &admin, "n", "a\u{7}").await)),
        ("groups", shown(made.create_user(context, &admin, "n", many).await)),
        ("groups", shown(made.create_user(context, &admin, "n", set(&["Team"])).await)),
        ("name", shown(made.create_key(context, &admin, key(&long, None, None)).await)),
        ("scopes", shown(made.create_key(context, &admin, key("n", Some(vec![scope; 1001]), None)).await)),
        ("expires_at", shown(made.create_key(context, &admin, key("n", None, Some(far(-1)))).await)),
        ("expires_at", shown(platform.try_grant(&admin, ending(-1)).await)),
        ("actions", shown(platform.try_grant(&admin, new_grant("public", "domain:d", &[])).await)),
        ("overlap_seconds", shown(made.rotate_key(context, &admin, "bootstrap", std::time::Duration::MAX).await)),
        ("", shown(made.create_datasource(context, &admin, large).await)),
    ];
    for (param, (kind, message, named)) in refused {
        assert_eq!(named.as_deref().unwrap_or_default(), param, "{message}");
        assert_eq!(kind, if param.is_empty() { ErrorKind::TooLarge } else { ErrorKind::InvalidInput }, "{message}");
        assert!(message.len() < 400 && !message.chars().any(char::is_control), "{message}");
    }
    platform.try_grant(&admin, ending(1)).await.unwrap();
}

#[tokio::test]
async fn somebody_can_always_mend_the_platform() {
    let platform = Platform::furnished().await;
    let (admin, made, context) = (platform.admin().await, &platform.administration, &platform.context);
    let snapshot = platform.gate.catalog().snapshot();
    let first = snapshot.grants_on(&Resource::PLATFORM).next().unwrap().id.clone();
    let soon = Some(platform.clock.now() + time::Duration::days(1));
    let deny = |subject: &str, expires_at| NewGrant {
        effect: Effect::Deny,
        expires_at,
        ..new_grant(subject, "platform", &["admin"])
    };
    made.change_user(context, &admin, "admin", Some(set(&["ops"])), None).await.unwrap();
    let before = platform.gate.catalog().snapshot();
    let refused = [
        shown(made.delete_grant(context, &admin, &first, None).await),
        shown(made.change_grant(context, &admin, &first, Some(soon), None).await),
        shown(made.delete_user(context, &admin, "admin", None).await),
        shown(platform.try_grant(&admin, deny("user:admin", None)).await),
        shown(platform.try_grant(&admin, deny("user:admin", soon)).await),
        shown(platform.try_grant(&admin, deny("group:ops", None)).await),
        shown(platform.try_grant(&admin, deny("public", None)).await),
    ];
    assert!(refused.iter().all(|shown| shown.0 == ErrorKind::Conflict), "{refused:?}");
    assert!(Arc::ptr_eq(&before, &platform.gate.catalog().snapshot()));

    // What gives nobody the right for good does not count: another action, an end, an empty group, a user to come.
    platform.grant("user:ana", "platform", &["read", "write"]).await;
    platform.grant("group:nobody", "platform", &["admin"]).await;
    platform.grant("user:later", "platform", &["admin"]).await;
    platform
        .try_grant(&admin, NewGrant { expires_at: soon, ..new_grant("user:bob", "platform", &["admin"]) })
        .await
        .unwrap();
    assert_eq!(shown(made.delete_grant(context, &admin, &first, None).await).0, ErrorKind::Conflict);

    // A group counts while somebody is in it.
    platform.grant("group:team", "platform", &["admin"]).await;
    made.delete_grant(context, &admin, &first, None).await.unwrap();
    let ana = platform.scope("ana").await;
    assert!(ana.is_platform_admin() && !platform.scope("admin").await.is_platform_admin());
    let refused = [
        shown(made.change_user(context, &ana, "ana", Some(set(&[])), None).await),
        shown(made.delete_group(context, &ana, "team", None).await),
        shown(made.delete_user(context, &ana, "ana", None).await),
        shown(platform.try_grant(&ana, deny("group:team", None)).await),
    ];
    assert!(refused.iter().all(|shown| shown.0 == ErrorKind::Conflict), "{refused:?}");
    // Public counts too, and a deny that leaves somebody else is nobody's harm.
    platform.try_grant(&ana, new_grant("public", "platform", &["admin"])).await.unwrap();
    made.delete_group(context, &ana, "team", None).await.unwrap();
    platform.try_grant(&ana, deny("user:admin", None)).await.unwrap();
}

#[tokio::test]
async fn ten_thousand_grants_one_by_one() {
    let platform = Platform::furnished().await;
    let admin = platform.admin().await;
    for i in 0..10_000 {
        let new = new_grant(&format!("user:u{i}"), if i % 2 == 0 { "platform" } else { "domain:d" }, &["read"]);
        assert!(platform.try_grant(&admin, new).await.unwrap().is_new());
    }
    let snapshot = platform.gate.catalog().snapshot();
    assert_eq!(snapshot.grants().count(), 10_001);
    // What each change looks at beside its own object does not grow: the guard reads one grant of five thousand.
    assert_eq!(snapshot.grants_on(&Resource::PLATFORM).count(), 5_001);
    assert_eq!(snapshot.platform_admin_grants().count(), 1);
    let payload = platform.entries().await.remove(0).payload.unwrap();
    assert_eq!(payload["changes"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_journal_never_holds_a_secret() {
    let platform = Platform::furnished().await;
    let (id, text) = platform.key("ana", None).await;
    let admin = platform.admin().await;
    platform
        .administration
        .rotate_key(&platform.context, &admin, &id, std::time::Duration::from_secs(9))
        .await
        .unwrap();
    platform.administration.bootstrap(&platform.context, Some("a-long-random-admin-key")).await.unwrap();
    let journal = serde_json::to_string(&platform.entries().await).unwrap();
    let snapshot = platform.gate.catalog().snapshot();
    let hashes: Vec<&str> = snapshot.keys().flat_map(|key| &key.secrets).map(|secret| &*secret.hash).collect();
    assert_eq!(hashes.len(), 3);
    for secret in hashes.into_iter().chain([&*text, &platform.admin_key, "a-long-random-admin-key"]) {
        assert!(!journal.contains(secret));
    }
    assert!(!format!("{:?} {:?}", platform.gate, platform.gate.authenticate(&text)).contains(&text));
}
