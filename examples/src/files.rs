//! Files as HTTP answers: the file that a path leads to, its type, and the answers if there is no file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION, X_CONTENT_TYPE_OPTIONS},
};

/// An answer with its whole body in memory. The largest page, of the Rust documentation, has 4 MB.
pub(crate) type Answer = Response<Full<Bytes>>;

/// What a path below a folder leads to.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    /// A file.
    File(PathBuf),
    /// A folder whose path has no final slash. Its relative links need one.
    FolderWithoutSlash,
    /// Nothing.
    Nothing,
}

/// Finds the file of `path` below `root`. A folder stands for its `index.html`.
///
/// Only plain names are allowed: a name must not be empty, start with a dot, or contain a separator, a drive's colon or a NUL.
/// So no path leads out of `root`. Nothing is percent-decoded, because no file here needs it.
pub(crate) fn find(root: &Path, path: &str) -> Found {
    let (folders, file) = path.rsplit_once('/').unwrap_or(("", path));
    let is_plain = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains(['\\', ':', '\0']);
    if !(folders.is_empty() || folders.split('/').all(is_plain)) || !(file.is_empty() || is_plain(file)) {
        return Found::Nothing;
    }
    let mut found = root.join(folders);
    if file.is_empty() {
        found.push("index.html");
    } else {
        found.push(file);
    }
    match fs::metadata(&found) {
        Ok(metadata) if metadata.is_file() => Found::File(found),
        Ok(metadata) if metadata.is_dir() => Found::FolderWithoutSlash,
        _ => Found::Nothing,
    }
}

/// Answers with `file`. A page is changed by `edit` first.
pub(crate) fn serve(file: &Path, edit: impl FnOnce(String) -> String) -> Answer {
    let content_type = content_type(file);
    let content = match fs::read(file) {
        Ok(content) => content,
        Err(error) => return failed(&format!("cannot read {}: {error}", file.display())),
    };
    if content_type.starts_with("text/html") {
        // Every page here is UTF-8. A wrong byte shows as a replacement character.
        answer(StatusCode::OK, content_type, edit(String::from_utf8_lossy(&content).into_owned()))
    } else {
        answer(StatusCode::OK, content_type, content)
    }
}

/// An answer with `body`. It is never cached, because these pages are edited and tested.
pub(crate) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// A short answer to a person with a wrong address.
pub(crate) fn refused(status: StatusCode, why: &str) -> Answer {
    answer(status, "text/plain; charset=utf-8", format!("{why}\n"))
}

/// An error of this server. It is logged, and the answer contains it.
pub(crate) fn failed(why: &str) -> Answer {
    eprintln!("{why}");
    refused(StatusCode::INTERNAL_SERVER_ERROR, why)
}

/// Redirects from a folder's name to the folder.
pub(crate) fn with_slash(path: &str) -> Answer {
    match HeaderValue::try_from(format!("{path}/")) {
        Ok(folder) => {
            let mut answer = refused(StatusCode::PERMANENT_REDIRECT, "this is a folder");
            answer.headers_mut().insert(LOCATION, folder);
            answer
        }
        Err(_) => refused(StatusCode::NOT_FOUND, "no such page"),
    }
}

/// The media types of all files of the examples and the Rust documentation.
fn content_type(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("txt" | "md" | "rs" | "toml" | "lock") => "text/plain; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("woff2") => "font/woff2",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_and_folders_stand_for_their_index_page() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("sub")).unwrap();
        fs::write(root.path().join("sub/index.html"), "").unwrap();
        fs::write(root.path().join("sub/macro.vec!.html"), "").unwrap();

        assert_eq!(find(root.path(), "sub/"), Found::File(root.path().join("sub/index.html")));
        assert_eq!(find(root.path(), "sub/macro.vec!.html"), Found::File(root.path().join("sub/macro.vec!.html")));
        assert_eq!(find(root.path(), "sub"), Found::FolderWithoutSlash);
        assert_eq!(find(root.path(), "sub/missing.html"), Found::Nothing);
    }

    #[test]
    fn no_path_leads_out_of_the_root() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::write(outer.path().join("secret.txt"), "").unwrap();
        fs::write(root.join(".hidden"), "").unwrap();
        let absolute = outer.path().join("secret.txt");

        for path in
            ["../secret.txt", "./../secret.txt", "..\\secret.txt", "//secret.txt", "..", ".hidden", "C:secret.txt"]
        {
            assert_eq!(find(&root, path), Found::Nothing, "{path}");
        }
        assert_eq!(find(&root, absolute.to_str().unwrap()), Found::Nothing);
    }
}
