//! The thread that owns the database. Every call of fjall may block for as long as the disk likes, and then only this thread
//! waits.

use std::{
    collections::BTreeMap,
    fmt, io,
    ops::{Bound, ControlFlow},
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fjall::PersistMode;
use tokio::sync::oneshot;

use super::{
    Batch, Key, Rows, StorageError, after_prefix,
    db::Shared,
    files::Whereabouts,
    open::{self, Open},
};
use crate::error::StartupError;

/// Time from a write until it survives a killed process: half a second, minus the delay of a busy machine.
const WRITE_INTERVAL: Duration = Duration::from_millis(350);
/// Time from a write until it survives a power cut.
const SYNC_INTERVAL: Duration = Duration::from_secs(5);
/// Time between two attempts to open a database that takes no writes, for example on a full disk.
const REOPEN_INTERVAL: Duration = Duration::from_secs(5);

/// The orders to the thread, which it handles one after another.
pub(super) enum Order {
    /// Values are pending, and none were before.
    Write,
    Get(Key, oneshot::Sender<Result<Option<Bytes>, StorageError>>),
    List {
        from: Key,
        to: Key,
        reverse: bool,
        limit: usize,
        reply: oneshot::Sender<Result<Rows, StorageError>>,
    },
    /// Do nothing until the sender is dropped.
    #[cfg(feature = "testing")]
    Stall(mpsc::Receiver<()>),
    /// Remove all rows whose keys start with this, also those that wait to be written.
    Forget(Key, oneshot::Sender<Result<(), StorageError>>),
    /// Write and sync everything, release the folder, and end.
    Close(oneshot::Sender<()>),
}

/// Opens the database and starts the thread. It ends with [`Order::Close`], or when the last sender is gone.
pub(super) fn start(shared: Arc<Shared>, folder: &Path, inbox: mpsc::Receiver<Order>) -> Result<(), StartupError> {
    let writer = Writer::new(shared, folder, Some(Open::new(folder)?));
    let started = thread::Builder::new().name("storage".into()).spawn(move || writer.run(&inbox));
    started.map(drop).map_err(|source| StartupError::Data { path: folder.to_owned(), source: source.into() })
}

/// The thread.
pub(super) struct Writer {
    /// What the thread shares with those who send orders.
    shared: Arc<Shared>,
    /// The folder of the database.
    folder: PathBuf,
    /// `None` after a fault, until it can be opened again.
    open: Option<Open>,
    /// The database failed, and the reason is not known to be the machine. All of it is read before it is used again.
    suspect: bool,
    /// When the pending values are written. If the database is closed, it is opened first.
    write_at: Option<Instant>,
    /// When the written values are synced.
    sync_at: Option<Instant>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, folder: &Path, open: Option<Open>) -> Self {
        Self { shared, folder: folder.to_owned(), open, suspect: false, write_at: None, sync_at: None }
    }

    fn run(mut self, inbox: &mpsc::Receiver<Order>) {
        loop {
            let order = match [self.write_at, self.sync_at].into_iter().flatten().min() {
                Some(due) => inbox.recv_timeout(due.saturating_duration_since(Instant::now())),
                None => inbox.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected),
            };
            self.shared.pending().busy_since = Some(Instant::now());
            // Some faults make fjall panic. The thread must go on.
            match panic::catch_unwind(AssertUnwindSafe(|| self.turn(order))) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return,
                Err(_) => self.fail(&fjall::Error::Unrecoverable),
            }
            self.shared.pending().busy_since = None;
        }
    }

    /// Handles an order, and does what is due.
    fn turn(&mut self, order: Result<Order, mpsc::RecvTimeoutError>) -> ControlFlow<()> {
        match order {
            Ok(Order::Write) => self.write_at = self.write_at.or(Some(Instant::now() + WRITE_INTERVAL)),
            Ok(Order::Get(key, reply)) => drop(reply.send(self.read(|this| this.get(&key)))),
            // The caller may have given up waiting.
            Ok(Order::List { reply, .. }) if reply.is_closed() => {}
            Ok(Order::List { from, to, reverse, limit, reply }) => {
                let rows = self.read(|this| this.list(from.clone(), to.clone(), reverse, limit));
                drop(reply.send(rows));
            }
            Ok(Order::Forget(prefix, reply)) => drop(reply.send(self.forget(&prefix))),
            #[cfg(feature = "testing")]
            Ok(Order::Stall(held)) => drop(held.recv()),
            Ok(Order::Close(reply)) => {
                self.write();
                self.sync(PersistMode::SyncAll);
                // fjall keeps its lock until the last handle is dropped.
                drop(self.open.take());
                let _ = reply.send(());
                return ControlFlow::Break(());
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return ControlFlow::Break(()),
        }
        let now = Instant::now();
        if self.write_at.is_some_and(|due| due <= now) {
            self.write_at = None;
            self.write();
        }
        if self.sync_at.is_some_and(|due| due <= now) {
            self.sync(PersistMode::SyncData);
        }
        ControlFlow::Continue(())
    }

    /// Writes all pending values as one batch.
    fn write(&mut self) {
        match self.open.as_mut().map_or(Whereabouts::InPlace, |open| open.files.whereabouts()) {
            Whereabouts::InPlace => {}
            Whereabouts::Gone => {
                self.open = None;
                return self.tell_fault(&"the folder of the database was moved or deleted while the server runs");
            }
            Whereabouts::Changed => {
                let changed = io::Error::other("its files were replaced or deleted while the server runs");
                self.save(&changed.into());
            }
        }
        if self.open.is_none()
            && let Err(error) = self.reopen()
        {
            return self.tell_fault(&error);
        }
        let batch = {
            let mut pending = self.shared.pending();
            // After a failed write, both maps may hold a key. The newer value wins.
            let next = std::mem::take(&mut pending.next);
            Arc::make_mut(&mut pending.writing).extend(next);
            Arc::clone(&pending.writing)
        };
        match self.open.as_ref().map_or(Ok(()), |open| open.write(&batch)) {
            Ok(()) => {
                let mut pending = self.shared.pending();
                // A value that has arrived since then has sent its own order.
                pending.writing = Arc::default();
                let had_failed = pending.fault.take().is_some();
                drop(pending);
                if had_failed {
                    tracing::info!("storage takes writes again");
                }
                self.sync_at = self.sync_at.or(Some(Instant::now() + SYNC_INTERVAL));
            }
            Err(error) => self.fail(&error),
        }
    }

    /// Opens the database again after a fault.
    fn reopen(&mut self) -> Result<(), StartupError> {
        let space = open::has_space(&self.folder);
        space.map_err(|source| StartupError::Data { path: self.folder.clone(), source: source.into() })?;
        let opened = Open::new(&self.folder)?;
        let read = if self.suspect { open::caught(|| opened.read_through(b"")) } else { Ok(()) };
        self.open = Some(match read {
            Err(error) if open::is_damage(&error) => opened.save(&self.folder, &error, None)?,
            _ => opened,
        });
        self.suspect = false;
        Ok(())
    }

    fn sync(&mut self, mode: PersistMode) {
        self.sync_at = None;
        if let Some(Err(error)) = self.open.as_ref().map(|open| open.db.persist(mode)) {
            self.fail(&error);
        }
    }

    /// After a fault, fjall refuses every write until the database is opened again.
    fn fail(&mut self, fault: &fjall::Error) {
        self.open = None;
        self.suspect |= open::is_damage(fault);
        // fjall does not always pass on the machine's error.
        match open::has_space(&self.folder) {
            Err(error) => self.tell_fault(&error),
            Ok(()) => self.tell_fault(fault),
        }
    }

    /// Logs and reports only the first fault, until writes succeed again.
    fn tell_fault(&mut self, fault: &dyn fmt::Display) {
        let mut pending = self.shared.pending();
        let is_first = pending.fault.is_none();
        pending.fault.get_or_insert_with(|| fault.to_string());
        drop(pending);
        if is_first {
            tracing::error!(
                error = %fault,
                "storage takes no writes; counting goes on, and the server tries again every {REOPEN_INTERVAL:?}"
            );
        }
        self.sync_at = None;
        self.write_at = Some(Instant::now() + REOPEN_INTERVAL);
    }

    /// Reads from the database. If the rows are damaged, all that can be read is saved first, and the rows are read again.
    fn read<T>(&mut self, read: impl Fn(&Self) -> Result<T, StorageError>) -> Result<T, StorageError> {
        let first = panic::catch_unwind(AssertUnwindSafe(|| read(self)))
            .unwrap_or(Err(StorageError::Database(fjall::Error::Unrecoverable)));
        match first {
            Err(StorageError::Database(error)) if open::is_damage(&error) => {
                if self.open.is_none() {
                    return Err(error.into());
                }
                self.save(&error);
                read(self)
            }
            other => other,
        }
    }

    /// Copies all that can be read into a new database.
    fn save(&mut self, cause: &fjall::Error) {
        let Some(damaged) = self.open.take() else { return };
        match damaged.save(&self.folder, cause, None) {
            Ok(saved) => self.open = Some(saved),
            Err(problem) => {
                self.suspect = true;
                self.tell_fault(&problem);
            }
        }
    }

    fn forget(&mut self, prefix: &Key) -> Result<(), StorageError> {
        let (from, to) = (prefix.clone(), after_prefix(prefix));
        let waiting = {
            let mut pending = self.shared.pending();
            let mut waiting = take_range(Arc::make_mut(&mut pending.writing), &from, &to);
            waiting.extend(take_range(&mut pending.next, &from, &to));
            waiting
        };
        let removed = self.read(|this| {
            let open = this.open.as_ref().ok_or(StorageError::Unavailable)?;
            open.remove_range(from.clone(), to.clone())
        });
        match &removed {
            Ok(()) => self.sync_at = self.sync_at.or(Some(Instant::now() + SYNC_INTERVAL)),
            Err(error) => {
                // The batch is put back. Values that were written since then are newer and win.
                let mut pending = self.shared.pending();
                for (key, value) in waiting {
                    pending.next.entry(key).or_insert(value);
                }
                drop(pending);
                self.write_at = self.write_at.or(Some(Instant::now() + WRITE_INTERVAL));
                if let StorageError::Database(error) = error {
                    self.fail(error);
                }
            }
        }
        removed
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let open = self.open.as_ref().ok_or(StorageError::Unavailable)?;
        Ok(open.rows.get(key)?.map(|value| Bytes::copy_from_slice(&value)))
    }

    /// The rows of the database, with the pending values over them.
    pub(super) fn list(&self, from: Key, to: Key, reverse: bool, limit: usize) -> Result<Rows, StorageError> {
        if from >= to {
            return Ok(Rows::new());
        }
        let range = (Bound::Included(from), Bound::Excluded(to));
        let overlay: Batch = {
            let pending = self.shared.pending();
            let next = pending.next.range(range.clone());
            pending.writing.range(range.clone()).chain(next).map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        // There may be as many deleted rows to skip as there are pending deletions.
        let enough = limit.saturating_add(overlay.values().filter(|value| value.is_none()).count());
        let mut rows = BTreeMap::new();
        let open = self.open.as_ref().ok_or(StorageError::Unavailable)?;
        let mut stored = open.rows.range::<Key, _>(range);
        let next = || if reverse { stored.next_back() } else { stored.next() };
        for row in std::iter::from_fn(next).take(enough) {
            let (key, value) = row.into_inner()?;
            rows.insert(key.to_vec(), Some(Bytes::copy_from_slice(&value)));
        }
        rows.extend(overlay);
        let rows = rows.into_iter().filter_map(|(key, value)| Some((key, value?)));
        Ok(if reverse { rows.rev().take(limit).collect() } else { rows.take(limit).collect() })
    }
}

/// Takes the values from key `from` to before key `to` out of a batch.
fn take_range(batch: &mut Batch, from: &Key, to: &Key) -> Batch {
    let mut taken = batch.split_off(from);
    batch.append(&mut taken.split_off(to));
    taken
}
