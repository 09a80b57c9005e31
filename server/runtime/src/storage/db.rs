//! The database behind all rooms' storage: the values that wait to be written, and the orders to its thread.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    Batch, Key, ROOMS, Rows, StorageError, joined,
    writer::{self, Order},
};
use crate::{error::StartupError, notice::Notice};

/// How long a room waits for the thread. A stuck disk must not stop counting.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// A disk that takes longer than this for one order counts as hanging.
const HANGS_AFTER: Duration = Duration::from_secs(5);
/// Values that may wait while the disk takes no writes. Beyond this a write fails with [`StorageError::Full`], and the log says
/// so. Tests go beyond it, and should not take a minute for that.
pub(super) const MAX_PENDING: usize = if cfg!(test) { 32_768 } else { 262_144 };

/// The database behind all rooms' storage. Cloning gives another handle.
#[derive(Clone)]
pub(crate) struct Db(pub(super) Arc<Shared>);

pub(super) struct Shared {
    /// The values that wait to be written.
    pub(super) pending: Mutex<Pending>,
    /// Sends orders to the thread.
    pub(super) orders: mpsc::Sender<Order>,
}

#[derive(Default)]
pub(super) struct Pending {
    /// The values of the next batch.
    pub(super) next: Batch,
    /// The values that the thread is writing now. They are not in the database yet.
    pub(super) writing: Arc<Batch>,
    /// Why the disk takes no writes at the moment.
    pub(super) fault: Option<String>,
    /// Since when the thread has been busy with one order.
    pub(super) busy_since: Option<Instant>,
}

impl Pending {
    /// Why nothing can be stored at the moment.
    fn trouble(&self) -> Option<String> {
        let waits = self.busy_since.map(|since| since.elapsed()).filter(|waits| *waits >= HANGS_AFTER);
        self.fault.clone().or_else(|| waits.map(|waits| format!("the disk has not answered for {} s", waits.as_secs())))
    }
}

impl Db {
    /// Opens the database in `folder`. A damaged one is moved aside, and what can be read of it is copied into a new one.
    ///
    /// # Errors
    /// Fails if another server uses the folder, or if it cannot be written to.
    pub(crate) fn open(folder: &Path) -> Result<Self, StartupError> {
        let (orders, inbox) = mpsc::channel();
        let shared = Arc::new(Shared { pending: Mutex::default(), orders });
        let _opening = Opening::tell_if_slow(folder);
        writer::start(Arc::clone(&shared), folder, inbox)?;
        Ok(Self(shared))
    }

    /// Writes these values soon, all or none. Rows that belong to no room, such as alarms, are beside the rooms' own rows.
    ///
    /// # Errors
    /// Fails with [`StorageError::Full`]. The log then says so.
    pub(crate) fn write(&self, batch: Batch) -> Result<(), StorageError> {
        static FULL: Notice = Notice::fault();
        static HANGS: Notice = Notice::fault();
        let mut pending = self.0.pending();
        if pending.fault.is_none()
            && let Some(trouble) = pending.trouble()
        {
            HANGS.give(|| format!("storage takes no writes: {trouble}. Counting goes on. Check the disk of --data"));
        }
        let was_empty = pending.next.is_empty();
        let new = batch.keys().filter(|key| !pending.next.contains_key(*key)).count();
        if new > 0 && pending.next.len() + pending.writing.len() + new > MAX_PENDING {
            drop(pending);
            FULL.give(|| {
                format!(
                    "a value was not stored: {MAX_PENDING} wait for the disk, which takes no writes or is too slow. Counting \
                     goes on. Check the disk of --data; /readyz says whether it takes writes"
                )
            });
            return Err(StorageError::Full);
        }
        pending.next.extend(batch);
        drop(pending);
        if was_empty {
            // A closed thread need not be woken.
            let _ = self.0.orders.send(Order::Write);
        }
        Ok(())
    }

    pub(super) async fn get(&self, key: Key) -> Result<Option<Bytes>, StorageError> {
        {
            let pending = self.0.pending();
            if let Some(value) = pending.next.get(&key).or_else(|| pending.writing.get(&key)) {
                return Ok(value.clone());
            }
        }
        self.ask(|reply| Order::Get(key, reply)).await
    }

    /// Deletes everything that the rooms of a party have stored.
    pub(crate) async fn forget_party(&self, party: &str) -> Result<(), StorageError> {
        self.forget(&[ROOMS, &joined(&[party.as_bytes(), b""])].concat()).await
    }

    pub(super) async fn forget(&self, prefix: &Key) -> Result<(), StorageError> {
        self.ask(|reply| Order::Forget(prefix.clone(), reply)).await
    }

    /// Why nothing can be stored at the moment, for `/readyz` and the metrics.
    pub(crate) fn fault(&self) -> Option<String> {
        self.0.pending().trouble()
    }

    /// How many values wait to be written.
    pub(crate) fn pending_values(&self) -> usize {
        let pending = self.0.pending();
        pending.next.len() + pending.writing.len()
    }

    pub(crate) async fn list(&self, from: Key, to: Key, reverse: bool, limit: usize) -> Result<Rows, StorageError> {
        self.ask(|reply| Order::List { from, to, reverse, limit, reply }).await
    }

    async fn ask<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, StorageError>>) -> Order,
    ) -> Result<T, StorageError> {
        let (reply, answer) = oneshot::channel();
        self.0.orders.send(order(reply)).map_err(|_| StorageError::Closed)?;
        match tokio::time::timeout(READ_TIMEOUT, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(StorageError::Closed),
            Err(_) => Err(StorageError::Timeout),
        }
    }

    /// Writes and syncs everything, and releases the folder. It gives up after `patience` if the disk hangs.
    pub(crate) async fn close(&self, patience: Duration) {
        let (reply, closed) = oneshot::channel();
        if self.0.orders.send(Order::Close(reply)).is_ok() && tokio::time::timeout(patience, closed).await.is_err() {
            tracing::error!(
                "the disk did not answer within --shutdown-timeout-ms; the values of the last seconds may be lost"
            );
        }
    }
}

/// Logs that a database takes long to open, unless this is dropped before.
struct Opening(#[expect(dead_code, reason = "its end says that the database is open")] mpsc::Sender<()>);

impl Opening {
    fn tell_if_slow(folder: &Path) -> Self {
        let (sender, opened) = mpsc::channel::<()>();
        let folder = folder.to_owned();
        thread::spawn(move || {
            if opened.recv_timeout(HANGS_AFTER) == Err(mpsc::RecvTimeoutError::Timeout) {
                let folder = folder.display();
                tracing::warn!(
                    "the data folder {folder} takes long to open, or its disk hangs; the server waits for it"
                );
            }
        });
        Self(sender)
    }
}

impl Shared {
    pub(super) fn pending(&self) -> MutexGuard<'_, Pending> {
        // Nothing that holds the lock can panic halfway through a change.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
