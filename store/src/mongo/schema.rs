//! The indexes.

use std::time::Duration;

use mongodb::IndexModel;
use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;

use super::Collections;
use super::error::Trouble;

/// The order of records in a list.
pub(super) fn newest_first() -> Document {
    doc! { "startTime": -1, "_id": -1 }
}

/// The order of skipped slots in a list.
pub(super) fn latest_first() -> Document {
    // The run is not in the index; it parts the few documents that are alike otherwise.
    doc! { "from": -1, "reason": -1, "firstRunId": -1 }
}

/// Makes the indexes that are missing, and the collections with them. Those that are there already cost a glance.
pub(super) async fn prepare(of: &Collections) -> Result<(), Trouble> {
    let expiry = || ("expireAt", doc! { "expireAt": 1 }, Some(Duration::ZERO));
    let indexes = [
        // The outcome is in it because succeeded runs and others are kept apart.
        (&of.log, ("byJob", doc! { "jobName": 1, "startTime": -1, "_id": -1, "outcome": 1 }, None)),
        (&of.log, ("byStart", doc! { "startTime": -1, "_id": -1 }, None)),
        (&of.log, expiry()),
        (&of.output, expiry()),
        (&of.slots, ("byJob", doc! { "jobName": 1, "from": -1, "reason": -1 }, None)),
        (&of.slots, expiry()),
    ];
    for (collection, (name, keys, expire)) in indexes {
        let mut options = IndexOptions::default();
        options.name = Some(name.to_owned());
        options.expire_after = expire;
        let index = IndexModel::builder().keys(keys).options(options).build();
        let made = collection.create_index(index).await;
        let named = || format!("{name} on `{}`", collection.name());
        made.map_err(|source| Trouble::Index { index: named(), source })?;
    }
    Ok(())
}
