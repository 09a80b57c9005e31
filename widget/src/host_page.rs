//! The host page: its page id, when it becomes another page, and which addresses lead to pages that are counted here.

use connection_counter_protocol::PageId;

use crate::config::Scope;

/// The page the widget is a guest on, as it was at the last look.
pub(crate) struct HostPage {
    scope: Scope,
    /// What all its addresses share.
    site: String,
    /// Its address without the fragment.
    address: String,
    /// The page id of its address; `None` if the address is too long for one.
    by_address: Option<PageId>,
    /// The page id of its `<link rel=canonical>`.
    canonical: Option<PageId>,
    /// The canonical link that was already there when the address changed. A single-page application that never touches
    /// it would otherwise be one page for ever.
    left_over: Option<PageId>,
}

/// What became different since the last look.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing.
    None,
    /// The page id at most; links mean what they meant.
    Id,
    /// The address, and with it which links only lead elsewhere on the same page.
    Address,
}

impl HostPage {
    /// The page at `address` (`location.href`); `None` if it cannot have viewers, such as a local file.
    pub(crate) fn new(scope: Scope, address: &str, canonical: Option<&str>) -> Option<Self> {
        let (host, ..) = split(address)?;
        let site = PageId::from_parts(host, "", "", "").ok()?.site()?.into();
        let mut page = Self { scope, site, address: String::new(), by_address: None, canonical: None, left_over: None };
        page.look(address, canonical);
        Some(page)
    }

    /// Takes in where the page is now: `location.href`, and the address in its `<link rel=canonical>`.
    pub(crate) fn look(&mut self, address: &str, canonical: Option<&str>) -> Change {
        let canonical = canonical.and_then(page_id).filter(|id| self.has(id));
        let (address, _) = split_fragment(address);
        let change = if address != self.address {
            self.left_over = self.canonical.take();
            self.address = address.into();
            self.by_address = page_id(address);
            Change::Address
        } else if canonical != self.canonical {
            Change::Id
        } else {
            return Change::None;
        };
        self.canonical = canonical;
        if self.canonical != self.left_over {
            self.left_over = None;
        }
        change
    }

    /// Under which id this page's viewers meet: that of its canonical address if this is on the same site, else its own.
    pub(crate) fn id(&self) -> Option<&PageId> {
        match &self.canonical {
            Some(_) if self.left_over.is_none() => self.canonical.as_ref(),
            _ => self.by_address.as_ref(),
        }
    }

    /// The page to count on a link with this `href`, if any. A link that differs from this page's address by its fragment
    /// alone leads nowhere else; a link to this very page, without a fragment, is counted like any other.
    pub(crate) fn leads_to(&self, href: &str) -> Option<PageId> {
        let (address, fragment) = split_fragment(href);
        if !fragment.is_empty() && address == self.address {
            return None;
        }
        page_id(address).filter(|id| self.scope == Scope::All || self.has(id))
    }

    fn has(&self, id: &PageId) -> bool {
        id.site() == Some(&self.site)
    }
}

/// The page id of an absolute address without a fragment, as the browser spells it; `None` for `mailto:` and its like.
fn page_id(address: &str) -> Option<PageId> {
    let (host, path, query) = split(address)?;
    PageId::from_parts(host, path, query, "").ok()
}

/// Host, path and query of an http(s) address.
fn split(address: &str) -> Option<(&str, &str, &str)> {
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"))?;
    // A valid address has a path. What has none is an `href` that the browser could not parse and hands out as it is.
    let (authority, rest) = rest.split_at(rest.find('/')?);
    let host = authority.rsplit_once('@').map_or(authority, |(_user, host)| host);
    let (path, query) = split_before(rest, '?');
    Some((host, path, query))
}

/// The address, and the fragment with its `#`.
fn split_fragment(address: &str) -> (&str, &str) {
    split_before(address, '#')
}

fn split_before(text: &str, separator: char) -> (&str, &str) {
    text.split_at(text.find(separator).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(address: &str, canonical: Option<&str>) -> HostPage {
        HostPage::new(Scope::Site, address, canonical).unwrap()
    }

    fn id(page: &HostPage) -> &str {
        page.id().unwrap().as_str()
    }

    fn leads_to(page: &HostPage, href: &str) -> Option<String> {
        page.leads_to(href).map(|id| id.as_str().to_owned())
    }

    #[test]
    fn own_id_is_that_of_the_address() {
        assert_eq!(id(&page("https://me:secret@Example.org:8443/a/?b=1#c", None)), "example.org:8443/a?b=1");
    }

    #[test]
    fn pages_without_a_host_are_none() {
        for address in ["file:///home/me/a.html", "about:srcdoc", "data:text/html,hello", "blob:https://example.org/1"]
        {
            assert!(HostPage::new(Scope::Site, address, None).is_none(), "{address}");
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
        assert_eq!(page.look("https://example.org/b", Some("https://example.org/a")), Change::Address);
        assert_eq!(id(&page), "example.org/b");
        assert_eq!(page.look("https://example.org/b", Some("https://example.org/b/main")), Change::Id);
        assert_eq!(id(&page), "example.org/b/main");
        assert_eq!(page.look("https://example.org/b", Some("https://example.org/b/main")), Change::None);
    }

    #[test]
    fn fragment_alone_changes_nothing() {
        let mut page = page("https://example.org/a", None);
        assert_eq!(page.look("https://example.org/a#part", None), Change::None);
    }

    #[test]
    fn too_long_addresses_have_no_id() {
        let mut page = page("https://example.org/a", None);
        page.look(&["https://example.org/", &"x".repeat(PageId::MAX_BYTES)].concat(), None);
        assert!(page.id().is_none());
    }

    #[test]
    fn links_within_the_page_are_skipped() {
        let page = page("https://example.org/a?b=1#here", None);
        assert_eq!(leads_to(&page, "https://example.org/a?b=1#there"), None);
        assert_eq!(leads_to(&page, "https://example.org/a?b=1#"), None);
        assert_eq!(leads_to(&page, "https://example.org/a?b=1"), Some("example.org/a?b=1".into()));
        assert_eq!(leads_to(&page, "https://example.org/a#there"), Some("example.org/a".into()));
    }

    #[test]
    fn links_off_the_site_need_the_wide_scope() {
        let mut page = page("https://example.org/", None);
        assert_eq!(leads_to(&page, "https://other.org/a"), None);
        assert_eq!(leads_to(&page, "http://example.org/a"), Some("example.org/a".into()));
        page.scope = Scope::All;
        assert_eq!(leads_to(&page, "https://other.org/a"), Some("other.org/a".into()));
    }

    #[test]
    fn what_is_no_page_is_skipped() {
        let page = HostPage::new(Scope::All, "https://example.org/", None).unwrap();
        for href in
            ["", "mailto:me@example.org", "javascript:void(0)", "tel:+1", "blob:https://example.org/1", "http://["]
        {
            assert_eq!(leads_to(&page, href), None, "{href}");
        }
    }
}
