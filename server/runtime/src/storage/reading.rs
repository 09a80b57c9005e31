//! Reading much of what a room has stored, without anyone waiting for it: slice by slice, each only as long as one likes.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{ListOptions, Storage, StorageError};

/// Rows of a slice: a few milliseconds of the storage thread, after which others have their turn.
const SLICE_ROWS: usize = 2_000;

/// All values whose keys start alike, on their way from the disk.
pub struct Reading {
    /// Where it reads.
    storage: Storage,
    /// How the keys begin that it reads.
    prefix: &'static str,
    /// The last key read.
    after: Option<String>,
    /// What is being read now.
    slice: Option<Slice>,
}

type Slice = Pin<Box<dyn Future<Output = Result<Vec<(String, Bytes)>, StorageError>> + Send + Sync>>;

/// How far it has come.
pub enum Progress<T> {
    /// The next values by their keys, without the prefix; there may be more.
    Rows(Vec<(String, T)>),
    /// There are none left.
    End,
    /// The disk takes its time.
    NotYet,
}

impl Reading {
    pub(super) fn new(storage: Storage, prefix: &'static str) -> Self {
        Self { storage, prefix, after: None, slice: None }
    }

    /// The next values, if they come in time. Those that are not of the type asked for are left out: one bad row must not
    /// hide the others.
    ///
    /// # Errors
    /// If the disk fails. The next call tries again.
    pub async fn next<T: DeserializeOwned>(&mut self, patience: Duration) -> Result<Progress<T>, StorageError> {
        let slice = self.slice.get_or_insert_with(|| {
            let (storage, prefix, after) = (self.storage.clone(), self.prefix, self.after.clone());
            Box::pin(async move {
                let start_after = after.as_deref();
                storage
                    .rows(ListOptions { prefix, start_after, limit: Some(SLICE_ROWS), ..ListOptions::default() })
                    .await
            })
        });
        let Ok(read) = tokio::time::timeout(patience, slice).await else { return Ok(Progress::NotYet) };
        self.slice = None;
        let rows = read?;
        let Some((last, _)) = rows.last() else { return Ok(Progress::End) };
        self.after = Some(last.clone());
        let value = |(key, value): (String, Bytes)| match serde_json::from_slice(&value) {
            Ok(value) => Some((key.get(self.prefix.len()..)?.to_owned(), value)),
            Err(error) => {
                tracing::error!(key, %error, "a stored value is not what it should be; it is passed over");
                None
            }
        };
        Ok(Progress::Rows(rows.into_iter().filter_map(value).collect()))
    }
}
