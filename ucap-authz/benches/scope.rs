//! Rights over 10,000 datasources and 10,000 grants: compiling a scope, checking, listing; beside the naive rule that reads the
//! grants for each datasource.
//!
//!     cargo bench --workspace --bench scope

#[path = "../../benches/limits/run.rs"]
mod run;

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;

use criterion::Criterion;
use time::OffsetDateTime;
use tokio::runtime::Runtime;
use ucap_authz::identity::api_key::Peppers;
use ucap_authz::{AccessRequest, Administration, Authorizer, Gate, GrantAuthorizer, Scope};
use ucap_core::catalog::backends::memory::MemoryCatalogStore;
use ucap_core::catalog::{
    Catalog, CatalogStore, Change, Datasource, Domain, Effect, Grant, Object, Snapshot, Stamp, User,
};
use ucap_core::journal::MemoryJournal;
use ucap_core::{Action, Clock, Principal, RequestContext, Resource, SeededEntropy, Subject, SystemClock};

const DATASOURCES: u32 = 10_000;
const DOMAINS: u32 = 100;
/// Of the 10,000 grants, `ana` has those of her group: 100, most on datasources, some on domains, some denials.
const GROUPS: u32 = 100;

fn main() {
    let mut criterion = run::criterion();
    let runtime = Runtime::new().expect("a runtime starts");
    let datasources = if run::is_measuring() { DATASOURCES } else { 500 };
    let world = runtime.block_on(World::new(datasources));
    compiling(&mut criterion, &runtime, &world);
    asking(&mut criterion, &runtime, &world);
    criterion.final_summary();
}

/// A gate over the catalog, and its administrator's key.
struct World {
    gate: Arc<Gate>,
    context: RequestContext,
    admin_key: String,
}

impl World {
    async fn new(datasources: u32) -> Self {
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SeededEntropy::new(1)));
        let journal = Arc::new(MemoryJournal::new(clock.clone(), entropy.clone()));
        let store = Arc::new(MemoryCatalogStore::default());
        let catalog = Catalog::open(store.clone(), journal.clone(), clock.clone(), Box::new(|_, _| Ok(()))).await;
        let gate = |catalog| {
            let peppers = Peppers::generate(&SeededEntropy::new(2));
            Arc::new(Gate::new(Arc::new(catalog), Arc::new(GrantAuthorizer), journal.clone(), clock.clone(), peppers))
        };
        let context = RequestContext::new("r-1");
        let first = gate(catalog.expect("an empty catalog opens"));
        let made = Administration::new(first.clone(), entropy, Box::new(|_| true)).bootstrap(&context, None).await;
        let admin_key = made.expect("an administrator is made").expect("it is the first start").expose().to_owned();
        // The rest in one step below the catalog: made one by one, it would take as many journal entries.
        let epoch = first.catalog().snapshot().epoch() + 1;
        store.apply(epoch, &everything(datasources)).await.expect("the store takes it");
        let catalog = Catalog::open(store, journal.clone(), clock.clone(), Box::new(|_, _| Ok(()))).await;
        Self { gate: gate(catalog.expect("the catalog opens")), context, admin_key }
    }

    async fn scope(&self, user: &str) -> Scope {
        self.gate.scope(&self.context, &self.gate.vouch(user).expect("the user exists")).await.expect("a scope")
    }
}

fn everything(datasources: u32) -> Vec<Change> {
    let stamp =
        |number: u32| Stamp { generation: u64::from(number) + 2, version: 1, created_at: OffsetDateTime::UNIX_EPOCH };
    let domain = |number: u32| {
        let id = format!("domain-{number:03}");
        let title = id.clone();
        Object::Domain(Domain { id, title, public: number == 0, ordinal: number + 2, stamp: stamp(number) })
    };
    let datasource = |number: u32| {
        Object::Datasource(Datasource {
            id: format!("source-{number:05}"),
            domain: format!("domain-{:03}", number % DOMAINS),
            format: "osv".to_owned(),
            title: String::new(),
            retention_days: None,
            settings: serde_json::Value::Null,
            ordinal: number + 2,
            stamp: stamp(number),
        })
    };
    let grant = |number: u32| {
        Object::Grant(Grant {
            id: format!("g_{number:016}"),
            subject: Subject::Group(format!("group-{:02}", number % GROUPS)),
            resource: match number / GROUPS % 20 {
                0 => Resource::domain(format!("domain-{:03}", (number + 1) % DOMAINS)),
                _ => Resource::datasource(format!("source-{:05}", number.wrapping_mul(7919) % datasources)),
            },
            actions: [Action::Read].into_iter().collect(),
            effect: if number / GROUPS % 10 == 9 { Effect::Deny } else { Effect::Allow },
            expires_at: None,
            stamp: stamp(number),
        })
    };
    let users = [("ana", vec!["group-07".to_owned()]), ("all", (0..GROUPS).map(|i| format!("group-{i:02}")).collect())];
    let users = users.map(|(id, groups)| {
        Object::User(User { id: id.to_owned(), groups: BTreeSet::from_iter(groups), stamp: stamp(0) })
    });
    let objects = (0..DOMAINS).map(domain).chain((0..datasources).map(datasource)).chain((0..datasources).map(grant));
    objects.chain(users).map(Change::Put).collect()
}

fn compiling(criterion: &mut Criterion, runtime: &Runtime, world: &World) {
    let snapshot = world.gate.catalog().snapshot();
    let mut group = criterion.benchmark_group(format!("scope over {} datasources", snapshot.all_datasources().len()));
    for (user, what) in [("ana", "compiled, 100 grants of all"), ("all", "compiled, every grant")] {
        let caller = world.gate.describe(&Subject::User(user.to_owned()));
        let now = SystemClock.now();
        group.bench_function(what, |b| {
            b.iter(|| {
                let rights = GrantAuthorizer.rights(&world.context, &caller, &snapshot, now);
                black_box(runtime.block_on(rights).expect("rights"))
            });
        });
    }
    let ana = world.gate.vouch("ana").expect("the user exists");
    group.bench_function("kept from the request before", |b| {
        b.iter(|| black_box(runtime.block_on(world.gate.scope(&world.context, &ana)).expect("a scope")));
    });
    let compiled = runtime.block_on(world.scope("ana"));
    assert_eq!(naive(&snapshot, "group-07"), compiled.datasources(Action::Read).len(), "both rules agree");
    group.bench_function("naive: 100 grants read for each datasource", |b| {
        b.iter(|| black_box(naive(&snapshot, "group-07")));
    });
    group.bench_function("a caller by its API key", |b| {
        b.iter(|| {
            let caller = world.gate.authenticate(&world.admin_key).expect("the key is valid");
            assert!(matches!(caller.principal(), Principal::User(_)));
        });
    });
    group.finish();
}

/// How many datasources the group may read, by looking at its grants for each of them.
fn naive(snapshot: &Snapshot, group: &str) -> u64 {
    let grants: Vec<_> = snapshot.grants_of(&Subject::Group(group.to_owned())).collect();
    let may = |datasource: &&Arc<Datasource>| {
        let speaks = |grant: &&&Arc<Grant>| match (grant.resource.kind().as_str(), grant.resource.name()) {
            ("datasource", name) => name == Some(&datasource.id),
            ("domain", name) => name == Some(&datasource.domain),
            _ => false,
        };
        let mut about = grants.iter().filter(speaks).peekable();
        let is_public = snapshot.domain(&datasource.domain).is_some_and(|domain| domain.public);
        let is_spoken_of = about.peek().is_some();
        about.all(|grant| grant.effect == Effect::Allow) && (is_spoken_of || is_public)
    };
    snapshot.datasources().filter(may).count() as u64
}

fn asking(criterion: &mut Criterion, runtime: &Runtime, world: &World) {
    let scope = runtime.block_on(world.scope("ana"));
    let snapshot = scope.snapshot();
    let sources: Vec<Resource> =
        snapshot.datasources().step_by(13).map(|held| Resource::datasource(&*held.id)).collect();
    let readable = scope.datasources(Action::Read).len();
    let mut group = criterion.benchmark_group("questions to a scope");
    let mut next = 0;
    group.bench_function("may read this datasource", |b| {
        b.iter(|| {
            next = (next + 1) % sources.len();
            black_box(scope.may(&sources[next], Action::Read))
        });
    });
    group.bench_function("explained, with the grants", |b| {
        let request = [AccessRequest { resource: sources[1].clone(), action: Action::Read }];
        let caller = scope.caller();
        b.iter(|| {
            black_box(runtime.block_on(world.gate.explain(&world.context, caller, &request)).expect("a decision"))
        });
    });
    group.bench_function(format!("the {readable} readable datasources, as permits"), |b| {
        b.iter(|| black_box(scope.permits(Action::Read)));
    });
    group.bench_function("the visible datasources, as a bitmap", |b| b.iter(|| black_box(scope.visible_datasources())));
    group.finish();
}
