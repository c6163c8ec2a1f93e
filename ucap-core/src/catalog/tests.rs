//! The catalog's promises: derivation, durability, all or nothing, and a journal that holds no secret.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use async_trait::async_trait;
use proptest::prelude::*;
use tokio::sync::Semaphore;

use super::backends::memory::MemoryCatalogStore;
use super::*;
use crate::conformance::{Dice, Places, Violation, catalog_store, random_changes};
use crate::journal::{ChainHead, MemoryJournal, Page, ReadBack, Verification};
use crate::{ManualClock, Resource, SeededEntropy, Subject};

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(time::OffsetDateTime::UNIX_EPOCH))
}

fn memory_journal() -> Arc<MemoryJournal> {
    Arc::new(MemoryJournal::new(clock(), Arc::new(SeededEntropy::new(7))))
}

async fn open(store: Arc<dyn CatalogStore>, journal: Arc<dyn JournalStore>) -> Result<Catalog> {
    Catalog::open(store, journal, clock(), Box::new(|_, _| Ok(()))).await
}

async fn make(catalog: &Catalog, changes: Vec<Change>) -> Result<()> {
    let cause = Cause { principal: &Principal::System, resource: "platform" };
    catalog.change(&RequestContext::new("r"), cause, |_| Ok((changes, ()))).await
}

fn group(id: &str) -> Change {
    let stamp = Stamp { generation: 1, version: 1, created_at: time::OffsetDateTime::UNIX_EPOCH };
    Change::Put(Object::Group(Group { id: id.into(), title: String::new(), stamp }))
}

fn grant(id: String, resource: Resource, version: u64) -> Change {
    let stamp = Stamp { generation: 1, version, created_at: time::OffsetDateTime::UNIX_EPOCH };
    let actions = [crate::Action::Read].into_iter().collect();
    let subject = Subject::User("ana".into());
    Change::Put(Object::Grant(Grant { id, subject, resource, actions, effect: Effect::Allow, expires_at: None, stamp }))
}

fn held(snapshot: &Snapshot) -> Vec<(ObjectKind, String)> {
    every(snapshot).iter().map(|object| (object.kind(), object.id().to_owned())).collect()
}

fn every(snapshot: &Snapshot) -> Vec<Object> {
    let domains = snapshot.domains().map(|held| Object::Domain(Domain::clone(held)));
    let datasources = snapshot.datasources().map(|held| Object::Datasource(Datasource::clone(held)));
    let users = snapshot.users().map(|held| Object::User(User::clone(held)));
    let groups = snapshot.groups().map(|held| Object::Group(Group::clone(held)));
    let grants = snapshot.grants().map(|held| Object::Grant(Grant::clone(held)));
    let keys = snapshot.keys().map(|held| Object::ApiKey(ApiKey::clone(held)));
    domains.chain(datasources).chain(users).chain(groups).chain(grants).chain(keys).collect()
}

fn rebuilt(snapshot: &Snapshot, dice: &Dice) -> Snapshot {
    let mut puts: Vec<Change> = every(snapshot).into_iter().map(Change::Put).collect();
    for i in (1..puts.len()).rev() {
        puts.swap(i, dice.below(i + 1));
    }
    Snapshot::default().after(snapshot.epoch(), &puts)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_derived_snapshot_is_the_one_rebuilt_from_all_objects(seed in any::<u64>()) {
        let dice = Dice::new(seed);
        let mut snapshot = Snapshot::default();
        for epoch in 1..=40 {
            snapshot = snapshot.after(epoch, &random_changes(&dice, &held(&snapshot), epoch));
            prop_assert_eq!(&snapshot, &rebuilt(&snapshot, &dice));
        }
    }

    #[test]
    fn an_older_snapshot_stays_as_it_was(seed in any::<u64>()) {
        let dice = Dice::new(seed);
        let mut snapshot = Snapshot::default();
        for epoch in 1..=10 {
            let before = (snapshot.clone(), every(&snapshot));
            snapshot = snapshot.after(epoch, &random_changes(&dice, &held(&snapshot), epoch));
            prop_assert_eq!(every(&before.0), before.1);
        }
    }
}

#[test]
fn equal_grants_are_found_until_the_last_is_gone() {
    let snapshot = Snapshot::default();
    let snapshot =
        snapshot.after(1, &[grant("g1".into(), Resource::PLATFORM, 1), grant("g2".into(), Resource::PLATFORM, 1)]);
    let find = |snapshot: &Snapshot| {
        let actions = [crate::Action::Read].into_iter().collect();
        let same = snapshot.same_grant(&Subject::User("ana".into()), &Resource::PLATFORM, actions, Effect::Allow, None);
        same.map(|grant| grant.id.clone())
    };
    assert_eq!(find(&snapshot).as_deref(), Some("g1"));
    let snapshot = snapshot.after(2, &[Change::Delete(ObjectKind::Grant, "g2".into())]);
    assert_eq!(find(&snapshot).as_deref(), Some("g1"));
    let snapshot = snapshot.after(3, &[Change::Delete(ObjectKind::Grant, "g1".into())]);
    assert_eq!(find(&snapshot), None);
}

#[test]
fn a_change_shares_what_it_does_not_touch() {
    let many: Vec<Change> = (0..1000).map(|i| grant(format!("g{i}"), Resource::domain(format!("d{i}")), 1)).collect();
    let before = Snapshot::default().after(1, &many);
    let after = before.after(2, &[grant("g7".into(), Resource::domain("d7"), 2)]);
    let moved = before.grants().filter(|held| !Arc::ptr_eq(held, after.grant(&held.id).unwrap())).count();
    assert_eq!(moved, 1);
    assert_eq!(after.grants_on(&Resource::domain("d7")).count(), 1);
    assert_eq!(after.platform_admin_grants().count(), 0);
}

#[tokio::test]
async fn reopening_gives_the_same_snapshot_and_no_ordinal_twice() {
    let (store, journal) = (Arc::new(MemoryCatalogStore::default()), memory_journal());
    let mut given = std::collections::BTreeSet::new();
    let mut before = Snapshot::default();
    for round in 0..20 {
        let catalog = open(store.clone(), journal.clone()).await.unwrap();
        assert_eq!(*catalog.snapshot(), before);
        let cause = Cause { principal: &Principal::System, resource: "domain:d" };
        let context = RequestContext::new("r");
        let ordinal = catalog.change(&context, cause, |planning| {
            let (id, ordinal) = (format!("d{}", round % 2), planning.ordinal()?);
            let domain = Domain { id: id.clone(), title: String::new(), public: false, ordinal, stamp: planning.birth };
            Ok((vec![Change::Delete(ObjectKind::Domain, id), Change::Put(Object::Domain(domain))], ordinal))
        });
        assert!(given.insert(ordinal.await.unwrap()));
        make(&catalog, vec![Change::Delete(ObjectKind::Domain, format!("d{}", round % 2))]).await.unwrap();
        before = Snapshot::clone(&catalog.snapshot());
    }
}

#[tokio::test]
async fn two_datasources_never_share_an_ordinal() {
    let catalog = open(Arc::new(MemoryCatalogStore::default()), memory_journal()).await.unwrap();
    let domain = |id: &str| {
        let stamp = Stamp { generation: 1, version: 1, created_at: time::OffsetDateTime::UNIX_EPOCH };
        Change::Put(Object::Domain(Domain { id: id.into(), title: String::new(), public: false, ordinal: 5, stamp }))
    };
    assert_eq!(make(&catalog, vec![domain("a"), domain("b")]).await.unwrap_err().kind(), ErrorKind::Internal);
    make(&catalog, vec![domain("a")]).await.unwrap();
    assert_eq!(make(&catalog, vec![domain("b")]).await.unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(catalog.snapshot().epoch(), 1);
}

#[tokio::test]
async fn a_store_moved_by_somebody_else_changes_nothing() {
    let store = Arc::new(MemoryCatalogStore::default());
    let catalog = open(store.clone(), memory_journal()).await.unwrap();
    make(&catalog, vec![group("a")]).await.unwrap();
    store.apply(2, &[group("foreign")]).await.unwrap();
    let before = catalog.snapshot();
    assert_eq!(make(&catalog, vec![group("b")]).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(Arc::ptr_eq(&before, &catalog.snapshot()));
    assert_eq!(store.load().await.unwrap().objects.len(), 2);
}

#[tokio::test]
async fn a_change_that_is_refused_leaves_no_trace() {
    let (store, journal) = (Arc::new(MemoryCatalogStore::default()), memory_journal());
    let guard = |_: &Snapshot, after: &Snapshot| match after.group("bad") {
        Some(_) => Err(Error::new(ErrorKind::Conflict, "no")),
        None => Ok(()),
    };
    let catalog = Catalog::open(store.clone(), journal.clone(), clock(), Box::new(guard)).await.unwrap();
    assert_eq!(make(&catalog, vec![group("bad")]).await.unwrap_err().kind(), ErrorKind::Conflict);
    make(&catalog, vec![]).await.unwrap();
    assert_eq!(journal.head().await.unwrap().sequence, 0);
    assert_eq!((store.load().await.unwrap().epoch, catalog.snapshot().epoch()), (0, 0));
}

/// A journal that fails, or waits, as it is told.
#[derive(Debug)]
struct Moody {
    inner: Arc<MemoryJournal>,
    fails: AtomicBool,
    gate: Semaphore,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl JournalStore for Moody {
    async fn append(&self, entries: Vec<NewEntry>, durability: Durability) -> Result<u64> {
        assert_eq!(durability, Durability::Disk);
        if self.fails.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "the disk is full"));
        }
        self.gate.acquire().await.unwrap().forget();
        self.inner.append(entries, durability).await
    }
    async fn read_back(&self, query: ReadBack) -> Result<Page> {
        self.inner.read_back(query).await
    }
    async fn erase(&self, sequences: std::collections::BTreeSet<u64>) -> Result<u64> {
        self.inner.erase(sequences).await
    }
    async fn head(&self) -> Result<ChainHead> {
        self.inner.head().await
    }
    async fn verify_against(&self, anchors: Vec<ChainHead>) -> Result<Verification> {
        self.inner.verify_against(anchors).await
    }
    async fn verify(&self) -> Result<Verification> {
        self.inner.verify().await
    }
    async fn sync(&self) -> Result<()> {
        self.inner.sync().await
    }
    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

fn moody(fails: bool, permits: usize) -> Arc<Moody> {
    Arc::new(Moody { inner: memory_journal(), fails: AtomicBool::new(fails), gate: Semaphore::new(permits) })
}

#[tokio::test]
async fn what_cannot_be_journaled_is_not_done() {
    let (store, journal) = (Arc::new(MemoryCatalogStore::default()), moody(true, 9));
    let catalog = open(store.clone(), journal.clone()).await.unwrap();
    assert_eq!(make(&catalog, vec![group("a")]).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!((store.load().await.unwrap().epoch, catalog.snapshot().epoch()), (0, 0));
    journal.fails.store(false, Ordering::SeqCst);
    make(&catalog, vec![group("a")]).await.unwrap();
    assert_eq!((store.load().await.unwrap().epoch, catalog.snapshot().epoch()), (1, 1));
}

#[tokio::test]
async fn a_caller_that_hangs_up_leaves_the_catalog_whole() {
    let (store, journal) = (Arc::new(MemoryCatalogStore::default()), moody(false, 0));
    let catalog = open(store.clone(), journal.clone()).await.unwrap();
    let waiting = std::time::Duration::from_millis(20);
    assert!(tokio::time::timeout(waiting, make(&catalog, vec![group("a")])).await.is_err());
    journal.gate.add_permits(2);
    make(&catalog, vec![group("b")]).await.unwrap();
    let snapshot = catalog.snapshot();
    assert_eq!((snapshot.epoch(), snapshot.groups().count()), (2, 2));
    assert_eq!(store.load().await.unwrap().objects.len(), 2);
}

async fn texts(journal: &MemoryJournal) -> Vec<Value> {
    let page = journal.read_back(ReadBack { limit: 1000, ..ReadBack::default() }).await.unwrap();
    page.entries.into_iter().rev().map(|entry| entry.payload.unwrap()).collect()
}

#[tokio::test]
async fn the_journal_shows_before_and_after_but_no_hash() {
    let (store, journal) = (Arc::new(MemoryCatalogStore::default()), memory_journal());
    let catalog = open(store.clone(), journal.clone()).await.unwrap();
    let dice = Dice::new(3);
    for epoch in 1..=60 {
        make(&catalog, random_changes(&dice, &held(&catalog.snapshot()), epoch)).await.unwrap();
    }
    let kept: String = store.load().await.unwrap().objects.iter().map(|object| object.to_body().unwrap()).collect();
    assert!(kept.contains("5ec7e75ec7e7"), "the test's hashes are in the store");
    let all = texts(&journal).await;
    assert!(!serde_json::to_string(&all).unwrap().contains("5ec7e7"));
    // Replaying the journal's `after`s gives what exists; `before` is how it was before the whole change.
    let mut state = std::collections::BTreeMap::new();
    for payload in &all {
        let before = state.clone();
        for step in payload["changes"].as_array().unwrap() {
            let place = (step["kind"].to_string(), step["id"].to_string());
            assert_eq!(before.get(&place).unwrap_or(&Value::Null), &step["before"]);
            state.insert(place, step["after"].clone());
        }
        state.retain(|_, object| !object.is_null());
    }
    assert_eq!(state.len(), every(&catalog.snapshot()).len());
}

#[tokio::test]
async fn a_large_change_takes_several_entries_and_an_object_has_a_bound() {
    let (store, journal) = (Arc::new(MemoryCatalogStore::default()), memory_journal());
    let catalog = open(store, journal.clone()).await.unwrap();
    let many: Vec<Change> = (0..20_000).map(|i| grant(format!("g{i}"), Resource::domain(format!("d{i}")), 1)).collect();
    make(&catalog, many).await.unwrap();
    let all = texts(&journal).await;
    assert!(all.len() > 8, "{} entries", all.len());
    assert!(all.iter().zip(1..).all(|(payload, part)| payload["part"] == part && payload["parts"] == all.len()));
    let steps: usize = all.iter().map(|payload| payload["changes"].as_array().unwrap().len()).sum();
    assert_eq!(steps, 20_000);

    let stamp = Stamp { generation: 1, version: 1, created_at: time::OffsetDateTime::UNIX_EPOCH };
    let sized =
        |bytes| vec![Change::Put(Object::Group(Group { id: "a".into(), title: "\"".repeat(bytes / 2), stamp }))];
    make(&catalog, sized(MAX_OBJECT_BYTES - 200)).await.unwrap();
    make(&catalog, sized(MAX_OBJECT_BYTES - 300)).await.unwrap();
    assert_eq!(make(&catalog, sized(MAX_OBJECT_BYTES)).await.unwrap_err().kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn the_memory_store_conforms() {
    let places = Places::default();
    let make = || Arc::new(MemoryCatalogStore::default()) as Arc<dyn CatalogStore>;
    assert_eq!(catalog_store(async |place| Ok(places.at(place, make))).await, []);
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn the_sqlite_store_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let violations = catalog_store(async |place| {
        let path = directory.path().join(format!("{place}.db"));
        Ok(Arc::new(super::backends::sqlite::SqliteCatalogStore::open(&path).await?) as Arc<dyn CatalogStore>)
    });
    assert_eq!(violations.await, []);
}

/// A store with one fault.
#[derive(Debug, Default)]
struct Broken {
    inner: MemoryCatalogStore,
    fault: u8,
    applied: AtomicU8,
}

#[async_trait]
impl CatalogStore for Broken {
    async fn load(&self) -> Result<CatalogImage> {
        let mut image = self.inner.load().await?;
        match self.fault {
            1 => image.epoch = 0,
            2 => image.objects.extend(image.objects.first().cloned()),
            _ => {}
        }
        Ok(image)
    }
    async fn apply(&self, epoch: u64, changes: &[Change]) -> Result<()> {
        let puts = || changes.iter().filter(|change| matches!(change, Change::Put(_))).cloned().collect::<Vec<_>>();
        match self.fault {
            3 => self.inner.apply(epoch, &puts()).await,
            4 => self.inner.apply(epoch, &changes[..1]).await,
            5 => self.inner.apply(self.inner.load().await?.epoch + 1, changes).await,
            6 if self.applied.fetch_add(1, Ordering::SeqCst) > 20 => Ok(()),
            7 => self.inner.apply(epoch, changes).await.map_err(|error| Error::internal(error.message())),
            8 => self.inner.apply(epoch, &changes.iter().rev().cloned().collect::<Vec<_>>()).await,
            _ => self.inner.apply(epoch, changes).await,
        }
    }
    async fn close(&self) {}
}

#[tokio::test]
async fn a_broken_store_is_caught() {
    for fault in 0..=8 {
        let places = Places::default();
        let make = || Arc::new(Broken { fault, ..Broken::default() }) as Arc<dyn CatalogStore>;
        let found: Vec<Violation> = catalog_store(async |place| Ok(places.at(place, make))).await;
        assert_eq!(found.is_empty(), fault == 0, "fault {fault}: {found:?}");
    }
}
