//! The thread that owns the database. Everything in fjall blocks, for as long as a disk likes; only this thread minds.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    ops::{Bound, ControlFlow},
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use tokio::sync::oneshot;

use super::{ALARMS, Batch, Key, Rows, Shared, StorageError};
use crate::error::StartupError;

/// From a write until a killed process no longer loses it.
const WRITE_INTERVAL: Duration = Duration::from_millis(500);
/// From a write until a power cut no longer loses it.
const SYNC_INTERVAL: Duration = Duration::from_secs(5);
/// Between two tries to open a database that stopped taking writes, such as on a full disk.
const REOPEN_INTERVAL: Duration = Duration::from_secs(5);

/// What the thread is asked to do, in order.
pub(super) enum Order {
    /// Something is pending where nothing was.
    Write,
    Get(Key, oneshot::Sender<Result<Option<Bytes>, StorageError>>),
    List {
        from: Key,
        to: Key,
        reverse: bool,
        limit: usize,
        reply: oneshot::Sender<Result<Rows, StorageError>>,
    },
    /// Do nothing until the other end is dropped.
    #[cfg(feature = "testing")]
    Stall(mpsc::Receiver<()>),
    /// Write and sync everything, let go of the folder, end.
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
    shared: Arc<Shared>,
    folder: PathBuf,
    /// `None` after a fault, until it can be opened again.
    open: Option<Open>,
    /// When what is pending is written, and the database opened for it where it is closed.
    write_at: Option<Instant>,
    /// When what is written is synced.
    sync_at: Option<Instant>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, folder: &Path, open: Option<Open>) -> Self {
        Self { shared, folder: folder.to_owned(), open, write_at: None, sync_at: None }
    }

    fn run(mut self, inbox: &mpsc::Receiver<Order>) {
        loop {
            let order = match [self.write_at, self.sync_at].into_iter().flatten().min() {
                Some(due) => inbox.recv_timeout(due.saturating_duration_since(Instant::now())),
                None => inbox.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected),
            };
            // fjall answers some faults with a panic; the thread must not end with it.
            match panic::catch_unwind(AssertUnwindSafe(|| self.turn(order))) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return,
                Err(_) => self.fail(&"the database panicked"),
            }
        }
    }

    /// Does what it is asked and what is due.
    fn turn(&mut self, order: Result<Order, mpsc::RecvTimeoutError>) -> ControlFlow<()> {
        match order {
            Ok(Order::Write) => self.write_at = self.write_at.or(Some(Instant::now() + WRITE_INTERVAL)),
            Ok(Order::Get(key, reply)) => drop(reply.send(self.get(&key))),
            // Whoever asked may have given up waiting.
            Ok(Order::List { reply, .. }) if reply.is_closed() => {}
            Ok(Order::List { from, to, reverse, limit, reply }) => {
                drop(reply.send(self.list(from, to, reverse, limit)))
            }
            #[cfg(feature = "testing")]
            Ok(Order::Stall(held)) => drop(held.recv()),
            Ok(Order::Close(reply)) => {
                self.write();
                self.sync(PersistMode::SyncAll);
                // fjall keeps its lock while any handle lives.
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

    /// Writes all that is pending as one batch.
    fn write(&mut self) {
        if self.open.is_none() {
            match Open::new(&self.folder) {
                Ok(open) => {
                    tracing::info!("storage takes writes again");
                    self.open = Some(open);
                }
                Err(error) => return self.fail(&error),
            }
        }
        let batch = {
            let mut pending = self.shared.pending();
            // After a failed write both hold something; the newer value wins.
            let next = std::mem::take(&mut pending.next);
            Arc::make_mut(&mut pending.writing).extend(next);
            pending.dropped = false;
            Arc::clone(&pending.writing)
        };
        match self.open.as_ref().map_or(Ok(()), |open| open.write(&batch)) {
            Ok(()) => {
                // What has come since has sent an order of its own.
                self.shared.pending().writing = Arc::default();
                self.sync_at = self.sync_at.or(Some(Instant::now() + SYNC_INTERVAL));
            }
            Err(error) => self.fail(&error),
        }
    }

    fn sync(&mut self, mode: PersistMode) {
        self.sync_at = None;
        if let Some(Err(error)) = self.open.as_ref().map(|open| open.db.persist(mode)) {
            self.fail(&error);
        }
    }

    /// After a fault fjall refuses every write until it is opened anew.
    fn fail(&mut self, fault: &dyn fmt::Display) {
        tracing::error!(error = %fault, "storage takes no writes; counts go on, trying again in {REOPEN_INTERVAL:?}");
        self.open = None;
        self.sync_at = None;
        self.write_at = Some(Instant::now() + REOPEN_INTERVAL);
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let open = self.open.as_ref().ok_or(StorageError::Unavailable)?;
        Ok(open.rows.get(key)?.map(|value| Bytes::copy_from_slice(&value)))
    }

    /// The database's rows with what is pending laid over them.
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
        // As many deleted rows may have to be passed over as there are deletions pending.
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

/// An open database.
pub(super) struct Open {
    db: Database,
    rows: Keyspace,
}

impl Open {
    /// Opens the database `db` in the folder. A damaged one is moved aside, within the folder: it may be a mount point, and
    /// what else is in it is not ours.
    fn new(folder: &Path) -> Result<Self, StartupError> {
        let failed = |source| StartupError::Data { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(|error| failed(error.into()))?;
        let place = folder.join("db");
        // fjall answers some damage with a panic: lengths that a flipped bit made absurd, for example.
        let opened = panic::catch_unwind(|| Self::try_new(&place)).unwrap_or(Err(fjall::Error::Unrecoverable));
        match opened {
            Ok(open) => Ok(open),
            Err(fjall::Error::Locked) => Err(StartupError::DataInUse { path: folder.to_owned() }),
            Err(error) if is_damage(&error) => {
                let aside = free_name(&place);
                fs::rename(&place, &aside).map_err(|source| failed(source.into()))?;
                tracing::error!(%error, moved_to = %aside.display(), "the database is damaged; starting with an empty one");
                Self::try_new(&place).map_err(|error| failed(error.into()))
            }
            // A full disk, too many open files, no permission: the database may be as good as ever.
            Err(fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error))) => {
                Err(failed(error.into()))
            }
            Err(error) => Err(failed(error.into())),
        }
    }

    fn try_new(folder: &Path) -> fjall::Result<Self> {
        const CACHE_BYTES: u64 = 4 * 1024 * 1024;
        const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;
        const MEMTABLE_BYTES: u64 = 4 * 1024 * 1024;
        const OPEN_FILES: usize = 32;
        // fjall takes a database that lost its journal for a sound one, numbers new writes below the old ones, and passes
        // them over at the next start.
        if folder.join("version").exists() && !has_journal(folder)? {
            return Err(fjall::Error::Unrecoverable);
        }
        // Small on purpose: rooms keep what they use, so the database is written often and read rarely.
        let db = Database::builder(folder)
            .cache_size(CACHE_BYTES)
            .worker_threads(1)
            .max_cached_files(Some(OPEN_FILES))
            .max_journaling_size(JOURNAL_BYTES)
            .open()?;
        let rows = db.keyspace("rows", || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES))?;
        // What the start itself needs. fjall checks blocks when they are read: better now, while there is a way out.
        for row in rows.prefix(ALARMS) {
            row.into_inner()?;
        }
        Ok(Self { db, rows })
    }

    fn write(&self, batch: &Batch) -> fjall::Result<()> {
        let mut rows = self.db.batch().durability(Some(PersistMode::Buffer));
        for (key, value) in batch {
            match value {
                Some(value) => rows.insert(&self.rows, &**key, &**value),
                None => rows.remove(&self.rows, &**key),
            }
        }
        rows.commit()
    }
}

/// Whether the database itself is at fault, and not the machine under it.
pub(super) fn is_damage(error: &fjall::Error) -> bool {
    use io::ErrorKind as Kind;
    match error {
        // Files that are too short, missing, there although they should not be, or point nowhere.
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => matches!(
            error.kind(),
            Kind::UnexpectedEof
                | Kind::InvalidData
                | Kind::InvalidInput
                | Kind::NotFound
                | Kind::AlreadyExists
                | Kind::IsADirectory
                | Kind::NotADirectory
        ),
        _ => true,
    }
}

fn has_journal(folder: &Path) -> io::Result<bool> {
    let is_journal =
        |entry: io::Result<fs::DirEntry>| Ok(entry?.path().extension().is_some_and(|ending| ending == "jnl"));
    fs::read_dir(folder)?.map(is_journal).try_fold(false, |found, is_journal: io::Result<bool>| Ok(found | is_journal?))
}

/// `db.bad-1`, or the next number that is free.
fn free_name(place: &Path) -> PathBuf {
    let name = |number: u32| {
        let mut name = place.as_os_str().to_owned();
        name.push(format!(".bad-{number}"));
        PathBuf::from(name)
    };
    (1..).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(0))
}
