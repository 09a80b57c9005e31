//! The journals of a damaged database: the batches in them that are whole.
//!
//! fjall appends each batch to a journal, and later writes its rows to a table. At a damaged batch it gives up the journal, or drops
//! all that follows without a word. A small site has all of its rows in the journal, so the other batches are saved here.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::open::{self, Open};

/// What fjall writes at the end of each batch, and into the file `version`.
pub(super) const MAGIC: &[u8; 4] = b"FJL\x03";

/// What all journals of a database hold.
pub(super) struct Journals {
    /// The path of each journal, and its content without the zeros that fjall has reserved at its end. The oldest comes first.
    contents: Vec<(PathBuf, Vec<u8>)>,
}

impl Journals {
    pub(super) fn read(place: &Path) -> io::Result<Self> {
        let mut paths = if place.is_dir() { open::journals(place)? } else { Vec::new() };
        paths.retain(|path| path.is_file());
        paths.sort_by_key(|path| path.file_stem().and_then(|name| name.to_str()?.parse::<u64>().ok()));
        let read = |path: PathBuf| Ok((path.clone(), written(&path)?));
        Ok(Self { contents: paths.into_iter().map(read).collect::<io::Result<_>>()? })
    }

    /// Whether nothing was ever written to them.
    pub(super) fn are_empty(&self) -> bool {
        self.contents.iter().all(|(_, content)| content.is_empty())
    }

    /// Whether fjall has dropped whole batches from a journal when it opened the database. Half a batch at the end is normal: the
    /// process was killed.
    pub(super) fn were_cut(&self) -> bool {
        self.contents.iter().any(|(path, content)| {
            let length = fs::metadata(path).map_or(usize::MAX, |now| usize::try_from(now.len()).unwrap_or(usize::MAX));
            content.get(length..).is_some_and(|lost| ends_of_batches(lost).next().is_some())
        })
    }

    /// The rows of all batches that are whole, as a database of its own in the folder `scratch`. `None` if there are none.
    pub(super) fn rows(&self, scratch: &Path) -> Option<Open> {
        let batches: Vec<&[u8]> = self.contents.iter().flat_map(|(_, content)| batches(content)).collect();
        let whole = whole(&batches, scratch).concat();
        if whole.is_empty() { None } else { replayed(&whole, scratch).ok() }
    }

    /// Keeps a copy of the journals. Returns the place of the first.
    pub(super) fn keep(&self, place: &Path) -> io::Result<PathBuf> {
        let mut kept = None;
        for (_, content) in &self.contents {
            let path = open::free_name(place, ".journal");
            fs::write(&path, content)?;
            kept.get_or_insert(path);
        }
        kept.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// The content of a file up to its last byte that is not zero. Most of a journal is reserved space, which is not read at once.
fn written(path: &Path) -> io::Result<Vec<u8>> {
    const ZEROS: usize = 64 * 1024;
    let (mut file, mut content, mut used) = (fs::File::open(path)?, Vec::new(), 0);
    loop {
        let start = content.len();
        if file.by_ref().take(ZEROS as u64).read_to_end(&mut content)? == 0 {
            break;
        }
        match content.iter().skip(start).rposition(|byte| *byte != 0) {
            Some(last) => used = start + last + 1,
            // A damaged block may be zero, too, but not as many as these.
            None if start - used > 64 * ZEROS => break,
            None => {}
        }
    }
    content.truncate(used);
    content.shrink_to_fit();
    Ok(content)
}

fn ends_of_batches(content: &[u8]) -> impl Iterator<Item = usize> {
    content.windows(MAGIC.len()).enumerate().filter(|(_, bytes)| bytes == MAGIC).map(|(at, _)| at + MAGIC.len())
}

fn batches(content: &[u8]) -> Vec<&[u8]> {
    let mut start = 0;
    let ends = ends_of_batches(content);
    ends.filter_map(|end| content.get(std::mem::replace(&mut start, end)..end)).collect()
}

/// Those batches that fjall accepts. Halves are tried until the damaged ones are found.
fn whole<'a>(batches: &[&'a [u8]], scratch: &Path) -> Vec<&'a [u8]> {
    if batches.is_empty() || replayed(&batches.concat(), scratch).is_ok() {
        return batches.to_vec();
    }
    if batches.len() == 1 {
        return Vec::new();
    }
    let (first, second) = batches.split_at(batches.len() / 2);
    [whole(first, scratch), whole(second, scratch)].concat()
}

/// A new database with the rows of a journal. Fails if fjall does not take all of it.
fn replayed(journal: &[u8], scratch: &Path) -> fjall::Result<Open> {
    match fs::remove_dir_all(scratch) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    drop(Open::try_new(scratch)?);
    let path = open::journals(scratch)?.pop().ok_or(fjall::Error::Unrecoverable)?;
    fs::write(&path, journal)?;
    let opened = open::caught(|| Open::unwritten(scratch))?;
    let kept = fs::metadata(&path).map_or(0, |now| now.len());
    if kept < journal.len() as u64 { Err(fjall::Error::Unrecoverable) } else { Ok(opened) }
}
