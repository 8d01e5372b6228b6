//! What is removed when a job has more records than it keeps. What is removed by age, the server removes.

use futures::TryStreamExt;
use model::JobName;
use model::hash::stable_hash;
use model::job::History;
use model::run::Outcome;
use mongodb::bson::{Document, doc};
use mongodb::error::Result;

use super::{Collections, document, schema};
use crate::log::KEPT_SKIPS;

/// How many records are removed at once.
const BATCH: i64 = 500;

/// Whether this is the record of its job after which the oldest are removed: every one where few are kept, one in
/// `kept / 10` otherwise. The hash decides, so that no process has to count, and jobs take turns.
pub(super) fn is_due(record: &str, kept: u32) -> bool {
    stable_hash(&[record]).is_multiple_of(u64::from(kept / 10).max(1))
}

/// Removes the oldest records of a job beyond what is kept, those with outcomes of a newer version among the others that
/// did not succeed. Documents of the replaced system have no outcome, and no text compares with that: they stay.
pub(super) async fn forget_runs(of: &Collections, job: &JobName, keep: History) -> Result<()> {
    let succeeded = Outcome::Succeeded.as_str();
    let others = doc! { "$gt": "", "$ne": succeeded };
    for (outcomes, kept) in [(doc! { "$eq": succeeded }, keep.succeeded), (others, keep.failed)] {
        let mut before = Vec::new();
        loop {
            let all = of.log.find(doc! { "jobName": job.as_str(), "outcome": outcomes.clone() });
            let old = all.sort(schema::newest_first()).skip(kept.into()).limit(BATCH);
            let old = old.projection(doc! { "outcome": 1, "outputChunks": 1 }).await?;
            let old: Vec<Document> = old.try_collect().await?;
            if is_done(&old, &before) {
                break;
            }
            // First the chunks: should this end in between, the next one finds the records again.
            remove_chunks(of, &old).await?;
            let ids: Vec<_> = old.iter().filter_map(|log| log.get("_id").cloned()).collect();
            of.log.delete_many(doc! { "_id": { "$in": ids } }).await?;
            before = old;
        }
    }
    Ok(())
}

/// Whether there is nothing to remove, or the server has left there what it was just asked to remove, whatever it said.
/// Then the next append tries again.
fn is_done(old: &[Document], before: &[Document]) -> bool {
    if !old.is_empty() && old == before {
        tracing::warn!("the MongoDB server does not remove old records; the next record tries again");
    }
    old.is_empty() || old == before
}

/// Removes the chunks of documents, of which `_id`, `outcome` and `outputChunks` are enough.
pub(super) async fn remove_chunks(of: &Collections, logs: &[Document]) -> Result<()> {
    let ids: Vec<_> = logs.iter().flat_map(document::chunk_ids).collect();
    if !ids.is_empty() {
        of.output.delete_many(doc! { "_id": { "$in": ids } }).await?;
    }
    Ok(())
}

/// Removes the oldest skipped slots of a job beyond what is kept.
pub(super) async fn forget_skips(of: &Collections, job: &JobName) -> Result<()> {
    let mut before = Vec::new();
    loop {
        let old = of.slots.find(doc! { "jobName": job.as_str() }).sort(schema::latest_first());
        let old = old.skip(KEPT_SKIPS.into()).limit(BATCH).projection(doc! { "_id": 1 }).await?;
        let old: Vec<Document> = old.try_collect().await?;
        if is_done(&old, &before) {
            return Ok(());
        }
        let ids: Vec<_> = old.iter().filter_map(|slot| slot.get("_id").cloned()).collect();
        of.slots.delete_many(doc! { "_id": { "$in": ids } }).await?;
        before = old;
    }
}
