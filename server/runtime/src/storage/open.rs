//! An open database: how it is opened, and how a damaged one is saved.

use std::{
    error::Error,
    fs, io,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
};

use fjall::{Database, Guard, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{ALARMS, Batch, Key, StorageError, files::Files, foreign, journal::Journals};
use crate::error::StartupError;

/// Bytes that the database gathers in memory before it writes a table: some 2,000 values, also those that newer ones have
/// replaced. They take twice as much memory, and twice that while a table is written.
const MEMTABLE_BYTES: u64 = 256 * 1024;
/// Bytes of keys and values that are copied at once when a damaged database is saved.
const COPY_BYTES: usize = 1024 * 1024;

/// An open database.
pub(super) struct Open {
    /// The fjall database.
    pub(super) db: Database,
    /// The rows of all rooms.
    pub(super) rows: Keyspace,
    /// Its files.
    pub(super) files: Files,
}

impl Open {
    /// Opens the database `db` in the folder. If it is damaged, what can be read of it is copied into a new one, and the
    /// damaged one is moved aside. Both stay within the folder, because it may be a mount point. Other files in it are not
    /// touched.
    pub(super) fn new(folder: &Path) -> Result<Self, StartupError> {
        let failed = |source| StartupError::Data { path: folder.to_owned(), source };
        let failed_io = |error| failed(in_words(error));
        let place = prepared(folder).map_err(failed)?;
        let journals = Journals::read(&place).map_err(failed_io)?;
        let opened = caught(|| Self::try_new(&place));
        match opened {
            Ok(open) if journals.were_cut() => Ok(open.take_back(folder, &journals)),
            // Alarms are read now, because the start needs them, and fjall finds damage only when it reads.
            Ok(open) => match caught(|| open.read_through(ALARMS)) {
                Err(error) if is_damage(&error) => open.save(folder, &error, None),
                _ => Ok(open),
            },
            Err(fjall::Error::Locked) => Err(StartupError::DataInUse { path: folder.to_owned() }),
            Err(error) if is_damage(&error) => {
                if let Ok(tables) = Self::without_journals(&place, &error) {
                    return tables.save(folder, &error, Some(&journals));
                }
                let aside = free_name(&place, ".bad");
                fs::rename(&place, &aside).map_err(|source| failed(source.into()))?;
                let new = Self::try_new(&place).map_err(|error| failed(error.into()))?;
                let saved = in_log(new.take_from(&journals, folder));
                tracing::error!(%error, saved, moved_to = %aside.display(), "the database is damaged, or parts of it are missing; the server starts with what its journals have. If you have a backup of the data folder, stop the server and put it back");
                Ok(new)
            }
            // The disk may be full, there may be too many open files, or a permission may be missing. The database itself may
            // be sound.
            Err(fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error))) => Err(failed_io(error)),
            Err(error) => Err(failed(error.into())),
        }
    }

    pub(super) fn try_new(folder: &Path) -> fjall::Result<Self> {
        Self::with_memory(folder, MEMTABLE_BYTES)
    }

    /// Opens a database that writes no table while it is open, so that its journal stays as it is.
    pub(super) fn unwritten(folder: &Path) -> fjall::Result<Self> {
        Self::with_memory(folder, u64::MAX)
    }

    fn with_memory(folder: &Path, memtable_bytes: u64) -> fjall::Result<Self> {
        const CACHE_BYTES: u64 = 4 * 1024 * 1024;
        const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;
        const OPEN_FILES: usize = 32;
        // fjall takes a database without a journal for a sound one. It then numbers new writes below the old ones, and ignores
        // them at the next start. It also takes one without its list of keyspaces for a new one, and then deletes the journal.
        // If the rows are missing, it starts with none.
        let is_whole = || Ok::<_, io::Error>(!journals(folder)?.is_empty() && foreign::has_keyspaces(folder)?);
        if folder.join("version").exists() && !is_whole()? {
            return Err(fjall::Error::Unrecoverable);
        }
        // The memory is small on purpose. Rooms keep their values, so the database is written often and read rarely.
        let db = Database::builder(folder)
            .cache_size(CACHE_BYTES)
            .worker_threads(1)
            .max_cached_files(Some(OPEN_FILES))
            .max_journaling_size(JOURNAL_BYTES)
            .open()?;
        let rows = db.keyspace("rows", || KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes))?;
        Ok(Self { db, rows, files: Files::of(folder)? })
    }

    /// Opens what the tables of a database have if its journal may be damaged: all but the newest rows. The journals get other names.
    fn without_journals(place: &Path, damage: &fjall::Error) -> fjall::Result<Self> {
        if matches!(damage, fjall::Error::InvalidVersion(_)) || !foreign::has_keyspaces(place)? {
            return Err(fjall::Error::Unrecoverable);
        }
        for journal in journals(place)? {
            fs::rename(&journal, free_name(&journal, ".bad"))?;
        }
        // Without any journal fjall would take the rows for newer than the present, and not show them.
        fs::File::create_new(place.join("0.jnl"))?;
        caught(|| Self::try_new(place))
    }

    /// Reads all rows whose keys start with `prefix`, because damage shows only when it is read.
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

    /// Removes all rows from key `from` to before key `to`, as one batch.
    pub(super) fn remove_range(&self, from: Key, to: Key) -> Result<(), StorageError> {
        let mut rows = self.db.batch().durability(Some(PersistMode::Buffer));
        for row in self.rows.range::<Key, _>(from..to) {
            rows.remove(&self.rows, row.key()?);
        }
        Ok(rows.commit()?)
    }

    /// Writes the rows of batches that fjall has dropped because of a damaged one before them.
    fn take_back(self, folder: &Path, journals: &Journals) -> Self {
        let kept_at = in_log(journals.keep(&folder.join("db")).map(|path| path.display().to_string()));
        let saved = in_log(self.take_from(journals, folder));
        tracing::error!(kept_at, saved, "the journal of the database is damaged; its other values were written again");
        self
    }

    /// Writes the rows of all batches that are whole. Returns how many.
    fn take_from(&self, journals: &Journals, folder: &Path) -> fjall::Result<usize> {
        let scratch = free_name(&folder.join("db"), ".scratch");
        let found = journals.rows(&scratch);
        let (taken, _) = found.as_ref().map_or(Ok((0, None)), |found| self.take_in(found.rows.iter(), None))?;
        self.db.persist(PersistMode::SyncAll)?;
        // fjall writes into its folder until the last handle is dropped.
        drop(found);
        match fs::remove_dir_all(scratch) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(taken),
        }
    }

    /// Copies all rows that can be read into a new database, which replaces this one. This one is moved aside. Rows of the
    /// journals, if they are given, replace those of this one.
    pub(super) fn save(
        self,
        folder: &Path,
        cause: &fjall::Error,
        journals: Option<&Journals>,
    ) -> Result<Self, StartupError> {
        let failed = |source| StartupError::Data { path: folder.to_owned(), source };
        let (place, new_place) = (folder.join("db"), saved_place(folder));
        if foreign::is_of_another_program(&new_place).map_err(|error| failed(error.into()))? {
            return Err(failed("db.saved in it is not a database of this program".into()));
        }
        // A copy may be left that was not finished.
        match fs::remove_dir_all(&new_place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error.into())),
            _ => {}
        }
        let new = Self::try_new(&new_place).map_err(|error| failed(error.into()))?;
        let saved = self.copy_to(&new).and_then(|saved| {
            let newer = journals.map_or(Ok(0), |journals| new.take_from(journals, folder))?;
            new.db.persist(PersistMode::SyncAll)?;
            Ok(saved + newer)
        });
        let saved = saved.map_err(|error| failed(error.into()))?;
        // fjall writes into its folder until the last handle is dropped.
        drop((self, new));
        let aside = free_name(&place, ".bad");
        let moved = fs::rename(&place, &aside).and_then(|()| fs::rename(&new_place, &place));
        moved.map_err(|error| failed(error.into()))?;
        tracing::error!(
            error = %cause, saved, moved_to = %aside.display(),
            "the database is damaged; everything that can be read was copied into a new one"
        );
        Self::try_new(&place).map_err(|error| failed(error.into()))
    }

    /// Copies the rows before the first damage and those after the last. Returns how many.
    fn copy_to(&self, new: &Self) -> fjall::Result<usize> {
        let (forward, reached) = new.take_in(self.rows.iter(), None)?;
        let (backward, _) = new.take_in(self.rows.iter().rev(), reached.as_ref())?;
        Ok(forward + backward)
    }

    /// Writes rows until one cannot be read, or until the key `end`. Returns how many, and the last key.
    fn take_in(&self, rows: impl Iterator<Item = Guard>, end: Option<&Key>) -> fjall::Result<(usize, Option<Key>)> {
        let (mut copied, mut last) = (0, None);
        let (mut batch, mut bytes) = (Batch::new(), 0);
        let mut rows = AssertUnwindSafe(rows);
        // Some damage makes fjall panic.
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

/// Prepares the folder, and what is in it, for opening the database there. Returns the database's path.
fn prepared(folder: &Path) -> Result<PathBuf, Box<dyn Error + Send + Sync>> {
    fs::create_dir_all(folder).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            let is_link = fs::symlink_metadata(folder).is_ok_and(|found| found.is_symlink());
            let found = if is_link { "a link that leads to no folder" } else { "a file, and no folder" };
            format!("there is {found}").into()
        }
        _ => in_words(error),
    })?;
    let place = folder.join("db");
    finish_saving(folder, &place).map_err(in_words)?;
    if foreign::is_of_another_program(&place).map_err(in_words)? {
        return Err("db in it is not a database of this program".into());
    }
    if foreign::is_of_newer_version(&place) {
        let reason = "db in it was written by a newer version of this program, and was not changed. Start that version again, \
                      or give this version a folder of its own";
        return Err(reason.into());
    }
    foreign::move_out(&place);
    match open_each(&place) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(in_words(error)),
        // Other errors show when the database is opened.
        _ => {}
    }
    remove_unfinished(&place).map_err(in_words)?;
    Ok(place)
}

/// The reason why the data folder cannot be used, and what to do about it.
fn in_words(error: io::Error) -> Box<dyn Error + Send + Sync> {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("{error}. Make the user that runs the server the owner of all that is in it (chown -R)").into()
        }
        io::ErrorKind::FileTooLarge => {
            format!("{error}. Raise the limit of a file's size (`ulimit -f`, or LimitFSIZE= of systemd)").into()
        }
        _ => error.into(),
    }
}

/// Opens each file of the database once. fjall opens some of them only when it needs them, and that is after the start.
fn open_each(path: &Path) -> io::Result<()> {
    let kind = fs::symlink_metadata(path)?.file_type();
    if kind.is_dir() {
        return fs::read_dir(path)?.try_for_each(|entry| open_each(&entry?.path()));
    }
    // Opening a named pipe would take for ever.
    if kind.is_file() { fs::File::open(path).map(drop) } else { Ok(()) }
}

/// What the log says of something that should be saved.
fn in_log<T: ToString, E: std::fmt::Display>(saved: Result<T, E>) -> String {
    saved.map_or_else(|error| format!("nothing ({error})"), |saved| saved.to_string())
}

/// The result of fjall. A panic counts as damage, because a flipped bit can make lengths absurd, for example.
pub(super) fn caught<T>(work: impl FnOnce() -> fjall::Result<T>) -> fjall::Result<T> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(fjall::Error::Unrecoverable))
}

/// Where the new database is written that will replace a damaged one.
fn saved_place(folder: &Path) -> PathBuf {
    folder.join("db.saved")
}

/// A process that ended between the two renames of [`Open::save`] left the new database under its temporary name. This renames
/// it.
fn finish_saving(folder: &Path, place: &Path) -> io::Result<()> {
    let saved = saved_place(folder);
    let is_ours = saved.is_dir() && !foreign::is_of_another_program(&saved)?;
    if !place.exists() && is_ours { fs::rename(saved, place) } else { Ok(()) }
}

/// Whether the disk can take as much as the database writes at once. A full disk may take a few bytes and then fail again.
pub(super) fn has_space(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let probe = folder.join("db.probe");
    let written = fs::File::create(&probe).and_then(|mut file| {
        io::copy(&mut io::Read::take(io::repeat(1), MEMTABLE_BYTES), &mut file)?;
        file.sync_all()
    });
    let removed = fs::remove_file(&probe);
    written.and(removed)
}

/// Whether the database is at fault, and not the machine.
pub(super) fn is_damage(error: &fjall::Error) -> bool {
    use io::ErrorKind as Kind;
    match error {
        // Files are too short, missing or unexpected, or point nowhere.
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

/// Removes a database whose first start ended early, before it had a row.
pub(super) fn remove_unfinished(place: &Path) -> io::Result<()> {
    let has_rows = || {
        for keyspace in entries(&place.join("keyspaces"))? {
            // The list of keyspaces is a table, too.
            if keyspace.file_name().is_some_and(|name| name != "0") && !entries(&keyspace.join("tables"))?.is_empty() {
                return Ok(true);
            }
        }
        Ok::<_, io::Error>(!Journals::read(place)?.are_empty())
    };
    if !place.is_dir() || foreign::has_keyspaces(place)? || has_rows()? {
        return Ok(());
    }
    tracing::info!("an earlier start ended before the database was complete; it is created again");
    fs::remove_dir_all(place)
}

/// What is in a folder. A folder that is missing has nothing, but one that cannot be read may have something.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

pub(super) fn journals(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "jnl")).collect())
}

/// The path with `<word>-1` after it, or the next free number, such as `db.bad-1`.
pub(super) fn free_name(path: &Path, word: &str) -> PathBuf {
    let name = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!("{word}-{number}"));
        PathBuf::from(name)
    };
    (1..).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(0))
}
