//! An open database: how it is opened over whatever is on the disk, and saved from damage.

use std::{
    fs, io,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
};

use fjall::{Database, Guard, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{ALARMS, Batch, Key, StorageError, foreign};
use crate::error::StartupError;

/// Bytes that the database gathers in memory before it writes a table: some 5,000 values, all of which stay in memory until
/// then, also those that newer ones have replaced.
const MEMTABLE_BYTES: u64 = 1024 * 1024;
/// Bytes of keys and values that are copied in one go when a database is saved.
const COPY_BYTES: usize = 1024 * 1024;

/// An open database.
pub(super) struct Open {
    /// All that is stored.
    pub(super) db: Database,
    /// The rows of all rooms in it.
    pub(super) rows: Keyspace,
}

impl Open {
    /// Opens the database `db` in the folder. What can be read of a damaged one is copied into a new one; the damaged one
    /// is moved aside, within the folder: it may be a mount point, and what else is in it is not ours.
    pub(super) fn new(folder: &Path) -> Result<Self, StartupError> {
        let failed = |source| StartupError::Data { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                failed("there is a file, and no folder".into())
            }
            _ => failed(error.into()),
        })?;
        let place = folder.join("db");
        finish_saving(folder, &place).map_err(|error| failed(error.into()))?;
        foreign::move_out(&place);
        let opened = caught(|| Self::try_new(&place));
        match opened {
            // What the start itself needs. fjall checks blocks when they are read: better now, while there is a way out.
            Ok(open) => match caught(|| open.read_through(ALARMS)) {
                Err(error) if is_damage(&error) => open.save(folder, &error),
                _ => Ok(open),
            },
            Err(fjall::Error::Locked) => Err(StartupError::DataInUse { path: folder.to_owned() }),
            Err(error) if is_damage(&error) => {
                let aside = free_name(&place, ".bad");
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
        Ok(Self { db, rows })
    }

    /// Reads all rows whose keys start with `prefix`: damage shows only when it is read.
    pub(super) fn read_through(&self, prefix: &[u8]) -> fjall::Result<()> {
        for row in self.rows.prefix(prefix) {
            row.into_inner()?;
        }
        Ok(())
    }

    pub(super) fn write(&self, batch: &Batch) -> fjall::Result<()> {
        let mut rows = self.db.batch().durability(Some(PersistMode::Buffer));
        for (key, value) in batch {
            match value {
                Some(value) => rows.insert(&self.rows, &**key, &**value),
                None => rows.remove(&self.rows, &**key),
            }
        }
        rows.commit()
    }

    /// Removes all rows from key `from` to before `to`, as one batch.
    pub(super) fn remove_range(&self, from: Key, to: Key) -> Result<(), StorageError> {
        let mut rows = self.db.batch().durability(Some(PersistMode::Buffer));
        for row in self.rows.range::<Key, _>(from..to) {
            rows.remove(&self.rows, row.key()?);
        }
        Ok(rows.commit()?)
    }

    /// Puts a new database with all rows that can be read in the place of this one, which is moved aside.
    pub(super) fn save(self, folder: &Path, cause: &fjall::Error) -> Result<Self, StartupError> {
        let failed = |source| StartupError::Data { path: folder.to_owned(), source };
        let (place, new_place) = (folder.join("db"), saved_place(folder));
        // A copy that was not finished.
        match fs::remove_dir_all(&new_place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error.into())),
            _ => {}
        }
        let new = Self::try_new(&new_place).map_err(|error| failed(error.into()))?;
        let saved = self.copy_to(&new).and_then(|saved| {
            new.db.persist(PersistMode::SyncAll)?;
            Ok(saved)
        });
        let saved = saved.map_err(|error| failed(error.into()))?;
        // fjall writes into its folder for as long as any handle lives.
        drop((self, new));
        let aside = free_name(&place, ".bad");
        let moved = fs::rename(&place, &aside).and_then(|()| fs::rename(&new_place, &place));
        moved.map_err(|error| failed(error.into()))?;
        tracing::error!(
            error = %cause, saved, moved_to = %aside.display(),
            "the database is damaged; what can be read of it was copied into a new one"
        );
        Self::try_new(&place).map_err(|error| failed(error.into()))
    }

    /// Copies the rows before the first damage and those after the last. How many.
    fn copy_to(&self, new: &Self) -> fjall::Result<usize> {
        let (forward, reached) = new.take_in(self.rows.iter(), None)?;
        let (backward, _) = new.take_in(self.rows.iter().rev(), reached.as_ref())?;
        Ok(forward + backward)
    }

    /// Writes rows until one of them cannot be read, or the key `end` comes. How many, and the last key.
    fn take_in(&self, rows: impl Iterator<Item = Guard>, end: Option<&Key>) -> fjall::Result<(usize, Option<Key>)> {
        let (mut copied, mut last) = (0, None);
        let (mut batch, mut bytes) = (Batch::new(), 0);
        let mut rows = AssertUnwindSafe(rows);
        // fjall answers some damage with a panic.
        while let Some(Ok((key, value))) = caught(|| rows.next().map(Guard::into_inner).transpose()).transpose() {
            let key = key.to_vec();
            if Some(&key) == end {
                break;
            }
            bytes += key.len() + value.len();
            last = Some(key.clone());
            batch.insert(key, Some(bytes::Bytes::copy_from_slice(&value)));
            copied += 1;
            if bytes >= COPY_BYTES {
                self.write(&batch)?;
                (batch, bytes) = (Batch::new(), 0);
            }
        }
        self.write(&batch)?;
        Ok((copied, last))
    }
}

/// The answer of fjall; a panic of it counts as damage: a flipped bit can make lengths absurd, for example.
pub(super) fn caught<T>(work: impl FnOnce() -> fjall::Result<T>) -> fjall::Result<T> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(fjall::Error::Unrecoverable))
}

/// Where a new database is written that will take the place of a damaged one.
fn saved_place(folder: &Path) -> PathBuf {
    folder.join("db.saved")
}

/// A process that ended between the two renames of [`Open::save`] left the new database under its first name.
fn finish_saving(folder: &Path, place: &Path) -> io::Result<()> {
    let saved = saved_place(folder);
    if !place.exists() && saved.exists() { fs::rename(saved, place) } else { Ok(()) }
}

/// Whether the disk takes as much as the database writes in one go. A full disk may take a few bytes, and then fail it again.
pub(super) fn has_space(folder: &Path) -> io::Result<()> {
    let probe = folder.join("db.probe");
    let written = fs::File::create(&probe).and_then(|mut file| {
        io::copy(&mut io::Read::take(io::repeat(1), MEMTABLE_BYTES), &mut file)?;
        file.sync_all()
    });
    let removed = fs::remove_file(&probe);
    written.and(removed)
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

/// The path with `<word>-1` after it, or the next number that is free: `db.bad-1`.
pub(super) fn free_name(path: &Path, word: &str) -> PathBuf {
    let name = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!("{word}-{number}"));
        PathBuf::from(name)
    };
    (1..).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(0))
}
