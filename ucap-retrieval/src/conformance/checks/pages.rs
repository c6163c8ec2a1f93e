//! Pages: by key, in the order of the sort keys, then of the ids' bytes; a missing value last either way.

use serde_json::{Value as Json, json};

use crate::conformance::random::all_types;
use crate::conformance::{Outcome, Random, Store, World, expect_same};
use crate::datastore::{After, PageRow, SortValue};
use crate::query::{SortKey, Withdrawn};
use crate::sort_order::sort_order;

const FIELDS: [&str; 9] = ["t", "u", "k", "n", "f", "b", "at", "v", "id"];

async fn filled(world: &World) -> Result<Store, crate::conformance::Failure> {
    world.datasource("m", &all_types()).await?;
    let store = world.store("m").await?;
    let mut random = Random::new(3);
    let mut records: Vec<Json> = (0..60).map(|_| random.record()).collect();
    records.sort_by_key(|record| record["id"].to_string());
    records.dedup_by_key(|record| record["id"].to_string());
    store.put_all(&records).await?;
    Ok(store)
}

fn keys(fields: &[&str], descending: bool) -> Vec<SortKey> {
    fields.iter().map(|field| SortKey { field: (*field).to_owned(), descending }).collect()
}

async fn page(store: &Store, sort: &[SortKey], after: After, limit: usize) -> ucap_core::Result<Vec<PageRow>> {
    store.page(&json!({"and": []}), Withdrawn::Include, sort, after, limit).await
}

fn ids(rows: &[PageRow]) -> Vec<&str> {
    rows.iter().map(|row| row.id.as_str()).collect()
}

pub(super) async fn walk_each_record_once(world: &mut World) -> Outcome {
    let store = filled(world).await?;
    let mut sorts: Vec<Vec<SortKey>> = vec![Vec::new()];
    for descending in [false, true] {
        sorts.extend(FIELDS.iter().map(|field| keys(&[field], descending)));
        sorts.push(keys(&["k", "f", "nosuch"], descending));
    }
    sorts.push([keys(&["b"], true), keys(&["at"], false)].concat());
    for sort in sorts {
        let whole = page(&store, &sort, After::Start, 1000).await?;
        let sorted =
            whole.is_sorted_by(|a, b| sort_order(&sort, &a.sort, &b.sort).then_with(|| a.id.cmp(&b.id)).is_lt());
        expect_same(format!("sorted by {sort:?}"), sorted, true)?;
        expect_same("all are there", whole.len() as u64, store.everything().await?.rows().len())?;
        for limit in [1, 2, 7] {
            let mut walked: Vec<String> = Vec::new();
            let mut after = After::Start;
            loop {
                let rows = page(&store, &sort, after, limit).await?;
                let Some(last) = rows.last() else { break };
                after = After::Record(last.sort.clone(), last.id.clone());
                walked.extend(rows.iter().map(|row| row.id.clone()));
                if walked.len() > whole.len() {
                    break;
                }
            }
            expect_same(
                format!("pages of {limit} by {sort:?}"),
                walked,
                whole.iter().map(|row| row.id.clone()).collect(),
            )?;
        }
    }
    Ok(())
}

pub(super) async fn begin_where_they_are_told(world: &mut World) -> Outcome {
    let store = filled(world).await?;
    for field in FIELDS {
        for descending in [false, true] {
            let sort = keys(&[field, "k"], descending);
            let whole = page(&store, &sort, After::Start, 1000).await?;
            for place in whole.iter().step_by(5) {
                let order = |row: &&PageRow| sort_order(&sort, &row.sort, &place.sort);
                let from: Vec<PageRow> = whole.iter().filter(|row| order(row).is_ge()).cloned().collect();
                let behind: Vec<PageRow> = whole.iter().filter(|row| order(row).is_gt()).cloned().collect();
                let got = page(&store, &sort, After::From(place.sort.clone()), 1000).await?;
                expect_same(format!("from {:?} by {sort:?}", place.sort), ids(&got), ids(&from))?;
                let got = page(&store, &sort, After::Behind(place.sort.clone()), 1000).await?;
                expect_same(format!("behind {:?} by {sort:?}", place.sort), ids(&got), ids(&behind))?;
            }
        }
    }
    let none = page(&store, &[], After::Behind(Vec::new()), 10).await?;
    expect_same("behind all records of no sort values", ids(&none), Vec::new())?;
    let all = page(&store, &[], After::From(Vec::new()), 1000).await?;
    expect_same("from no sort values", all.len() as u64, store.everything().await?.rows().len())
}

/// The place before may be of another datasource, whose field of the same name has another type.
pub(super) async fn compare_across_types(world: &mut World) -> Outcome {
    let store = filled(world).await?;
    let places = [
        SortValue::Missing,
        SortValue::Integer(1),
        SortValue::Integer(i64::MAX),
        SortValue::Float(0.5),
        SortValue::Float(-1e300),
        SortValue::Text("1".into()),
        SortValue::Text("10".into()),
        SortValue::Text(String::new()),
        SortValue::Text("red".into()),
        SortValue::Bytes(vec![]),
        SortValue::Bytes(b"1".to_vec()),
    ];
    for field in FIELDS {
        for descending in [false, true] {
            let sort = keys(&[field], descending);
            let whole = page(&store, &sort, After::Start, 1000).await?;
            for place in &places {
                let place = vec![place.clone()];
                let want: Vec<PageRow> =
                    whole.iter().filter(|row| sort_order(&sort, &row.sort, &place).is_ge()).cloned().collect();
                let got = page(&store, &sort, After::From(place.clone()), 1000).await?;
                expect_same(format!("from {place:?} by {sort:?}"), ids(&got), ids(&want))?;
                let equal = |row: &&PageRow| {
                    sort_order(&sort, &row.sort, &place).then_with(|| row.id.as_str().cmp("b")).is_gt()
                };
                let want: Vec<PageRow> = whole.iter().filter(equal).cloned().collect();
                let got = page(&store, &sort, After::Record(place.clone(), "b".into()), 1000).await?;
                expect_same(format!("after {place:?} `b` by {sort:?}"), ids(&got), ids(&want))?;
            }
        }
    }
    Ok(())
}

pub(super) async fn go_on_while_records_come_and_go(world: &mut World) -> Outcome {
    world.datasource("m", &all_types()).await?;
    let store = world.store("m").await?;
    let record = |i: usize| json!({"id": format!("r{i:03}"), "n": i % 7});
    store.put_all(&(0..100).map(record).collect::<Vec<_>>()).await?;
    let sort = keys(&["n"], true);
    let first = page(&store, &sort, After::Start, 9).await?;
    let Some(last) = first.last() else { return expect_same("a first page", first.len(), 9) };
    store.delete_all(&[&first[7].id, &first[8].id]).await?;
    store.put_all(&[json!({"id": "q-first", "n": 99}), json!({"id": "q-last", "n": -1})]).await?;
    let rest = page(&store, &sort, After::Record(last.sort.clone(), last.id.clone()), 1000).await?;
    expect_same("the rest is all but the first page, and what came behind it", rest.len(), 92)?;
    expect_same("what came behind is the last", rest.last().map(|row| row.id.as_str()), Some("q-last"))
}
