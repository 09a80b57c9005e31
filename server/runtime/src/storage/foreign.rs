//! Files and folders in the database's folder that fjall did not write. A NAS, a sync client or a person put them there.
//!
//! fjall panics over some of them, waits for ever for others, and deletes the rest. So they are moved elsewhere, and the data is
//! kept. The lock is put back if it is missing, because it holds no data.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

/// Moves everything from the database `place` that fjall did not write, to `<place>.foreign`.
///
/// It does nothing while another server has the database open, because that server may be writing new files.
pub(super) fn move_out(place: &Path) {
    put_version_back(place);
    put_lock_back(place);
    take_links_in(place);
    let Ok(lock) = fs::File::open(place.join("lock")) else { return };
    if lock.try_lock().is_err() {
        return;
    }
    put_current_back(place);
    let Ok(found) = all_foreign(place) else { return };
    let mut moved = Vec::new();
    for path in found {
        match move_one(place, &path) {
            Ok(to) => moved.push(to),
            Err(error) => tracing::error!(
                ?path, %error,
                "this file does not belong to the database and cannot be moved away; remove it by hand"
            ),
        }
    }
    if let Some(first) = moved.first() {
        tracing::warn!(
            moved_to = ?first, number = moved.len(),
            "the database's folder contained files of another program; they were moved aside, and the data is kept"
        );
    }
}

/// Whether something is at the database's place that fjall did not write. Many programs call a file or folder `db`.
pub(super) fn is_of_another_program(place: &Path) -> io::Result<bool> {
    if !place.is_dir() {
        return Ok(fs::symlink_metadata(place).is_ok());
    }
    let version = place.join("version");
    // Reading a named pipe would take for ever.
    let has_sign = version.is_file() && fs::read(version).is_ok_and(|version| version.starts_with(b"FJL"));
    if has_sign || place.join("keyspaces").join(META).is_dir() {
        return Ok(false);
    }
    // The first start may have ended early.
    let is_ours = |name: &str| matches!(name, "lock" | "version" | "keyspaces") || is_journal(name);
    let names = fs::read_dir(place)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    Ok(!names.iter().all(|name| name.to_str().is_some_and(is_ours)))
}

/// Whether a newer version of fjall has written the database at this place. It must not be touched, because the operator may start the
/// newer version again.
pub(super) fn is_of_newer_version(place: &Path) -> bool {
    let version = place.join("version");
    // Reading a named pipe would take for ever.
    let written = if version.is_file() { fs::read(version).unwrap_or_default() } else { Vec::new() };
    let [.., ours] = super::journal::MAGIC;
    format(&written).is_some_and(|number| number > *ours)
}

/// The number of the format that a file `version` names. `None` if it is damaged: with one flipped bit, the 3 of our format becomes 1,
/// 2, or more than 6.
fn format(version: &[u8]) -> Option<u8> {
    let [name @ .., _] = super::journal::MAGIC;
    version.strip_prefix(name)?.first().copied().filter(|number| (1..=6).contains(number))
}

/// Writes the file `version` of a database that has none, or a damaged one. fjall would take the database for damaged, or for new.
fn put_version_back(place: &Path) {
    let version = place.join("version");
    let is_lost = fs::read_link(&version).is_err()
        && match fs::metadata(&version) {
            Ok(file) => file.is_file() && fs::read(&version).is_ok_and(|written| format(&written).is_none()),
            Err(_) => true,
        };
    if !is_lost || !has_keyspaces(place).unwrap_or(false) {
        return;
    }
    match fs::write(&version, super::journal::MAGIC) {
        Ok(()) => {
            tracing::warn!(
                "the file with the database's version was lost or damaged; it was written again, and the data is kept"
            )
        }
        Err(error) => {
            tracing::error!(
                path = ?version, %error,
                "the file with the database's version is lost or damaged, and it cannot be written"
            )
        }
    }
}

/// Writes the file `current` of a folder of tables that has none, or one that names no list of tables. fjall takes a folder without it
/// for one that was never used, and deletes it. The newest list is the right one: fjall writes it before `current`, and deletes a list
/// after that.
fn put_current_back(place: &Path) {
    let keyspaces = fs::read_dir(place.join("keyspaces")).into_iter().flatten().flatten();
    for keyspace in
        keyspaces.map(|entry| entry.path()).filter(|path| is_ours(path, |name, is_folder| is_folder && is_number(name)))
    {
        let current = keyspace.join("current");
        let Some(list) = newest_list(&keyspace) else { continue };
        // A first start that ended early has nothing to save.
        if names_a_list(&keyspace, &current) || !has_rows(place, &keyspace) {
            continue;
        }
        // After the number, fjall writes a checksum, which it does not read.
        let content = [&list.to_le_bytes()[..], &[0; 17]].concat();
        match fs::write(&current, content) {
            Ok(()) => {
                tracing::warn!(path = ?current, "this file of the database was lost or damaged; it was written again, and the data is kept")
            }
            Err(error) => {
                tracing::error!(path = ?current, %error, "this file of the database is lost or damaged, and cannot be written")
            }
        }
    }
}

/// The number of the newest list of tables, such as 7 for `v7`.
fn newest_list(keyspace: &Path) -> Option<u64> {
    let names = fs::read_dir(keyspace).ok()?.flatten().map(|entry| entry.file_name());
    names.filter_map(|name| number(name.to_str()?.strip_prefix('v')?)).max()
}

/// Whether `current` names a list that exists. It may also be something that we must not replace.
fn names_a_list(keyspace: &Path, current: &Path) -> bool {
    match fs::symlink_metadata(current) {
        Ok(found) if found.is_file() => match fs::read(current) {
            Ok(content) => content
                .first_chunk()
                .is_some_and(|number| keyspace.join(format!("v{}", u64::from_le_bytes(*number))).is_file()),
            Err(_) => true,
        },
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// Whether the folder has tables, or the database has a journal.
fn has_rows(place: &Path, keyspace: &Path) -> bool {
    fs::read_dir(keyspace.join("tables")).is_ok_and(|mut tables| tables.next().is_some())
        || super::journal::Journals::read(place).is_ok_and(|journals| !journals.are_empty())
}

/// Replaces links to journals by copies, because fjall panics over them.
fn take_links_in(place: &Path) {
    for link in
        super::open::journals(place).unwrap_or_default().into_iter().filter(|path| path.is_symlink() && path.is_file())
    {
        let copy = link.with_extension("copy");
        if let Err(error) = fs::copy(&link, &copy).and_then(|_| fs::rename(&copy, &link)) {
            tracing::error!(path = ?link, %error, "this journal is a link, and cannot be replaced by a copy; copy the file itself there");
        }
    }
}

/// Creates the lock of a database that has none. Backups and copies often leave out empty files, and fjall takes a database
/// without this one for damaged. If something else has that name, such as a named pipe, it is moved aside, because
/// opening it could take for ever.
fn put_lock_back(place: &Path) {
    let lock = place.join("lock");
    if lock.is_file() || !place.join("version").is_file() {
        return;
    }
    let is_taken = fs::symlink_metadata(&lock).is_ok();
    let put = if is_taken { move_one(place, &lock).map(drop) } else { Ok(()) };
    match put.and_then(|()| fs::File::create_new(&lock)) {
        Ok(_) => tracing::warn!("the database had no lock file; it was created again, and the data is kept"),
        Err(error) => tracing::error!(
            path = %lock.display(), %error,
            "the database has no lock file, and it cannot be created; create an empty file there"
        ),
    }
}

/// Everything that fjall did not write, in all of its folders.
fn all_foreign(place: &Path) -> io::Result<Vec<PathBuf>> {
    let keyspaces = place.join("keyspaces");
    let mut found = foreign_in(place, |name, is_folder| match name {
        "keyspaces" => is_folder,
        "lock" | "version" => !is_folder,
        _ => !is_folder && is_journal(name),
    })?;
    let rows = rows_in(&keyspaces)?;
    let is_keyspace = |name: &str, is_folder| is_folder && (name == META || Some(name) == rows.as_deref());
    found.extend(foreign_in(&keyspaces, is_keyspace)?);
    for keyspace in fs::read_dir(&keyspaces)? {
        let keyspace = keyspace?.path();
        if !is_ours(&keyspace, is_keyspace) {
            continue;
        }
        found.extend(foreign_in(&keyspace, |name, is_folder| match name {
            "tables" | "blobs" => is_folder,
            "current" => !is_folder,
            _ => !is_folder && name.strip_prefix('v').is_some_and(is_number),
        })?);
        for numbered in ["tables", "blobs"] {
            found.extend(foreign_in(&keyspace.join(numbered), |name, is_folder| !is_folder && is_number(name))?);
        }
    }
    Ok(found)
}

/// The folder in which fjall keeps the list of the other folders.
const META: &str = "0";

/// The folder with the rows: the first numbered one that is complete. fjall deletes the others.
fn rows_in(keyspaces: &Path) -> io::Result<Option<String>> {
    let mut complete = Vec::new();
    for entry in fs::read_dir(keyspaces)? {
        let entry = entry?;
        if let Some(number) = entry.file_name().to_str().and_then(number)
            && is_file(&entry.path().join("current"))?
        {
            complete.push(number);
        }
    }
    Ok(complete.into_iter().filter(|number| *number > 0).min().map(|number| number.to_string()))
}

fn foreign_in(folder: &Path, ours: impl Fn(&str, bool) -> bool + Copy) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // fjall reports a folder that is missing or unreadable.
        Err(_) => return Ok(Vec::new()),
    };
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    Ok(paths.into_iter().filter(|path| !is_ours(path, ours)).collect())
}

fn is_ours(path: &Path, ours: impl Fn(&str, bool) -> bool) -> bool {
    // A link is judged by its target, because that may be one of fjall's files. Pipes and sockets are never fjall's.
    let is_folder = path.is_dir();
    (is_folder || path.is_file()) && path.file_name().and_then(OsStr::to_str).is_some_and(|name| ours(name, is_folder))
}

/// Whether this is a file. A file that we are not allowed to see is an error, so that a missing permission does not look like damage.
fn is_file(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.is_file()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether fjall gives this name to a journal, such as `0.jnl`.
fn is_journal(name: &str) -> bool {
    name.strip_suffix(".jnl").is_some_and(is_number)
}

fn is_number(name: &str) -> bool {
    number(name).is_some()
}

/// The number in a name, if it is written as fjall writes it. `007` is not.
fn number(name: &str) -> Option<u64> {
    name.parse::<u64>().ok().filter(|number| number.to_string() == name)
}

/// The place for a file in `<place>.foreign`, whose folder exists then. If a file has the name of a folder, the place is in
/// `<place>.foreign-1`, or the next.
fn free_place(place: &Path, file: &Path) -> io::Result<PathBuf> {
    const MOST_TAKEN: u32 = 100;
    let mut number = 0;
    loop {
        let mut aside = place.as_os_str().to_owned();
        aside.push(if number == 0 { ".foreign".to_owned() } else { format!(".foreign-{number}") });
        let wanted = Path::new(&aside).join(file);
        match wanted.parent().map_or(Ok(()), fs::create_dir_all) {
            Ok(()) => return Ok(wanted),
            Err(error) => match error.kind() {
                io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory if number < MOST_TAKEN => number += 1,
                _ => return Err(error),
            },
        }
    }
}

/// Whether the database has its list of folders, and a folder of rows. Without one of them fjall starts as if it were new, and then
/// deletes what it does not know.
pub(super) fn has_keyspaces(place: &Path) -> io::Result<bool> {
    let keyspaces = place.join("keyspaces");
    Ok(is_file(&keyspaces.join(META).join("current"))? && rows_in(&keyspaces)?.is_some())
}

/// Moves one, and returns its new place.
fn move_one(place: &Path, path: &Path) -> io::Result<PathBuf> {
    let wanted = free_place(place, path.strip_prefix(place).unwrap_or(path))?;
    let target = if wanted.exists() { super::open::free_name(&wanted, "") } else { wanted };
    fs::rename(path, &target)?;
    Ok(target)
}
