//! Whether the files of an open database are still there. Sync tools, backups and people replace and delete files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{foreign, open::journals};

/// The files of an open database.
pub(super) struct Files {
    /// Their folder.
    place: PathBuf,
    /// Which file is the lock. fjall holds it open, and so its id stays, also on file systems that make up ids.
    lock: Option<FileId>,
    /// The number of the journal that is written, and which file it is. It is open, too.
    journal: Option<(u64, Option<FileId>)>,
}

/// What has become of these files.
pub(super) enum Whereabouts {
    InPlace,
    /// Another database is in its folder, or none. What is written is lost.
    Gone,
    /// Some of its files were replaced or deleted. What is written is lost, but what was written before can be read.
    Changed,
}

/// The device and the inode of a file.
type FileId = (u64, u64);

impl Files {
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let (lock, journal) = (id_of(&folder.join("lock")), newest_journal(folder)?);
        Ok(Self { place: folder.to_owned(), lock, journal })
    }

    /// Whether they are still those that were opened.
    pub(super) fn whereabouts(&mut self) -> Whereabouts {
        if id_of(&self.place.join("lock")) != self.lock {
            return Whereabouts::Gone;
        }
        let before = self.journal;
        match newest_journal(&self.place) {
            // fjall begins a new one when this one is full.
            Ok(newest) if newest.map(|(number, _)| number) > before.map(|(number, _)| number) => self.journal = newest,
            Ok(newest) if newest != before => return Whereabouts::Changed,
            _ => {}
        }
        match foreign::has_keyspaces(&self.place) {
            Ok(false) => Whereabouts::Changed,
            _ => Whereabouts::InPlace,
        }
    }
}

fn newest_journal(place: &Path) -> io::Result<Option<(u64, Option<FileId>)>> {
    let numbered = |path: PathBuf| Some((path.file_stem()?.to_str()?.parse().ok()?, id_of(&path)));
    Ok(journals(place)?.into_iter().filter_map(numbered).max())
}

#[cfg(unix)]
fn id_of(file: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(file).ok().map(|file| (file.dev(), file.ino()))
}

#[cfg(not(unix))]
fn id_of(_: &Path) -> Option<FileId> {
    None
}
