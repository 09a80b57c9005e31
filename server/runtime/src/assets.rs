//! Files from the folder of `--assets`: the pages of a project with its own parties.

use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::UNIX_EPOCH,
};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use percent_encoding::percent_decode_str;

use crate::{
    error::Error,
    party::{Response, Result, is_unchanged},
};

/// Bytes of a file that is served. Each request holds the whole file in memory.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// A folder that is served.
pub(crate) struct Assets {
    /// The folder.
    folder: PathBuf,
    /// Whether navigations to paths without a file get the folder's `index.html`.
    single_page: bool,
    /// Whether the log has already named a file that is too large.
    warned: AtomicBool,
}

impl Assets {
    pub(crate) fn new(folder: PathBuf, single_page: bool) -> Self {
        Self { folder, single_page, warned: AtomicBool::new(false) }
    }

    /// The file at this request's path, if there is one.
    pub(crate) async fn answer<B>(&self, request: &http::Request<B>) -> Option<Result<Response>> {
        let path = request.uri().path();
        let (path, content) = match self.read(path).await {
            Some(found) => found,
            // Only a navigation gets the start page. A missing script or picture should get 404.
            None if self.single_page && is_navigation(request.headers()) => self.read("/").await?,
            None => return None,
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Some(Err(Error::Method("GET, HEAD")));
        }
        let (content, tag) = content;
        let unchanged = tag.as_ref().is_some_and(|tag| is_unchanged(request.headers(), tag));
        let mut response = Response::new(if unchanged { Vec::new() } else { content }.into());
        if unchanged {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        let kind = mime_guess::from_path(&path).first_or_octet_stream();
        let kind =
            if kind.type_() == mime_guess::mime::TEXT { format!("{kind}; charset=utf-8") } else { kind.to_string() };
        if let Ok(kind) = HeaderValue::try_from(kind) {
            headers.insert(header::CONTENT_TYPE, kind);
        }
        if let Some(tag) = tag {
            headers.insert(header::ETAG, tag);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Some(Ok(response))
    }

    /// The file at a path, its content, and the tag of its version.
    async fn read(&self, path: &str) -> Option<(PathBuf, (Vec<u8>, Option<HeaderValue>))> {
        let file = self.folder.join(plain_path(path)?);
        let file = match tokio::fs::metadata(&file).await {
            Ok(metadata) if metadata.is_dir() => file.join("index.html"),
            _ => file,
        };
        // A link to a file outside the folder counts as no file.
        if !is_below(&file, &self.folder).await.unwrap_or(false) {
            return None;
        }
        let metadata = tokio::fs::metadata(&file).await.ok()?;
        // Reading a named pipe might never end.
        if !metadata.is_file() {
            return None;
        }
        if metadata.len() > MAX_FILE_BYTES {
            if !self.warned.swap(true, Ordering::Relaxed) {
                tracing::warn!(file = %file.display(), "files of more than {MAX_FILE_BYTES} bytes are not served; move them elsewhere");
            }
            return None;
        }
        let content = tokio::fs::read(&file).await.ok()?;
        let changed = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let tag =
            changed.and_then(|at| HeaderValue::try_from(format!("\"{:x}-{:x}\"", at.as_nanos(), metadata.len())).ok());
        Some((file, (content, tag)))
    }
}

/// The path below the folder. `None` if a part of it is hidden or could lead out of the folder.
fn plain_path(path: &str) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let name = percent_decode_str(name).decode_utf8().ok()?;
        if name.starts_with('.') || name.contains(['/', '\\', ':', '\0']) {
            return None;
        }
        plain.push(&*name);
    }
    Some(plain)
}

async fn is_below(file: &Path, folder: &Path) -> io::Result<bool> {
    let file = tokio::fs::canonicalize(file).await?;
    Ok(file.starts_with(tokio::fs::canonicalize(folder).await?))
}

/// Whether a person opened the address. Browsers do not say so at addresses with `http:`, except on their own machine. There they
/// ask for HTML.
fn is_navigation(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-mode") {
        Some(mode) => mode == "navigate",
        None => headers.get(header::ACCEPT).is_some_and(|kinds| kinds.as_bytes().starts_with(b"text/html")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_are_hidden_or_leave_the_folder_are_refused() {
        assert_eq!(plain_path("/a/b%20c.js"), Some("a/b c.js".into()));
        assert_eq!(plain_path("//a//"), Some("a".into()));
        for path in ["/..", "/a/../b", "/%2e%2e/a", "/a%2F..%2Fb", "/a%5Cb", "/.git/config", "/c:/a", "/%00", "/%ff"] {
            assert_eq!(plain_path(path), None, "{path}");
        }
    }

    #[tokio::test]
    async fn single_page_answers_navigations_only() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("index.html"), "<p>app").unwrap();
        let get = |path: &str, mode: &str| {
            http::Request::builder().uri(path).header("sec-fetch-mode", mode).body(()).unwrap()
        };
        let plain = Assets::new(folder.path().into(), false);
        assert!(plain.answer(&get("/", "cors")).await.is_some());
        assert!(plain.answer(&get("/some/route", "navigate")).await.is_none());
        let single = Assets::new(folder.path().into(), true);
        let page = single.answer(&get("/some/route", "navigate")).await.unwrap().unwrap();
        assert_eq!(page.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        assert!(single.answer(&get("/missing.js", "no-cors")).await.is_none());
        let asked_for =
            |accept: &str| http::Request::builder().uri("/some/route").header("accept", accept).body(()).unwrap();
        assert!(single.answer(&asked_for("text/html,application/xhtml+xml,*/*;q=0.8")).await.is_some());
        assert!(single.answer(&asked_for("*/*")).await.is_none());
    }

    #[tokio::test]
    async fn files_larger_than_the_limit_are_not_served() {
        let folder = tempfile::tempdir().unwrap();
        let sized =
            |name: &str, bytes| std::fs::File::create(folder.path().join(name)).unwrap().set_len(bytes).unwrap();
        sized("large", MAX_FILE_BYTES);
        sized("giant", MAX_FILE_BYTES + 1);
        let get = |path: &str| http::Request::builder().uri(path).body(()).unwrap();
        let assets = Assets::new(folder.path().into(), false);
        assert!(assets.answer(&get("/large")).await.is_some());
        assert!(assets.answer(&get("/giant")).await.is_none());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn symbolic_links_out_of_the_folder_are_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "secret").unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret"), folder.path().join("link")).unwrap();
        let request = http::Request::builder().uri("/link").body(()).unwrap();
        assert!(Assets::new(folder.path().into(), false).answer(&request).await.is_none());
    }
}
