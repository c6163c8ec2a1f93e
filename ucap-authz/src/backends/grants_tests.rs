//! The reference authorizer against the naive rule, and the suite against authorizers that are wrong.

use super::*;
use crate::conformance::{Violation, World, authorizer, reference};
use ucap_core::catalog::{Change, Domain, Object, ObjectKind};

#[tokio::test]
async fn it_conforms() {
    assert_eq!(authorizer(|| Arc::new(GrantAuthorizer), 60).await, []);
}

#[test]
fn a_hundred_thousand_questions_are_answered_as_by_the_naive_rule() {
    let (mut asked, mut allowed) = (0u32, 0u32);
    for seed in 1000..1160 {
        let world = World::new(seed);
        for caller in &world.callers {
            let rights = compile(caller, &world.snapshot, world.now);
            for (resource, action) in world.requests() {
                let may = rights.may(&world.snapshot, &resource, action);
                let expected = reference::may(&world.snapshot, caller, &resource, action, world.now);
                assert_eq!(may, expected, "world {seed}: {action:?} on {resource}");
                asked += 1;
                allowed += u32::from(may);
            }
        }
    }
    assert!(asked >= 100_000 && allowed > asked / 20, "{allowed} of {asked} allowed");
}

#[test]
fn rights_end_with_the_first_grant_that_ends() {
    for seed in 0..50 {
        let world = World::new(seed);
        for caller in &world.callers {
            let rights = compile(caller, &world.snapshot, world.now);
            let Some(end) = rights.valid_until else { continue };
            assert!(end > world.now);
            let same = compile(caller, &world.snapshot, end - time::Duration::nanoseconds(1));
            assert_eq!(same.digest(), rights.digest());
            assert_ne!(compile(caller, &world.snapshot, end).digest(), rights.digest());
        }
    }
}

/// An authorizer with one fault.
#[derive(Debug)]
struct Wrong(u8);

impl Wrong {
    fn twist(
        &self,
        caller: &Caller,
        snapshot: &Arc<Snapshot>,
        now: OffsetDateTime,
    ) -> (Caller, Arc<Snapshot>, OffsetDateTime) {
        let (user, scopes) = (caller.user().unwrap(), caller.scopes().map(|scopes| scopes.to_vec()));
        let (mut caller, mut changes, mut now) = (caller.clone(), Vec::new(), now);
        match self.0 {
            1 => now = OffsetDateTime::UNIX_EPOCH,
            2 => now += time::Duration::days(400),
            3 => caller = Caller::assembled(user, caller.groups().clone(), None),
            4 => caller = Caller::assembled(user, Default::default(), scopes),
            5 => {
                let denies = snapshot.grants().filter(|grant| grant.effect == Effect::Deny);
                changes = denies.map(|grant| Change::Delete(ObjectKind::Grant, grant.id.clone())).collect();
            }
            6 => {
                let hidden = |held: &Arc<Domain>| Domain { public: false, ..Domain::clone(held) };
                changes = snapshot.domains().map(|held| Change::Put(Object::Domain(hidden(held)))).collect();
            }
            7 => {
                let open = |held: &Arc<Domain>| Domain { public: true, ..Domain::clone(held) };
                changes = snapshot.domains().map(|held| Change::Put(Object::Domain(open(held)))).collect();
            }
            _ => {}
        }
        (caller, Arc::new(snapshot.after(snapshot.epoch(), &changes)), now)
    }
}

#[async_trait]
impl Authorizer for Wrong {
    async fn rights(
        &self,
        _context: &RequestContext,
        caller: &Caller,
        snapshot: &Arc<Snapshot>,
        now: OffsetDateTime,
    ) -> Result<Rights> {
        let (caller, snapshot, now) = self.twist(caller, snapshot, now);
        let mut rights = compile(&caller, &snapshot, now);
        match self.0 {
            8 => rights.digest = [0; 32],
            9 => rights.datasources[0] |= rights.datasources[1].clone(),
            10 => {
                rights.domains[3].insert(99);
            }
            _ => {}
        }
        Ok(rights)
    }

    async fn decide(
        &self,
        context: &RequestContext,
        caller: &Caller,
        snapshot: &Arc<Snapshot>,
        now: OffsetDateTime,
        requests: &[AccessRequest],
    ) -> Result<Vec<Decision>> {
        let mut decisions = GrantAuthorizer.decide(context, caller, snapshot, now, requests).await?;
        match self.0 {
            11 => decisions.reverse(),
            12 => decisions.truncate(1),
            13 => decisions.iter_mut().for_each(|decision| decision.reasons.clear()),
            _ => {}
        }
        Ok(decisions)
    }
}

#[tokio::test]
async fn every_wrong_authorizer_is_caught() {
    for fault in 0..=13 {
        let found: Vec<Violation> = authorizer(|| Arc::new(Wrong(fault)), 25).await;
        assert_eq!(found.is_empty(), fault == 0, "fault {fault}: {found:?}");
    }
}
