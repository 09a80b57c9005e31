//! Answers each path with its page, and puts the tag into it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hyper::{Method, StatusCode, Uri};

use crate::{
    files::{self, Answer, Found},
    rust_docs,
};

/// The examples that draw all their routes with one page. Every path below them gets their `index.html`, unless it looks like a
/// file's.
const SINGLE_PAGE: [&str; 4] = ["many-links", "react", "spa", "vue"];

/// Where the Rust documentation is served.
const RUST_DOCS: &str = "rust-docs";

/// The host pages and what is put into them.
#[derive(Debug)]
pub(crate) struct HostPages {
    /// The folder with one folder for each example.
    examples: PathBuf,
    /// The Rust documentation, if it is installed.
    rust_docs: Option<PathBuf>,
    /// Replaces `{server}` in the examples: the counter server's origin.
    server: String,
    /// The name of the tag's script, with options in its address.
    script: &'static str,
}

impl HostPages {
    /// Host pages that load the widget from `server`. With `count_bots` the widget also counts automated browsers.
    pub(crate) fn new(server: &str, rust_docs: Option<PathBuf>, count_bots: bool) -> HostPages {
        let examples = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let script = if count_bots { "live.js?bots=count" } else { "live.js" };
        HostPages { examples, rust_docs, server: server.to_owned(), script }
    }

    /// Answers one request.
    pub(crate) fn answer(&self, method: &Method, path: &str) -> Answer {
        if method != Method::GET && method != Method::HEAD {
            return files::refused(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
        }
        let path_below = path.strip_prefix('/').unwrap_or(path);
        match path_below.split_once('/') {
            None if path_below.is_empty() => self.list_of_examples(),
            None if path_below == "style.css" => files::serve(&self.examples.join("style.css"), |page| page),
            None if path_below == RUST_DOCS || self.is_example(path_below) => files::with_slash(path),
            Some((RUST_DOCS, below)) => self.rust_docs_page(path, below),
            Some((example, below)) if self.is_example(example) => self.example_page(example, path, below),
            _ => files::refused(StatusCode::NOT_FOUND, "no such page"),
        }
    }

    /// An example is a folder with a page in it. `src`, `tests` and others have none.
    fn is_example(&self, name: &str) -> bool {
        !name.is_empty() && matches!(files::find(&self.examples, &format!("{name}/")), Found::File(_))
    }

    fn example_page(&self, example: &str, path: &str, below: &str) -> Answer {
        let folder = self.examples.join(example);
        match files::find(&folder, below) {
            Found::File(file) => files::serve(&file, |page| self.with_server(&page)),
            Found::FolderWithoutSlash => files::with_slash(path),
            Found::Nothing if SINGLE_PAGE.contains(&example) && !below.contains('.') => {
                files::serve(&folder.join("index.html"), |page| self.with_server(&page))
            }
            Found::Nothing => files::refused(StatusCode::NOT_FOUND, "no such page"),
        }
    }

    fn rust_docs_page(&self, path: &str, below: &str) -> Answer {
        let Some(docs) = &self.rust_docs else {
            return files::refused(StatusCode::NOT_FOUND, rust_docs::MISSING);
        };
        match files::find(docs, below) {
            Found::File(file) => files::serve(&file, |page| self.with_tag(page)),
            Found::FolderWithoutSlash => files::with_slash(path),
            Found::Nothing => files::refused(StatusCode::NOT_FOUND, "no such page"),
        }
    }

    /// The start page: a list of all examples by their titles.
    fn list_of_examples(&self) -> Answer {
        let mut items: Vec<String> = fs::read_dir(&self.examples)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| self.is_example(name))
            .map(|name| {
                let title = title(&self.examples.join(&name).join("index.html")).unwrap_or_default();
                format!("<li><a href=\"/{name}/\">{name}</a> {title}</li>")
            })
            .collect();
        items.sort();
        items.push(match &self.rust_docs {
            Some(_) => format!("<li><a href=\"/{RUST_DOCS}/std/\">{RUST_DOCS}</a> Thousands of real pages</li>"),
            None => format!("<li>{RUST_DOCS}: {}</li>", rust_docs::MISSING),
        });
        let list = items.join("\n    ");
        files::serve(&self.examples.join("index.html"), |page| self.with_server(&page).replace("{examples}", &list))
    }

    /// Our own pages contain the tag, with `{server}` for the address, and `{socket}` where a policy names the address of
    /// WebSockets.
    fn with_server(&self, page: &str) -> String {
        page.replace("{server}/live.js", &format!("{}/{}", self.server, self.script))
            .replace("{server}", &self.server)
            .replace("{socket}", &self.server.replacen("http", "ws", 1))
    }

    /// Other pages get the tag at the end of their head.
    fn with_tag(&self, mut page: String) -> String {
        let end = page.find("</head>").or_else(|| page.find("</body>")).unwrap_or(page.len());
        page.insert_str(end, &format!("<script async src=\"{}/{}\"></script>", self.server, self.script));
        page
    }
}

/// Checks `--server`. It must be an origin, because it is written into pages.
pub(crate) fn parse_server(text: &str) -> Result<String, String> {
    let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
    match (uri.scheme_str(), uri.authority(), uri.path()) {
        (Some(scheme @ ("http" | "https")), Some(authority), "/") if uri.query().is_none() => {
            Ok(format!("{scheme}://{authority}"))
        }
        _ => Err("expected the server's address alone, like http://127.0.0.1:1999".to_owned()),
    }
}

/// The text between `<title>` and `</title>`.
fn title(page: &Path) -> Option<String> {
    let page = fs::read_to_string(page).ok()?;
    let (title, _) = page.split_once("<title>")?.1.split_once("</title>")?;
    Some(title.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "http://127.0.0.1:1999";

    fn status(path: &str) -> StatusCode {
        HostPages::new(SERVER, None, false).answer(&Method::GET, path).status()
    }

    #[test]
    fn only_examples_are_served() {
        assert_eq!(status("/"), StatusCode::OK);
        assert_eq!(status("/plain/"), StatusCode::OK);
        assert_eq!(status("/plain"), StatusCode::PERMANENT_REDIRECT);
        assert_eq!(status("/plain/missing.html"), StatusCode::NOT_FOUND);
        assert_eq!(status("/spa/any/route"), StatusCode::OK);
        assert_eq!(status("/spa/missing.js"), StatusCode::NOT_FOUND);
        for path in ["/Cargo.toml", "/src/main.rs", "/tests/", "/../Cargo.toml", "/plain/../Cargo.toml", "//", "/./"] {
            assert_eq!(status(path), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn missing_documentation_is_reported() {
        assert_eq!(status("/rust-docs/std/"), StatusCode::NOT_FOUND);
        assert_eq!(status("/rust-docs"), StatusCode::PERMANENT_REDIRECT);
    }

    #[test]
    fn pages_without_a_tag_get_it() {
        let pages = HostPages::new(SERVER, None, false);
        let tag = "<script async src=\"http://127.0.0.1:1999/live.js\"></script>";
        let with_tag = |page: &str| pages.with_tag(page.to_owned());
        assert_eq!(with_tag("<head></head><body></body>"), format!("<head>{tag}</head><body></body>"));
        assert_eq!(with_tag("<p></p></body>"), format!("<p></p>{tag}</body>"));
        assert_eq!(with_tag("<p>"), format!("<p>{tag}"));
    }

    #[test]
    fn the_server_option_must_be_an_origin() {
        assert_eq!(parse_server("http://127.0.0.1:1999/").as_deref(), Ok(SERVER));
        for bad in ["127.0.0.1:1999", "ftp://a", "http://a/path", "http://a?b", "http://a\"><b", "/live.js"] {
            assert!(parse_server(bad).is_err(), "{bad}");
        }
    }
}
