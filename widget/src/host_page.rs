//! The host page: its page id, when it becomes another page, and which addresses lead to pages that are counted here.

use connection_counter_protocol::PageId;

use crate::pages::digest;
use crate::rules::{Rules, split_before};

/// The page that the widget is on, as it was when it was last checked.
pub(crate) struct HostPage {
    pub(crate) rules: Rules,
    /// The start page of its site.
    root: Option<PageId>,
    /// Its address. The fragment is left out, unless it is a route.
    address: String,
    /// The page id of its address. `None` if the address is too long, or not on the web.
    by_address: Option<PageId>,
    /// The page id of its `<link rel=canonical>`.
    canonical: Option<PageId>,
    /// The address at which that link was found, without parameters, as a [`digest`].
    found_at: u32,
    /// Whether the canonical link belongs to another page, because the address changed and the link did not.
    is_left_behind: bool,
}

/// The current address of the host page, from the browser.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// `location.href`.
    pub(crate) address: &'a str,
    /// The address in its `<link rel=canonical>`, or an empty text.
    pub(crate) canonical: &'a str,
    /// Whether the address replaced the last one in the browser's history, instead of coming after it.
    pub(crate) is_replaced: bool,
}

impl HostPage {
    /// A page that was not checked yet.
    pub(crate) const fn new() -> Self {
        Self {
            rules: Rules { all_sites: false, hash_routes: false, only: None, heeds_canonical: false },
            root: None,
            address: String::new(),
            by_address: None,
            canonical: None,
            found_at: 0,
            is_left_behind: false,
        }
    }

    /// Updates the page. Returns whether links may lead to other pages than before.
    pub(crate) fn arrive(&mut self, place: Place) -> bool {
        let (address, _) = self.rules.split(place.address);
        let moved = address != self.address;
        if moved {
            self.by_address = self.rules.page_id(address);
            // This uses only the origin, because an address that is too long for an id still has a site.
            let origin = address.bytes().enumerate().filter(|(_, byte)| *byte == b'/').nth(2);
            self.root = origin.and_then(|(slash, _)| self.rules.page_id(address.get(..=slash)?));
            self.address = address.into();
        }
        let canonical = self.rules.page_id(place.canonical).filter(|id| self.rules.heeds_canonical && self.has(id));
        let changed = canonical != self.canonical;
        self.canonical = canonical;
        // The link belongs to the page at which it was found, whatever its parameters are: its author says that they do not matter.
        let found_at = digest(split_before(address, b'?').0);
        if changed || found_at == self.found_at {
            self.is_left_behind = false;
            self.found_at = found_at;
        } else if moved {
            let stays = |beyond: &str| beyond.is_empty() || place.is_replaced;
            self.is_left_behind |= !self.beyond_canonical().is_some_and(stays);
        }
        moved || changed
    }

    /// The id of this page: that of its canonical link if that is on the same site, and otherwise that of its address.
    pub(crate) fn id(&self) -> Option<&PageId> {
        let canonical = self.canonical.as_ref().filter(|id| !self.is_left_behind && !self.is_left_on_all(id));
        canonical.or(self.by_address.as_ref())
    }

    /// The page at this address, if it is counted here. A `link` with a fragment of this page leads to no page. A link without
    /// a fragment does.
    pub(crate) fn page_at(&self, address: &str, is_link: bool) -> Option<PageId> {
        let (page, fragment) = self.rules.split(address);
        let id = self.rules.page_id(page).filter(|id| self.rules.all_sites || self.has(id));
        let is_here = page == self.address || id.as_ref().is_some_and(|id| self.is(id));
        id.filter(|_| !is_link || fragment.is_empty() || !is_here)
    }

    /// The page at the address that the page's own code asks about, or this page if it is empty.
    pub(crate) fn page_named(&self, address: &str) -> Option<PageId> {
        if address.is_empty() { self.id().cloned() } else { self.page_at(address, false) }
    }

    /// Whether a page is on this site. The id of a start page is the site and a slash.
    fn has(&self, id: &PageId) -> bool {
        self.root.as_ref().is_some_and(|root| id.as_str().starts_with(root.as_str()))
    }

    /// Whether this page has that id, by its address or by its canonical link.
    fn is(&self, id: &PageId) -> bool {
        self.id() == Some(id) || self.by_address.as_ref() == Some(id)
    }

    /// The part of the address's path after the canonical link's path. `None` if the path does not begin with that.
    fn beyond_canonical(&self) -> Option<&str> {
        let (by_address, canonical) = (self.by_address.as_ref()?, self.canonical.as_ref()?);
        path_of(by_address)
            .strip_prefix(path_of(canonical))
            .filter(|beyond| matches!(beyond.as_bytes(), [] | [b'/', ..]))
    }

    /// Whether an application put this canonical link on all of its pages: it names the start page on another page, or no route
    /// although the address has one.
    fn is_left_on_all(&self, canonical: &PageId) -> bool {
        let Some(by_address) = &self.by_address else { return is_start_page(canonical) };
        is_start_page(canonical) && !is_start_page(by_address) || has_route(by_address) && !has_route(canonical)
    }
}

/// The path of a page id, with its site.
fn path_of(id: &PageId) -> &str {
    split_before(id.as_str(), b'?').0
}

/// Whether a page is the start page of its site, under any of its names.
fn is_start_page(id: &PageId) -> bool {
    let (_, path) = split_before(path_of(id), b'/');
    (path == "/" || path.starts_with("/index.")) && !has_route(id)
}

/// Whether a page is a hash route.
fn has_route(id: &PageId) -> bool {
    !split_before(id.as_str(), b'#').1.is_empty()
}

#[cfg(test)]
mod tests;
