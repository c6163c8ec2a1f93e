//! What is asked: `benches/workloads/*.json`.

use std::fs;
use std::path::Path;

use serde_json::Value as Json;

use crate::shell::Result;

/// The questions and filters.
#[derive(Debug)]
pub(super) struct Workload {
    pub(super) queries: Vec<String>,
    /// A filter that leaves about one row in a hundred.
    pub(super) about_one_percent: String,
    /// The same of those databases that are embedded here, which name no weaknesses.
    pub(super) about_one_percent_embedded: String,
    half: String,
    /// Package versions to ask about, as filters.
    pub(super) affects: Vec<Json>,
}

impl Workload {
    /// # Errors
    /// A file is missing or does not hold what it should.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let (queries, filters, affects) =
            (json(folder, "queries.json")?, json(folder, "filters.json")?, json(folder, "affects.json")?);
        let list = |json: &Json, name: &str| {
            let list = json.get(name).and_then(Json::as_array).filter(|list| !list.is_empty()).cloned();
            list.ok_or(format!("benches/workloads: there is no list `{name}`"))
        };
        let filter = |name: &str| {
            let text = filters.get(name).and_then(Json::as_str).map(str::to_owned);
            text.ok_or(format!("benches/workloads/filters.json: there is no filter `{name}`"))
        };
        Ok(Self {
            queries: list(&queries, "queries")?.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
            about_one_percent: filter("about_one_percent")?,
            about_one_percent_embedded: filter("about_one_percent_of_rustsec_and_pypa")?,
            half: filter("about_half_uncached")?,
            affects: list(&affects, "affects")?
                .iter()
                .map(|affects| serde_json::json!({ "affects": affects }))
                .collect(),
        })
    }

    /// A filter that leaves about half of the rows, another one for each number below 3,600.
    pub(super) fn about_half(&self, number: usize) -> String {
        let (minutes, seconds) = (number / 60 % 60, number % 60);
        self.half.replace("{mm}", &format!("{minutes:02}")).replace("{ss}", &format!("{seconds:02}"))
    }
}

fn json(folder: &Path, name: &str) -> Result<Json> {
    let text = fs::read_to_string(folder.join(name)).map_err(|error| format!("benches/workloads/{name}: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("benches/workloads/{name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::Workload;

    #[test]
    fn the_workloads_are_whole() {
        let workload = Workload::read(&crate::shell::root().join("benches/workloads")).expect("they are read");
        assert!(workload.queries.len() >= 30 && workload.affects.len() >= 40);
        assert!(workload.about_half(61).ends_with("T00:01:01Z'"));
        assert_ne!(workload.about_half(1), workload.about_half(2));
    }
}
