//! Reads many stored values of a room in slices, so that the room never waits long for the disk.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{ListOptions, Storage, StorageError};
use crate::notice::Notice;

/// Rows of a slice. The storage thread takes a few milliseconds for one, and then serves others.
const SLICE_ROWS: usize = 2_000;

/// All values whose keys have a common prefix, as they are read from the disk.
pub struct Reading {
    /// Whose values are read.
    storage: Storage,
    /// The common prefix of the keys.
    prefix: &'static str,
    /// The last key read.
    after: Option<String>,
    /// The slice that is being read now.
    slice: Option<Slice>,
}

type Slice = Pin<Box<dyn Future<Output = Result<Vec<(String, Bytes)>, StorageError>> + Send + Sync>>;

/// The result of one step.
pub enum Progress<T> {
    /// The next values by their keys, without the prefix. There may be more.
    Rows(Vec<(String, T)>),
    /// There are no more values.
    End,
    /// The disk has not answered yet.
    NotYet,
}

impl Reading {
    pub(super) fn new(storage: Storage, prefix: &'static str) -> Self {
        Self { storage, prefix, after: None, slice: None }
    }

    /// The next values, if they arrive within `patience`. Values that do not have type `T` are skipped and logged, so that one
    /// bad row does not hide the others.
    ///
    /// # Errors
    /// Fails if the disk fails. The next call tries again.
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
                static UNFIT: Notice = Notice::fault();
                let key = key.split('?').next().unwrap_or_default();
                UNFIT.give(|| format!("the stored value {key} has an unexpected form; it is skipped: {error}"));
                None
            }
        };
        Ok(Progress::Rows(rows.into_iter().filter_map(value).collect()))
    }
}
