//! Which page an address leads to, according to the options.

use connection_counter_protocol::{PageId, ParameterNames};

/// The options that decide which page an address is.
pub(crate) struct Rules {
    /// Whether pages of other sites are counted, too.
    pub(crate) all_sites: bool,
    /// Whether fragments like `#/inbox` and `#!inbox` are pages.
    pub(crate) hash_routes: bool,
    /// The parameters that tell pages apart. `None` means all except those of a visit.
    pub(crate) only: Option<ParameterNames>,
    /// Whether `<link rel=canonical>` says which page this is.
    pub(crate) heeds_canonical: bool,
}

impl Rules {
    /// Splits an address into the part that decides the page, and the fragment (with its `#`) that does not.
    pub(crate) fn split<'a>(&self, address: &'a str) -> (&'a str, &'a str) {
        let (page, fragment) = split_before(address, b'#');
        if self.hash_routes && is_route(fragment) { (address, "") } else { (page, fragment) }
    }

    /// The page id of an absolute address in the browser's spelling. `None` for `mailto:` and similar addresses.
    pub(crate) fn page_id(&self, address: &str) -> Option<PageId> {
        let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"))?;
        // A valid address has a path. If there is none, the browser could not parse the `href`, and returns it as it is.
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

/// Whether a fragment is a route of a single-page application.
fn is_route(fragment: &str) -> bool {
    matches!(fragment.as_bytes(), [b'#', b'/' | b'!', ..])
}

/// The texts before and after the first `separator`.
pub(crate) fn split_around(text: &str, separator: u8) -> (&str, &str) {
    let (before, rest) = split_before(text, separator);
    (before, rest.get(1..).unwrap_or_default())
}

/// The text before the first `separator`, and the rest with the separator.
pub(crate) fn split_before(text: &str, separator: u8) -> (&str, &str) {
    // This searches bytes, because a search for a `char` would add more code.
    let end = text.bytes().position(|byte| byte == separator).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}
