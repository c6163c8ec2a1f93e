//! Deleting records: gone from every mode before the answer.

use ucap_authz::Scope;
use ucap_core::{Action, Error, ErrorKind, RequestContext, Result};

use super::{DELETED, Retriever};
use crate::content::{Condition, Demand};
use crate::datastore::{After, PageRequest, Write, Written};
use crate::filter::{Filter, Predicate, resolve};
use crate::hit::DeleteReport;
use crate::query::Withdrawn;
use crate::schema::Format;
use crate::settings::Settings;

/// Records of one write.
const DELETED_AT_ONCE: usize = 1000;
/// The most ids of one request.
const MAX_IDS: usize = 100_000;

/// Which records go.
#[derive(Debug, Clone)]
pub enum Selection {
    /// Those of these ids.
    Ids(Vec<String>),
    /// Those that satisfy a filter, withdrawn ones too; needs read as well.
    Filter(Filter),
}

impl Retriever {
    /// Deletes records.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `InvalidInput`, `Unavailable`.
    pub async fn delete_records(
        &self,
        context: &RequestContext,
        scope: &Scope,
        datasource: &str,
        selection: Selection,
    ) -> Result<DeleteReport> {
        let (permit, store) = self.open(context, scope, datasource, Action::Write).await?;
        let mut report = DeleteReport::default();
        match selection {
            Selection::Ids(ids) => {
                if ids.len() > MAX_IDS {
                    return Err(Error::invalid("ids", format!("ids holds more than {MAX_IDS}; send several requests")));
                }
                let mut seen = std::collections::HashSet::new();
                let ids: Vec<String> = ids.into_iter().filter(|id| seen.insert(id.clone())).collect();
                for part in ids.chunks(DELETED_AT_ONCE) {
                    let writes = part.iter().cloned().map(Write::Delete).collect();
                    let written = store.records.write(context, &permit, writes, Vec::new()).await?;
                    for (id, written) in part.iter().zip(written) {
                        match written {
                            Written::Deleted => report.deleted += 1,
                            _ => report.missing.push(id.clone()),
                        }
                    }
                }
            }
            Selection::Filter(filter) => {
                let read = scope.permit(datasource, Action::Read)?;
                let settings = Settings::of(permit.datasource())?;
                let predicate = typed(&filter, &settings)?;
                if let Some(error) = predicate.unparsed().into_iter().find_map(crate::filter::Affects::unparsable) {
                    return Err(error);
                }
                loop {
                    let request = PageRequest {
                        predicate: predicate.clone(),
                        withdrawn: Withdrawn::Include,
                        sort: Vec::new(),
                        after: After::Start,
                        limit: DELETED_AT_ONCE,
                    };
                    let page = store.records.page(context, &read, &request).await?;
                    if page.is_empty() {
                        break;
                    }
                    let writes = page.into_iter().map(|row| Write::Delete(row.id)).collect();
                    let written = store.records.write(context, &permit, writes, Vec::new()).await?;
                    report.deleted += written.iter().filter(|written| **written == Written::Deleted).count() as u64;
                    context.check()?;
                }
            }
        }
        let payload = serde_json::json!({"deleted": report.deleted, "missing": report.missing.len()});
        self.record(context, scope, DELETED, format!("datasource:{datasource}"), payload).await?;
        Ok(report)
    }

    /// Deletes one record, if all `conditions` hold of it.
    ///
    /// # Errors
    /// `NotFound` when datasource or record are missing; `PreconditionFailed` when a condition does not hold; else as
    /// [`Retriever::delete_records`].
    pub async fn delete_record(
        &self,
        context: &RequestContext,
        scope: &Scope,
        datasource: &str,
        id: &str,
        conditions: Vec<Condition>,
    ) -> Result<()> {
        let (permit, store) = self.open(context, scope, datasource, Action::Write).await?;
        let demands = conditions.into_iter().map(|condition| Demand { id: id.to_owned(), condition }).collect();
        let written = store.records.write(context, &permit, vec![Write::Delete(id.to_owned())], demands).await;
        let missing = match &written {
            Ok(written) => written.first() != Some(&Written::Deleted),
            // Of what is not there no condition is asked.
            Err(error) if error.kind() == ErrorKind::PreconditionFailed => {
                store.records.hashes(context, &permit, &[id.to_owned()]).await?.iter().all(Option::is_none)
            }
            Err(_) => false,
        };
        if missing {
            return Err(Error::not_found(format!("record `{id}` of datasource `{datasource}`")));
        }
        written?;
        let payload = serde_json::json!({"deleted": 1, "missing": 0});
        self.record(context, scope, DELETED, format!("datasource:{datasource}"), payload).await
    }
}

fn typed(filter: &Filter, settings: &Settings) -> Result<Predicate> {
    if let Some(field) = filter.fields().into_iter().find(|field| settings.schema.field(field).is_none()) {
        return Err(Error::invalid("filter", format!("field `{field}` is not in the datasource")));
    }
    let predicate = resolve(filter, &settings.schema)?;
    Ok(if settings.format == Format::Osv { predicate } else { super::sources::without_affects(predicate) })
}
