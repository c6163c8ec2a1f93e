//! The gate: credentials, scopes and their digests, and an authorizer that does not do its work.

use async_trait::async_trait;
use ucap_core::catalog::Effect;
use ucap_core::{Action, Subject};

use super::*;
use crate::administration::DatasourcePatch;
use crate::backends::grants::GrantAuthorizer;
use crate::fixture::{Platform, new_grant, set, shown};

fn refused(platform: &Platform, bearer: &str) -> (ErrorKind, String, Option<String>) {
    shown(platform.gate.authenticate(bearer))
}

#[tokio::test]
async fn every_bad_credential_is_refused_with_the_same_words() {
    let platform = Platform::furnished().await;
    let (_, text) = platform.key("ana", None).await;
    assert_eq!(platform.gate.authenticate(&text).unwrap().user(), Some("ana"));
    let other = crate::identity::api_key::KeyText::mint(&ucap_core::SeededEntropy::new(99), id_of(&text).unwrap());
    let (long, cut) = ("x".repeat(1 << 20), &text[..text.len() - 1]);
    let bad =
        ["", "Bearer", &long, cut, other.expose(), &text.to_uppercase(), &format!("{text} "), "ucap_live_bootstrap_"];
    for bearer in bad {
        assert_eq!(refused(&platform, bearer), refused(&platform, "nonsense"));
        assert_eq!(refused(&platform, bearer).0, ErrorKind::Unauthenticated);
    }
}

#[tokio::test]
async fn a_key_ends_at_its_time_and_an_old_secret_after_the_overlap() {
    let platform = Platform::furnished().await;
    let (id, old) = platform.key("ana", None).await;
    let (admin, context) = (platform.admin().await, &platform.context);
    let in_flight = platform.gate.authenticate(&old).unwrap();
    let overlap = Duration::from_secs(60);
    let new = platform.administration.rotate_key(context, &admin, &id, overlap).await.unwrap();
    assert_eq!(new.key.stamp.version, 2);
    platform.clock.advance(time::Duration::seconds(59));
    assert!(platform.gate.authenticate(&old).is_ok() && platform.gate.authenticate(new.text.expose()).is_ok());
    platform.gate.scope(context, &in_flight).await.unwrap();
    platform.clock.advance(time::Duration::seconds(1));
    assert_eq!(refused(&platform, &old).0, ErrorKind::Unauthenticated);
    assert_eq!(shown(platform.gate.scope(context, &in_flight).await).0, ErrorKind::Unauthenticated);
    assert!(platform.gate.authenticate(new.text.expose()).is_ok());

    // Three rotations leave two secrets; the one in the middle is good, the first is not.
    let third = platform.administration.rotate_key(context, &admin, &id, overlap).await.unwrap();
    let fourth = platform.administration.rotate_key(context, &admin, &id, overlap).await.unwrap();
    assert_eq!(fourth.key.secrets.len(), 2);
    assert_eq!(refused(&platform, new.text.expose()).0, ErrorKind::Unauthenticated);
    assert!(platform.gate.authenticate(third.text.expose()).is_ok());

    let end = Some(Some(platform.clock.now() + time::Duration::seconds(5)));
    platform.administration.change_key(context, &admin, &id, None, end, None).await.unwrap();
    let caller = platform.gate.authenticate(fourth.text.expose()).unwrap();
    platform.clock.advance(time::Duration::seconds(5));
    assert_eq!(refused(&platform, fourth.text.expose()).0, ErrorKind::Unauthenticated);
    assert_eq!(shown(platform.gate.scope(context, &caller).await).0, ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn a_deleted_key_or_user_is_out_and_a_new_user_of_the_name_inherits_nothing() {
    let platform = Platform::furnished().await;
    let (admin, context) = (platform.admin().await, &platform.context);
    let ((gone, first), (_, second)) = (platform.key("ana", None).await, platform.key("ana", None).await);
    let caller = platform.gate.authenticate(&first).unwrap();
    platform.administration.delete_key(context, &admin, &gone, None).await.unwrap();
    assert_eq!(refused(&platform, &first).0, ErrorKind::Unauthenticated);
    assert_eq!(shown(platform.gate.scope(context, &caller).await).0, ErrorKind::Unauthenticated);

    platform.grant("user:ana", "domain:d", &["read"]).await;
    let (held, vouched) = (platform.gate.authenticate(&second).unwrap(), platform.gate.vouch("ana").unwrap());
    let scope = platform.gate.scope(context, &vouched).await.unwrap();
    platform.administration.delete_user(context, &admin, "ana", None).await.unwrap();
    platform.user("ana", &["team"]).await;
    assert_eq!(refused(&platform, &second).0, ErrorKind::Unauthenticated);
    for caller in [&held, &vouched] {
        assert_eq!(shown(platform.gate.scope(context, caller).await).0, ErrorKind::Unauthenticated);
    }
    assert_eq!(shown(platform.gate.revalidate(context, &scope).await).0, ErrorKind::Unauthenticated);
    assert_ne!(platform.gate.vouch("ana").unwrap().binding(), vouched.binding(), "cursors do not fit either");
    assert!(platform.scope("ana").await.visible_domains().is_empty());
}

#[tokio::test]
async fn the_administrators_key_may_have_any_form() {
    let forms = [
        "a-long-random-admin-key",
        "ucap_live_x_0123456789",
        "ñ-is-no-header-text-at-all",
        "short",
        "has a space inside it",
    ];
    for (text, good) in forms.into_iter().zip([true, true, false, false, false]) {
        let platform = Platform::new().await;
        let done = platform.administration.bootstrap(&platform.context, Some(text)).await;
        assert_eq!(done.is_ok(), good, "{text}");
        if good {
            assert!(done.unwrap().is_none(), "a given key is not shown");
            assert_eq!(platform.gate.authenticate(text).unwrap().user(), Some("admin"));
            assert_eq!(refused(&platform, &platform.admin_key).0, ErrorKind::Unauthenticated);
        } else {
            platform.gate.authenticate(&platform.admin_key).unwrap();
        }
    }
    // A whole key of another installation.
    let (platform, other) = (Platform::new().await, Platform::furnished().await);
    let (_, foreign) = other.key("ana", None).await;
    platform.administration.bootstrap(&platform.context, Some(&foreign)).await.unwrap();
    assert_eq!(platform.gate.authenticate(&foreign).unwrap().user(), Some("admin"));
}

#[tokio::test]
async fn the_administrators_key_is_made_good_at_every_start() {
    let (platform, text) = (Platform::new().await, "a-long-random-admin-key");
    let start = async || platform.administration.bootstrap(&platform.context, Some(text)).await.unwrap();
    start().await;
    let epoch = platform.gate.catalog().snapshot().epoch();
    start().await;
    assert_eq!(platform.gate.catalog().snapshot().epoch(), epoch, "the same key again is no change");
    assert!(platform.administration.bootstrap(&platform.context, None).await.unwrap().is_none());

    let (admin, overlap) = (platform.admin().await, Duration::from_secs(9));
    platform.administration.rotate_key(&platform.context, &admin, BOOTSTRAP_KEY, overlap).await.unwrap();
    start().await;
    platform.clock.advance(time::Duration::seconds(10));
    platform.gate.authenticate(text).expect("an overlap does not end the key that was given");
    let past = Some(Some(platform.clock.now()));
    platform.administration.change_key(&platform.context, &admin, BOOTSTRAP_KEY, None, past, None).await.unwrap();
    assert_eq!(refused(&platform, text).0, ErrorKind::Unauthenticated);
    start().await;
    platform.gate.authenticate(text).unwrap();
}

#[tokio::test]
async fn a_key_narrows_and_follows_its_owners_rights() {
    let platform = Platform::furnished().await;
    let grant = platform.grant("user:ana", "domain:d", &["read", "write"]).await;
    let (_, text) = platform.key("ana", Some(&[("datasource:ds", &["read"]), ("domain:e", &["read"])])).await;
    let caller = platform.gate.authenticate(&text).unwrap();
    let scope = platform.gate.scope(&platform.context, &caller).await.unwrap();
    let held: Vec<Action> = scope.actions(&Resource::datasource("ds")).iter().collect();
    assert_eq!((held, scope.visible_datasources().len()), (vec![Action::Read], 1));
    assert_eq!((scope.visible_domains().len(), scope.permits(Action::Read).len()), (0, 1));
    assert_eq!(shown(scope.permit("ds", Action::Write)).0, ErrorKind::PermissionDenied);
    assert_eq!(shown(scope.permit("es", Action::Read)).0, ErrorKind::NotFound);
    platform.administration.delete_grant(&platform.context, &platform.admin().await, &grant.id, None).await.unwrap();
    assert_eq!(shown(platform.gate.revalidate(&platform.context, &scope).await).0, ErrorKind::ScopeExpired);
    let scope = platform.gate.scope(&platform.context, &caller).await.unwrap();
    assert!(scope.visible_datasources().is_empty());
    let none = platform.key("admin", Some(&[])).await.1;
    let none = platform.gate.scope(&platform.context, &platform.gate.authenticate(&none).unwrap()).await.unwrap();
    assert!(!none.is_platform_admin() && none.visible_datasources().is_empty() && !none.administers_something());
}

#[tokio::test]
async fn a_digest_changes_with_what_concerns_the_caller_and_with_nothing_else() {
    let platform = Platform::furnished().await;
    platform.grant("group:team", "domain:d", &["read"]).await;
    let scope = platform.scope("ana").await;
    let (context, made) = (&platform.context, &platform.administration);

    platform.grant("user:bob", "domain:d", &["read"]).await;
    platform.domain("f", false).await;
    platform.datasource("fs", "f").await;
    platform.user("carl", &["team"]).await;
    platform.key("ana", None).await;
    let patch = DatasourcePatch { title: Some("new".into()), ..DatasourcePatch::default() };
    made.change_datasource(context, &platform.admin().await, "ds", patch, None).await.unwrap();
    made.change_user(context, &platform.admin().await, "ana", Some(set(&["team", "empty"])), None).await.unwrap();
    platform.gate.revalidate(context, &scope).await.expect("none of it concerns ana");

    let changed = async |scope: &Scope, what: &str| {
        assert_eq!(shown(platform.gate.revalidate(context, scope).await).0, ErrorKind::ScopeExpired, "{what}");
        platform.scope("ana").await
    };
    platform.datasource("ds2", "d").await;
    let scope = changed(&scope, "a datasource more").await;
    made.delete_datasource(context, &platform.admin().await, "ds2", None).await.unwrap();
    platform.datasource("ds2", "d").await;
    let scope = changed(&scope, "another datasource of the same name").await;
    let patch = crate::administration::DomainPatch { public: Some(true), ..Default::default() };
    made.change_domain(context, &platform.admin().await, "e", patch, None).await.unwrap();
    let scope = changed(&scope, "a domain became public").await;
    let mut deny = new_grant("public", "model:m", &["execute"]);
    deny.effect = Effect::Deny;
    platform.try_grant(&platform.admin().await, deny).await.unwrap();
    let scope = changed(&scope, "a deny on a model").await;
    made.change_user(context, &platform.admin().await, "ana", Some(set(&[])), None).await.unwrap();
    let scope = changed(&scope, "out of the group").await;
    platform.grant("user:ana", "domain:d", &["read"]).await;
    let scope = changed(&scope, "a grant of one's own").await;
    let mut ending = new_grant("user:ana", "domain:e", &["write"]);
    ending.expires_at = Some(platform.clock.now() + time::Duration::seconds(5));
    platform.try_grant(&platform.admin().await, ending).await.unwrap();
    let scope = changed(&scope, "a grant that will end").await;
    platform.clock.advance(time::Duration::seconds(5));
    let ended = changed(&scope, "it has ended, without any change").await;
    platform.clock.advance(time::Duration::seconds(-5));
    assert!(changed(&ended, "the clock went back").await.may(&Resource::domain("e"), Action::Write));
}

#[tokio::test]
async fn a_permit_holds_as_long_as_its_action_on_its_datasource() {
    let platform = Platform::furnished().await;
    let grant = platform.grant("user:ana", "domain:d", &["write"]).await;
    let permit = platform.scope("ana").await.permit("ds", Action::Write).unwrap();
    assert!(permit.allows(Action::Write) && !permit.allows(Action::Read) && !permit.allows(Action::Admin));
    platform.datasource("another", "d").await;
    platform.gate.revalidate_permit(&platform.context, &permit).await.expect("another datasource is no reason to stop");
    let expired = async || shown(platform.gate.revalidate_permit(&platform.context, &permit).await).0;
    let admin = platform.admin().await;
    platform.administration.delete_grant(&platform.context, &admin, &grant.id, None).await.unwrap();
    assert_eq!(expired().await, ErrorKind::ScopeExpired);
    platform.grant("user:ana", "domain:d", &["write"]).await;
    platform.gate.revalidate_permit(&platform.context, &permit).await.unwrap();
    platform.administration.delete_datasource(&platform.context, &admin, "ds", None).await.unwrap();
    assert_eq!(expired().await, ErrorKind::ScopeExpired);
    platform.datasource("ds", "d").await;
    assert_eq!(expired().await, ErrorKind::ScopeExpired, "another datasource has the name now");
}

#[tokio::test]
async fn the_systems_permits_are_journaled_and_end_with_their_datasource() {
    let platform = Platform::furnished().await;
    let permit = platform.gate.system_permit(&platform.context, "ds", "retention").await.unwrap();
    let entry = platform.entries().await.remove(0);
    assert_eq!(
        (&*entry.kind, &*entry.principal, entry.resource.as_deref()),
        ("system.work", "system", Some("datasource:ds"))
    );
    assert_eq!(entry.payload.unwrap()["work"], "retention");
    assert!(Action::ALL.into_iter().all(|action| permit.allows(action)));
    platform.gate.revalidate_permit(&platform.context, &permit).await.unwrap();
    let admin = platform.admin().await;
    platform.administration.delete_datasource(&platform.context, &admin, "ds", None).await.unwrap();
    platform.datasource("ds", "d").await;
    assert_eq!(shown(platform.gate.revalidate_permit(&platform.context, &permit).await).0, ErrorKind::ScopeExpired);
    assert_eq!(shown(platform.gate.system_permit(&platform.context, "none", "retention").await).0, ErrorKind::NotFound);
    platform.journal.close().await.unwrap();
    assert_eq!(shown(platform.gate.system_permit(&platform.context, "ds", "x").await).0, ErrorKind::Unavailable);
    let record = platform.gate.record_denial(&platform.context, "user:ana", "x", ErrorKind::NotFound).await;
    assert_eq!(shown(record).0, ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_denial_leaves_the_same_entry_for_hidden_and_missing() {
    let platform = Platform::furnished().await;
    let scope = platform.scope("bob").await;
    let mut traces = Vec::new();
    for name in ["ds", "missing"] {
        let error = scope.permit(name, Action::Read).unwrap_err();
        assert_eq!(error.message(), format!("datasource `{name}` does not exist or is not visible to you"));
        platform.gate.record_denial(&platform.context, "user:bob", "datasource:x", error.kind()).await.unwrap();
        let entry = platform.entries().await.remove(0);
        traces.push((entry.kind, entry.principal, entry.resource, entry.decision, entry.payload));
    }
    assert_eq!(traces[0], traces[1]);
    platform
        .gate
        .record_denial(&platform.context, "user:bob", &"ñ".repeat(1 << 20), ErrorKind::NotFound)
        .await
        .unwrap();
}

/// Fails, hangs, or leaves a question out.
#[derive(Debug)]
enum Lame {
    Errs,
    Hangs,
    Forgets,
}

#[async_trait]
impl Authorizer for Lame {
    async fn rights(
        &self,
        context: &RequestContext,
        caller: &Caller,
        snapshot: &Arc<Snapshot>,
        now: OffsetDateTime,
    ) -> Result<Rights> {
        match self {
            Self::Errs => Err(Error::new(ErrorKind::Unavailable, "no rules")),
            Self::Hangs => std::future::pending().await,
            Self::Forgets => GrantAuthorizer.rights(context, caller, snapshot, now).await,
        }
    }

    async fn decide(
        &self,
        _: &RequestContext,
        _: &Caller,
        _: &Arc<Snapshot>,
        _: OffsetDateTime,
        _: &[AccessRequest],
    ) -> Result<Vec<Decision>> {
        match self {
            Self::Errs => Err(Error::new(ErrorKind::Unavailable, "no rules")),
            Self::Hangs => std::future::pending().await,
            Self::Forgets => Ok(vec![]),
        }
    }
}

#[tokio::test]
async fn an_authorizer_that_fails_is_never_an_allow() {
    for (lame, scopes) in [(Lame::Errs, false), (Lame::Hangs, false), (Lame::Forgets, true)] {
        let what = format!("{lame:?}");
        let platform = Platform::with(Arc::new(lame)).await;
        // The request's own deadline is shorter than the authorizer's two seconds.
        let context = RequestContext::new("r").with_timeout(Duration::from_millis(20));
        let caller = platform.gate.vouch("admin").unwrap();
        let scope = platform.gate.scope(&context, &caller).await;
        assert_eq!(scope.is_ok(), scopes, "{what}");
        if let Err(error) = scope {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{what}");
        }
        let request = AccessRequest { resource: Resource::PLATFORM, action: Action::Admin };
        assert_eq!(
            shown(platform.gate.explain(&context, &caller, &[request]).await).0,
            ErrorKind::Unavailable,
            "{what}"
        );
    }
}

async fn explained(platform: &Platform, subject: &Subject) -> Decision {
    let request = AccessRequest { resource: Resource::datasource("ds"), action: Action::Read };
    platform.gate.explain(&platform.context, &platform.gate.describe(subject), &[request]).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_group_is_who_is_in_it_alone() {
    let platform = Platform::furnished().await;
    let of = |text: &str| Subject::parse(text).unwrap();
    let allowed = async |subject: &str| explained(&platform, &of(subject)).await.allowed;
    platform.grant("user:ana", "datasource:ds", &["read"]).await;
    assert!(allowed("user:ana").await);
    assert!(!allowed("group:team").await && !allowed("group:idp/team").await && !allowed("public").await);
    platform.grant("group:team", "datasource:ds", &["read"]).await;
    platform.grant("group:idp/team", "datasource:ds", &["read"]).await;
    assert!(allowed("group:team").await && allowed("group:idp/team").await);
    assert!(!allowed("group:other").await && !allowed("public").await);
    platform.grant("public", "domain:d", &["read"]).await;
    assert!(allowed("group:other").await && allowed("public").await);
    let decision = explained(&platform, &of("group:other")).await;
    assert!(matches!(&decision.reasons[..], [crate::Reason::Grant { subject: Subject::Public, .. }]), "{decision:?}");
    // Somebody in no more than a group is nobody: such a caller is never let in.
    for subject in ["group:team", "public"] {
        let described = platform.gate.describe(&of(subject));
        assert_eq!(shown(platform.gate.scope(&platform.context, &described).await).0, ErrorKind::Unauthenticated);
    }
}

#[tokio::test]
async fn what_is_asked_about_somebody_else_needs_no_such_user() {
    let platform = Platform::furnished().await;
    platform.grant("user:nobody", "domain:d", &["read"]).await;
    let ask = async |user: &str| explained(&platform, &Subject::User(user.into())).await;
    let decision = ask("nobody").await;
    assert!(decision.allowed);
    let [crate::Reason::Grant { subject, resource, .. }] = &decision.reasons[..] else { panic!("{decision:?}") };
    assert_eq!((subject, resource), (&Subject::User("nobody".into()), &Resource::domain("d")));
    assert_eq!(ask("stranger").await, Decision { allowed: false, reasons: vec![] });
    let described = platform.gate.describe(&Subject::User("nobody".into()));
    assert_eq!(shown(platform.gate.scope(&platform.context, &described).await).0, ErrorKind::Unauthenticated);
}
