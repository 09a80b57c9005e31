//! Decides by content whether anything has changed since the last build. A fresh checkout or a touched file is no change.

use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A short text that changes when any of the files, or any file in one of the folders, changes.
///
/// It is only compared with a text from the same machine, so the standard library's hasher is good enough.
pub(crate) fn of<'a>(files_and_folders: impl IntoIterator<Item = &'a PathBuf>) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    for path in files_and_folders {
        for file in files_in(path)? {
            let content = fs::read(&file).with_context(|| file.display().to_string())?;
            hasher.write(file.as_os_str().as_encoded_bytes());
            hasher.write_usize(content.len());
            hasher.write(&content);
        }
    }
    Ok(format!("{:016x}\n", hasher.finish()))
}

/// The file itself, or all files below the folder in a fixed order. Folders of npm are left out.
fn files_in(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        entries.push(entry?.path());
    }
    entries.sort();
    let mut files = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.ends_with("node_modules")) {
        files.extend(files_in(entry)?);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_changes_the_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let digest = || of([&folder.path().to_owned()]).unwrap();
        fs::create_dir(path("inner")).unwrap();
        fs::write(path("inner/a.js"), "12").unwrap();
        fs::write(path("inner/b.js"), "3").unwrap();
        let mut seen = vec![digest()];

        fs::write(path("inner/a.js"), "13").unwrap();
        seen.push(digest());
        // The same bytes in the same order, but in different files.
        fs::write(path("inner/a.js"), "1").unwrap();
        fs::write(path("inner/b.js"), "33").unwrap();
        seen.push(digest());
        fs::rename(path("inner/b.js"), path("inner/c.js")).unwrap();
        seen.push(digest());
        fs::remove_file(path("inner/c.js")).unwrap();
        seen.push(digest());

        let distinct: std::collections::HashSet<_> = seen.iter().collect();
        assert_eq!(distinct.len(), seen.len(), "{seen:?}");
    }

    #[test]
    fn writing_the_same_content_again_does_not_change_the_digest() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.js");
        fs::write(&file, "1").unwrap();
        let before = of([&file]).unwrap();
        fs::write(&file, "1").unwrap();
        assert_eq!(of([&file]).unwrap(), before);
    }

    #[test]
    fn folders_of_npm_do_not_change_the_digest() {
        let folder = tempfile::tempdir().unwrap();
        let sources = folder.path().to_owned();
        fs::write(sources.join("a.js"), "1").unwrap();
        let before = of([&sources]).unwrap();
        fs::create_dir(sources.join("node_modules")).unwrap();
        fs::write(sources.join("node_modules/b.js"), "2").unwrap();
        assert_eq!(of([&sources]).unwrap(), before);
    }

    #[test]
    fn missing_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(of([&folder.path().join("absent")]).is_err());
    }
}
