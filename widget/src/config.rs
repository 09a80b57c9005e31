//! The options of `start`, which are the `data-*` attributes of our own script tag: what each may be, and its default.

use js_sys::Reflect;
use wasm_bindgen::JsValue;
use web_sys::Document;

use crate::warn;

/// Links that are considered, unless `links` narrows them.
const DEFAULT_LINKS: &str = "a[href]";

/// How this page wants the widget to be.
pub(crate) struct Config {
    /// `server`: where the server is, as the start of its WebSocket addresses, without a last slash.
    pub(crate) server: String,
    /// `links`: a selector for the links to consider.
    pub(crate) links: String,
    /// `scope`: which sites a link may lead to.
    pub(crate) scope: Scope,
}

/// Which sites' pages are counted on links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// `site`, the default: only the host page's own.
    Site,
    /// `all`: every site. The server answers for those it knows.
    All,
}

impl Config {
    /// Reads an options object, such as a script tag's `dataset`. What it does not understand it warns about and replaces
    /// by the default. That of the server is `home`; without a server there is no config.
    pub(crate) fn read(options: &JsValue, home: &str, document: &Document) -> Option<Self> {
        let mut server = socket_address(home);
        let mut links = None;
        let mut scope = Scope::Site;
        for key in Reflect::own_keys(options).unwrap_or_default().iter() {
            let value = Reflect::get(options, &key).unwrap_or_default();
            // An option passed as `undefined` is an option left out.
            if value.is_undefined() {
                continue;
            }
            let (key, value) = (key.as_string().unwrap_or_default(), value.as_string().unwrap_or_default());
            let understood = match (key.as_str(), value.as_str()) {
                ("server", _) => {
                    let address = socket_address(&value);
                    let is_valid = address.is_some();
                    server = address.or(server);
                    is_valid
                }
                ("links", _) => {
                    let is_valid = document.query_selector(&value).is_ok();
                    if is_valid {
                        links = Some(value);
                    }
                    is_valid
                }
                ("scope", "site") => true,
                ("scope", "all") => {
                    scope = Scope::All;
                    true
                }
                _ => false,
            };
            if !understood {
                warn(&["option ignored: ", &key]);
            }
        }
        Some(Self { server: server?, links: links.unwrap_or_else(|| DEFAULT_LINKS.into()), scope })
    }
}

/// `https://host/base/` as `wss://host/base`.
fn socket_address(server: &str) -> Option<String> {
    let rest = server.strip_prefix("http")?;
    if !rest.starts_with("://") && !rest.starts_with("s://") {
        return None;
    }
    Some(["ws", rest.strip_suffix('/').unwrap_or(rest)].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_address_follows_the_server() {
        assert_eq!(socket_address("https://live.example.com").unwrap(), "wss://live.example.com");
        assert_eq!(socket_address("http://127.0.0.1:8080/").unwrap(), "ws://127.0.0.1:8080");
        assert_eq!(socket_address("https://example.com/live/").unwrap(), "wss://example.com/live");
    }

    #[test]
    fn other_schemes_are_no_server() {
        for server in
            ["", "/", "live.example.com", "//live.example.com", "ftp://live.example.com", "httpx://live.example.com"]
        {
            assert_eq!(socket_address(server), None, "{server}");
        }
    }
}
