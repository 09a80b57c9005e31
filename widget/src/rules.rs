//! Which page an address leads to, by the options of the site's owner.

use connection_counter_protocol::{PageId, ParameterNames};

/// What makes a page, as the options say.
pub(crate) struct Rules {
    /// Whether pages of other sites are counted as well.
    pub(crate) all_sites: bool,
    /// Whether fragments like `#/inbox` and `#!inbox` are pages.
    pub(crate) hash_routes: bool,
    /// The parameters that make a page; without them all do but those of a visit.
    pub(crate) only: Option<ParameterNames>,
    /// Whether `<link rel=canonical>` says which page this is.
    pub(crate) heeds_canonical: bool,
}

impl Rules {
    /// What makes the page in an address, and the fragment (with its `#`) that does not.
    pub(crate) fn split<'a>(&self, address: &'a str) -> (&'a str, &'a str) {
        let (page, fragment) = split_before(address, b'#');
        if self.hash_routes && is_route(fragment) { (address, "") } else { (page, fragment) }
    }

    /// The page id of an absolute address, as the browser spells it; `None` for `mailto:` and its like.
    pub(crate) fn page_id(&self, address: &str) -> Option<PageId> {
        let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"))?;
        // A valid address has a path. What has none is an `href` that the browser could not parse and hands out as it is.
        let (authority, rest) = split_before(rest, b'/');
        if rest.is_empty() {
            return None;
        }
        let user_end = authority.bytes().rposition(|byte| byte == b'@').map_or(0, |at| at + 1);
        let host = authority.get(user_end..)?;
        let (rest, fragment) = split_before(rest, b'#');
        let fragment = if self.hash_routes { fragment } else { "" };
        let (path, query) = split_before(rest, b'?');
        PageId::from_parts_with(host, path, query, fragment, self.only.as_ref()).ok()
    }
}

/// Whether a fragment is what single-page applications route by.
fn is_route(fragment: &str) -> bool {
    matches!(fragment.as_bytes(), [b'#', b'/' | b'!', ..])
}

/// What stands before the first `separator`, and the rest with it.
pub(crate) fn split_before(text: &str, separator: u8) -> (&str, &str) {
    // Of bytes, because a search for a `char` brings more code along.
    let end = text.bytes().position(|byte| byte == separator).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}
