//! What every [`CatalogStore`] must do, as checks that it runs on itself: [`catalog_store`] owns the list.
//!
//! ```
//! use std::sync::Arc;
//! use ucap_core::catalog::{CatalogStore, backends::memory::MemoryCatalogStore};
//! use ucap_core::conformance::{Places, catalog_store};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let places = Places::default();
//! let violations = catalog_store(async |place| {
//!     Ok(places.at(place, || Arc::new(MemoryCatalogStore::default()) as Arc<dyn CatalogStore>))
//! });
//! assert_eq!(violations.await, []);
//! # }
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::catalog::{
    ApiKey, CatalogStore, Change, Datasource, Domain, Effect, Grant, Group, KeyScope, KeySecret, Object, ObjectKind,
    Stamp, User,
};
use crate::entropy::{Entropy, SeededEntropy};
use crate::error::{ErrorKind, Result};
use crate::identity::Subject;
use crate::resource::{Action, ActionSet, Resource, ResourceKind};

/// A check that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What should hold.
    pub check: &'static str,
    /// What was seen instead.
    pub seen: String,
}

/// Random choices that a seed repeats.
#[derive(Debug)]
pub struct Dice(SeededEntropy);

impl Dice {
    /// The choices of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(SeededEntropy::new(seed))
    }

    /// A number below `end`, which is at least 1.
    pub fn below(&self, end: usize) -> usize {
        let mut bytes = [0u8; 8];
        self.0.fill(&mut bytes);
        (u64::from_le_bytes(bytes) % end.max(1) as u64) as usize
    }

    /// True once in `in_how_many`.
    pub fn once(&self, in_how_many: usize) -> bool {
        self.below(in_how_many) == 0
    }

    /// One of `items`, which is not empty.
    pub fn pick<'a, T>(&self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// Some actions, at least one.
    pub fn actions(&self) -> ActionSet {
        let bits = 1 + self.below(15);
        Action::ALL.into_iter().enumerate().filter(|(i, _)| bits & (1 << i) != 0).map(|(_, action)| action).collect()
    }
}

/// Keeps instances that do not outlive their process, so that a place can be opened again.
#[derive(Debug, Default)]
pub struct Places(Mutex<BTreeMap<usize, Arc<dyn CatalogStore>>>);

impl Places {
    /// The store at `place`, made when it is asked for first.
    pub fn at(&self, place: usize, make: impl FnOnce() -> Arc<dyn CatalogStore>) -> Arc<dyn CatalogStore> {
        Arc::clone(self.0.lock().entry(place).or_insert_with(make))
    }
}

type Objects = BTreeMap<(ObjectKind, String), Object>;

/// Runs every check; `open(place)` opens the store at a place, fresh and empty the first time, with what the one before
/// left afterwards.
pub async fn catalog_store(open: impl AsyncFn(usize) -> Result<Arc<dyn CatalogStore>>) -> Vec<Violation> {
    let mut seen = Vec::new();
    let mut expect = |check: &'static str, outcome: std::result::Result<(), String>| {
        seen.extend(outcome.err().map(|seen| Violation { check, seen }));
    };
    expect("a new store is empty", holds_after(&open, 0, 0, &Objects::new()).await);
    expect("what was applied is there, also after reopening", sequences(&open).await);
    expect("only the next epoch is taken, and a refusal leaves no trace", refusals(&open).await);
    expect("of two writers of one epoch one wins, whole", rivals(&open).await);
    expect("steps count in their order", order(&open).await);
    expect("any text comes back as it was", texts(&open).await);
    seen
}

type Outcome = std::result::Result<(), String>;

fn told(error: crate::Error) -> String {
    format!("{:?}: {error}", error.kind())
}

async fn holds(store: &dyn CatalogStore, epoch: u64, objects: &Objects) -> Outcome {
    let image = store.load().await.map_err(told)?;
    let count = image.objects.len();
    let held: Objects =
        image.objects.into_iter().map(|object| ((object.kind(), object.id().to_owned()), object)).collect();
    if image.epoch != epoch {
        return Err(format!("epoch {} instead of {epoch}", image.epoch));
    }
    if count != held.len() || held != *objects {
        return Err(format!(
            "at epoch {epoch} it holds {count} objects that differ from the {} expected",
            objects.len()
        ));
    }
    Ok(())
}

async fn holds_after(
    open: &impl AsyncFn(usize) -> Result<Arc<dyn CatalogStore>>,
    place: usize,
    epoch: u64,
    objects: &Objects,
) -> Outcome {
    let store = open(place).await.map_err(told)?;
    let outcome = holds(&*store, epoch, objects).await;
    store.close().await;
    outcome
}

fn follow(objects: &mut Objects, changes: &[Change]) {
    for change in changes {
        match change {
            Change::Put(object) => objects.insert((object.kind(), object.id().to_owned()), object.clone()),
            Change::Delete(kind, id) => objects.remove(&(*kind, id.clone())),
        };
    }
}

async fn sequences(open: &impl AsyncFn(usize) -> Result<Arc<dyn CatalogStore>>) -> Outcome {
    for seed in 0..4 {
        let place = 100 + seed as usize;
        let (dice, mut objects) = (Dice::new(seed), Objects::new());
        let mut store = open(place).await.map_err(told)?;
        for epoch in 1..=40 {
            let changes = random_changes(&dice, &objects.keys().cloned().collect::<Vec<_>>(), epoch);
            store.apply(epoch, &changes).await.map_err(told)?;
            follow(&mut objects, &changes);
            holds(&*store, epoch, &objects).await?;
            if dice.once(10) {
                store.close().await;
                store = open(place).await.map_err(told)?;
                holds(&*store, epoch, &objects).await?;
            }
        }
        store.close().await;
    }
    Ok(())
}

fn group(id: &str, title: &str, epoch: u64) -> Change {
    Change::Put(Object::Group(Group { id: id.to_owned(), title: title.to_owned(), stamp: stamp(epoch) }))
}

fn stamp(epoch: u64) -> Stamp {
    Stamp {
        generation: epoch,
        version: 1,
        created_at: time::OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(epoch as i64),
    }
}

async fn refusals(open: &impl AsyncFn(usize) -> Result<Arc<dyn CatalogStore>>) -> Outcome {
    let store = open(1).await.map_err(told)?;
    let mut objects = Objects::new();
    for (epoch, wrong) in [(0, [0, 2, 5]), (1, [0, 1, 3])] {
        for wrong in wrong {
            match store.apply(wrong, &[group("wrong", "", wrong), group("kept", "wrong", wrong)]).await {
                Err(error) if error.kind() == ErrorKind::Unavailable => {}
                other => return Err(format!("epoch {wrong} after {epoch} gave {other:?} instead of Unavailable")),
            }
            holds(&*store, epoch, &objects).await?;
        }
        let change = [group("kept", "first", epoch + 1)];
        store.apply(epoch + 1, &change).await.map_err(told)?;
        follow(&mut objects, &change);
    }
    store.close().await;
    holds_after(open, 1, 2, &objects).await
}

async fn rivals(open: &impl AsyncFn(usize) -> Result<Arc<dyn CatalogStore>>) -> Outcome {
    let store = open(2).await.map_err(told)?;
    let mut objects = Objects::new();
    for epoch in 1..=10 {
        let (one, other) = ([group("a", "one", epoch)], [group("a", "other", epoch), group("b", "other", epoch)]);
        let (first, second) = tokio::join!(store.apply(epoch, &one), store.apply(epoch, &other));
        match (&first, &second) {
            (Ok(()), Err(_)) => follow(&mut objects, &one),
            (Err(_), Ok(())) => follow(&mut objects, &other),
            both => return Err(format!("two writers of epoch {epoch} got {both:?}")),
        }
        holds(&*store, epoch, &objects).await?;
    }
    store.close().await;
    Ok(())
}

async fn order(open: &impl AsyncFn(usize) -> Result<Arc<dyn CatalogStore>>) -> Outcome {
    let store = open(3).await.map_err(told)?;
    let gone = || Change::Delete(ObjectKind::Group, "a".into());
    let mut objects = Objects::new();
    let user = Change::Put(Object::User(User { id: "a".into(), groups: Default::default(), stamp: stamp(1) }));
    let steps = [
        vec![user, group("a", "kept apart by kind", 1)],
        vec![group("a", "1", 2), gone(), group("a", "2", 2)],
        vec![group("a", "3", 3), gone()],
        vec![gone(), Change::Delete(ObjectKind::Grant, "never was".into())],
    ];
    for (epoch, changes) in (1..).zip(&steps) {
        store.apply(epoch, changes).await.map_err(told)?;
        follow(&mut objects, changes);
        holds(&*store, epoch, &objects).await?;
    }
    store.close().await;
    Ok(())
}

async fn texts(open: &impl AsyncFn(usize) -> Result<Arc<dyn CatalogStore>>) -> Outcome {
    let store = open(4).await.map_err(told)?;
    let texts = ["", "'; DROP TABLE object; --", "\"\\\u{0}\n", "ñandú Ñ", "\u{1F980}é e\u{301}", "%_", "A", "a", "a "];
    let mut objects = Objects::new();
    let changes: Vec<Change> = texts.iter().map(|text| group(text, text, 1)).collect();
    store.apply(1, &changes).await.map_err(told)?;
    follow(&mut objects, &changes);
    holds(&*store, 1, &objects).await?;
    let settings =
        serde_json::json!({"n": i64::MIN, "u": u64::MAX, "f": 0.1, "deep": {"ñ": [null, true, "x".repeat(200_000)]}});
    let datasource = Datasource { settings, ..random_datasource(&Dice::new(1), 2) };
    let changes = [Change::Put(Object::Datasource(datasource))];
    store.apply(2, &changes).await.map_err(told)?;
    follow(&mut objects, &changes);
    store.close().await;
    holds_after(open, 4, 2, &objects).await
}

/// One to four random steps at `epoch`, over few names, so that they are replaced, deleted and used again. `held` is what
/// exists. At most one domain and one datasource is new, as [`Planning::ordinal`](crate::catalog::Planning::ordinal) asks.
pub fn random_changes(dice: &Dice, held: &[(ObjectKind, String)], epoch: u64) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    for _ in 0..=dice.below(4) {
        if dice.once(4) && !held.is_empty() {
            let (kind, id) = dice.pick(held).clone();
            changes.push(Change::Delete(kind, id));
            continue;
        }
        let put = random_object(dice, epoch);
        let twice = |change: &Change| matches!(change, Change::Put(object) if object.kind() == put.kind());
        if !changes.iter().any(twice) {
            changes.push(Change::Put(put));
        }
    }
    changes
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "ñ/e"];

fn random_resource(dice: &Dice) -> Resource {
    let kinds =
        [ResourceKind::Domain, ResourceKind::Datasource, ResourceKind::Model, ResourceKind::Mcp, ResourceKind::UseCase];
    match (*dice.pick(&kinds), dice.below(6)) {
        (_, 0) => Resource::PLATFORM,
        (kind, 1) => Resource::all(kind),
        (kind, _) => Resource::one(kind, NAMES[dice.below(4)]),
    }
}

fn random_datasource(dice: &Dice, epoch: u64) -> Datasource {
    Datasource {
        id: (*dice.pick(&NAMES)).to_owned(),
        domain: (*dice.pick(&NAMES)).to_owned(),
        format: "osv".into(),
        title: format!("título {}", dice.below(9)),
        retention_days: dice.once(2).then_some(7),
        settings: serde_json::json!({"language": "es", "n": dice.below(9)}),
        ordinal: epoch as u32,
        stamp: stamp(epoch),
    }
}

fn random_object(dice: &Dice, epoch: u64) -> Object {
    let (id, stamp) = ((*dice.pick(&NAMES)).to_owned(), stamp(epoch));
    let title = format!("título {}", dice.below(9));
    let expires_at = dice.once(3).then(|| stamp.created_at + time::Duration::days(dice.below(3) as i64));
    match dice.below(7) {
        0 => Object::Domain(Domain { id, title, public: dice.once(2), ordinal: epoch as u32, stamp }),
        1 => Object::Datasource(random_datasource(dice, epoch)),
        2 => Object::User(User {
            id,
            groups: NAMES.into_iter().filter(|_| dice.once(2)).map(str::to_owned).collect(),
            stamp,
        }),
        3 => Object::Group(Group { id, title, stamp }),
        4 => Object::ApiKey(ApiKey {
            id,
            user: (*dice.pick(&NAMES)).to_owned(),
            user_generation: epoch,
            name: title,
            scopes: dice.once(2).then(|| vec![KeyScope { resource: random_resource(dice), actions: dice.actions() }]),
            expires_at,
            secrets: vec![KeySecret { hash: "5ec7e7".repeat(4), pepper: 1, expires_at }],
            stamp,
        }),
        _ => Object::Grant(Grant {
            id,
            subject: match dice.below(3) {
                0 => Subject::Public,
                1 => Subject::Group("a".into()),
                _ => Subject::User((*dice.pick(&NAMES[..4])).to_owned()),
            },
            resource: random_resource(dice),
            actions: dice.actions(),
            effect: if dice.once(3) { Effect::Deny } else { Effect::Allow },
            expires_at,
            stamp,
        }),
    }
}
