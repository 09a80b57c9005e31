//! The host page: its page id, when it becomes another page, and which addresses lead to pages that are counted here.

use connection_counter_protocol::PageId;

/// What makes a page, as the options say.
pub(crate) struct Rules {
    /// Whether pages of other sites are counted as well.
    pub(crate) all_sites: bool,
    /// Whether fragments like `#/inbox` and `#!inbox` are pages.
    pub(crate) hash_routes: bool,
    pub(crate) query: Query,
}

/// Which parameters of an address make a page.
pub(crate) enum Query {
    /// All but those that only tell where a visitor came from.
    Keep,
    /// Those of these names, separated by commas.
    Only(String),
}

/// The page the widget is a guest on, as it was at the last look.
pub(crate) struct HostPage {
    rules: Rules,
    /// What all its addresses share.
    site: String,
    /// Its address, without the fragment unless that is a route.
    address: String,
    /// The page id of its address; `None` if the address is too long for one, or not on the web.
    by_address: Option<PageId>,
    /// The page id of its `<link rel=canonical>`.
    canonical: Option<PageId>,
    /// The canonical link that was already there when the address changed. A single-page application that never touches
    /// it would otherwise be one page for ever.
    left_over: Option<PageId>,
}

impl HostPage {
    /// A page nobody has looked at yet.
    pub(crate) fn new(rules: Rules) -> Self {
        let (site, address) = (String::new(), String::new());
        Self { rules, site, address, by_address: None, canonical: None, left_over: None }
    }

    /// Takes in where the page is now: `location.href`, and the address in its `<link rel=canonical>`, or
    /// nothing. Answers whether
    /// links may mean something else than before.
    pub(crate) fn look(&mut self, address: &str, canonical: &str) -> bool {
        let (address, _) = self.rules.split(address);
        let moved = address != self.address;
        if moved {
            self.by_address = self.rules.page_id(address);
            // Of the origin alone: an address too long for an id still has a site.
            let origin = address.bytes().enumerate().filter(|(_, byte)| *byte == b'/').nth(2);
            let root = origin.and_then(|(slash, _)| self.rules.page_id(address.get(..=slash)?));
            self.site = root.as_ref().and_then(PageId::site).unwrap_or_default().into();
            self.address = address.into();
        }
        let canonical = self.rules.page_id(canonical).filter(|id| self.has(id));
        let changed = canonical != self.canonical;
        if moved {
            self.left_over = self.canonical.take().filter(|_| !changed);
        } else if changed {
            self.left_over = None;
        }
        self.canonical = canonical;
        moved || changed
    }

    /// Under which id this page's viewers meet: that of its canonical address if this is on the same site, else its own.
    pub(crate) fn id(&self) -> Option<&PageId> {
        match &self.canonical {
            Some(_) if self.left_over.is_none() => self.canonical.as_ref(),
            _ => self.by_address.as_ref(),
        }
    }

    /// The page at this address, if it is one that is counted here. A `link` that differs from this page's address by its
    /// fragment alone leads nowhere else; one to this very page, without a fragment, is counted like any other.
    pub(crate) fn page_at(&self, address: &str, is_link: bool) -> Option<PageId> {
        let (page, fragment) = self.rules.split(address);
        if is_link && !fragment.is_empty() && page == self.address {
            return None;
        }
        self.rules.page_id(page).filter(|id| self.rules.all_sites || self.has(id))
    }

    fn has(&self, id: &PageId) -> bool {
        id.site() == Some(&self.site)
    }
}

impl Rules {
    /// What makes the page in an address, and the fragment (with its `#`) that does not.
    fn split<'a>(&self, address: &'a str) -> (&'a str, &'a str) {
        let (page, fragment) = split_before(address, b'#');
        if self.hash_routes && is_route(fragment) { (address, "") } else { (page, fragment) }
    }

    /// The page id of an absolute address, as the browser spells it; `None` for `mailto:` and its like.
    fn page_id(&self, address: &str) -> Option<PageId> {
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
        match &self.query {
            Query::Keep => PageId::from_parts(host, path, query, fragment),
            Query::Only(names) => PageId::from_parts(host, path, &only(names, query), fragment),
        }
        .ok()
    }
}

/// Whether a fragment is what single-page applications route by.
fn is_route(fragment: &str) -> bool {
    matches!(fragment.as_bytes(), [b'#', b'/' | b'!', ..])
}

/// The parameters of `query`, which starts with `?`, that have one of these names.
fn only(names: &str, query: &str) -> String {
    let mut kept = String::new();
    let mut rest = query;
    while !rest.is_empty() {
        let (parameter, after) = split_before(rest.get(1..).unwrap_or_default(), b'&');
        let (name, _) = split_before(parameter, b'=');
        let mut is_wanted = |wanted: &[u8]| !name.is_empty() && wanted.trim_ascii() == name.as_bytes();
        if names.as_bytes().split(|byte| *byte == b',').any(&mut is_wanted) {
            kept.push('&');
            kept.push_str(parameter);
        }
        rest = after;
    }
    kept
}

/// What stands before the first `separator`, and the rest with it.
fn split_before(text: &str, separator: u8) -> (&str, &str) {
    // Of bytes, because a search for a `char` brings more code along.
    let end = text.bytes().position(|byte| byte == separator).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules { all_sites: false, hash_routes: false, query: Query::Keep }
    }

    fn page_with(rules: Rules, address: &str, canonical: Option<&str>) -> HostPage {
        let mut page = HostPage::new(rules);
        assert!(page.look(address, canonical.unwrap_or_default()));
        page
    }

    fn page(address: &str, canonical: Option<&str>) -> HostPage {
        page_with(rules(), address, canonical)
    }

    fn id(page: &HostPage) -> &str {
        page.id().unwrap().as_str()
    }

    fn leads_to(page: &HostPage, href: &str) -> Option<String> {
        page.page_at(href, true).map(|id| id.as_str().to_owned())
    }

    #[test]
    fn own_id_is_that_of_the_address() {
        assert_eq!(id(&page("https://me:secret@Example.org:8443/a/?b=1#c", None)), "example.org:8443/a?b=1");
    }

    #[test]
    fn pages_without_a_host_are_none() {
        for address in ["file:///home/me/a.html", "about:srcdoc", "data:text/html,hello", "blob:https://example.org/1"]
        {
            assert!(page(address, None).id().is_none(), "{address}");
        }
    }

    #[test]
    fn canonical_counts_on_the_same_site_only() {
        assert_eq!(id(&page("https://example.org/a?ref=x", Some("https://example.org/a"))), "example.org/a");
        assert_eq!(id(&page("https://example.org/a?ref=x", Some("https://other.org/a"))), "example.org/a?ref=x");
    }

    #[test]
    fn canonical_left_over_from_the_last_page_is_ignored() {
        let mut page = page("https://example.org/a", Some("https://example.org/a"));
        assert!(page.look("https://example.org/b", "https://example.org/a"));
        assert_eq!(id(&page), "example.org/b");
        assert!(page.look("https://example.org/b", "https://example.org/b/main"));
        assert_eq!(id(&page), "example.org/b/main");
        assert!(!page.look("https://example.org/b", "https://example.org/b/main"));
    }

    #[test]
    fn canonical_that_came_with_the_new_address_counts() {
        let mut page = page("https://example.org/a", Some("https://example.org/a"));
        assert!(page.look("https://example.org/b?x=1", "https://example.org/b"));
        assert_eq!(id(&page), "example.org/b");
    }

    #[test]
    fn fragment_alone_changes_nothing() {
        let mut page = page("https://example.org/a", None);
        assert!(!page.look("https://example.org/a#part", ""));
        assert!(!page.look("https://example.org/a#/part", ""));
    }

    #[test]
    fn hash_routes_are_pages_when_asked_for() {
        let mut page = page_with(Rules { hash_routes: true, ..rules() }, "https://example.org/app#/inbox", None);
        assert_eq!(id(&page), "example.org/app#/inbox");
        assert_eq!(leads_to(&page, "https://example.org/app#/sent"), Some("example.org/app#/sent".into()));
        assert_eq!(leads_to(&page, "https://example.org/app"), Some("example.org/app".into()));
        assert!(page.look("https://example.org/app#!sent", ""));
        assert_eq!(id(&page), "example.org/app#!sent");
        assert!(page.look("https://example.org/app#top", ""));
        assert_eq!(id(&page), "example.org/app");
        assert_eq!(leads_to(&page, "https://example.org/app#bottom"), None);
    }

    #[test]
    fn only_parameters_that_matter_make_pages() {
        let only = |names: &str| Rules { query: Query::Only(names.into()), ..rules() };
        let address = "https://example.org/a?page=2&sort=up&idx=7";
        assert_eq!(id(&page_with(only("page, idx"), address, None)), "example.org/a?idx=7&page=2");
        assert_eq!(id(&page_with(only(""), address, None)), "example.org/a");
        assert_eq!(id(&page_with(only("x"), "https://example.org/a?&x=1&=2&x", None)), "example.org/a?x=1&x");
    }

    #[test]
    fn too_long_addresses_have_no_id() {
        let mut page = page("https://example.org/a", None);
        page.look(&["https://example.org/", &"x".repeat(PageId::MAX_BYTES)].concat(), "");
        assert!(page.id().is_none());
        assert!(leads_to(&page, "https://example.org/a").is_some(), "its links do");
    }

    #[test]
    fn links_within_the_page_are_skipped() {
        let page = page("https://example.org/a?b=1#here", None);
        assert_eq!(leads_to(&page, "https://example.org/a?b=1#there"), None);
        assert_eq!(leads_to(&page, "https://example.org/a?b=1#"), None);
        assert_eq!(leads_to(&page, "https://example.org/a?b=1"), Some("example.org/a?b=1".into()));
        assert_eq!(leads_to(&page, "https://example.org/a#there"), Some("example.org/a".into()));
        assert!(page.page_at("https://example.org/a?b=1#there", false).is_some(), "who asks by name means the page");
    }

    #[test]
    fn links_off_the_site_need_the_wide_scope() {
        let mut page = page("https://example.org/", None);
        assert_eq!(leads_to(&page, "https://other.org/a"), None);
        assert_eq!(leads_to(&page, "http://example.org/a"), Some("example.org/a".into()));
        page.rules.all_sites = true;
        assert_eq!(leads_to(&page, "https://other.org/a"), Some("other.org/a".into()));
    }

    #[test]
    fn what_is_no_page_is_skipped() {
        let page = page_with(Rules { all_sites: true, ..rules() }, "https://example.org/", None);
        for href in
            ["", "mailto:me@example.org", "javascript:void(0)", "tel:+1", "blob:https://example.org/1", "http://["]
        {
            assert_eq!(leads_to(&page, href), None, "{href}");
        }
    }
}
