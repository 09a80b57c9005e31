use connection_counter_protocol::ParameterNames;

use super::*;

fn rules() -> Rules {
    Rules { all_sites: false, hash_routes: false, only: None, heeds_canonical: true }
}

fn page_with(rules: Rules, address: &str, canonical: Option<&str>) -> HostPage {
    let mut page = HostPage { rules, ..HostPage::new() };
    assert!(page.arrive(Place { address, canonical: canonical.unwrap_or_default(), is_replaced: false }));
    page
}

impl HostPage {
    /// The page moves to another address, as with `history.pushState`.
    fn push(&mut self, address: &str, canonical: &str) -> bool {
        self.arrive(Place { address, canonical, is_replaced: false })
    }

    /// The page changes its address, as with `history.replaceState`.
    fn replace(&mut self, address: &str, canonical: &str) -> bool {
        self.arrive(Place { address, canonical, is_replaced: true })
    }
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
fn the_id_comes_from_the_address() {
    assert_eq!(id(&page("https://me:secret@Example.org:8443/a/?b=1#c", None)), "example.org:8443/a?b=1");
}

#[test]
fn pages_without_a_host_have_no_id() {
    for address in ["file:///home/me/a.html", "about:srcdoc", "data:text/html,hello", "blob:https://example.org/1"] {
        assert!(page(address, None).id().is_none(), "{address}");
    }
}

#[test]
fn a_canonical_link_to_another_site_is_ignored() {
    assert_eq!(id(&page("https://example.org/a?ref=x", Some("https://example.org/a"))), "example.org/a");
    assert_eq!(id(&page("https://example.org/a?ref=x", Some("https://other.org/a"))), "example.org/a?ref=x");
}

#[test]
fn a_canonical_link_of_the_previous_page_is_ignored() {
    let mut page = page("https://example.org/a", Some("https://example.org/a"));
    assert!(page.push("https://example.org/b", "https://example.org/a"));
    assert_eq!(id(&page), "example.org/b");
    assert!(page.push("https://example.org/b", "https://example.org/b/main"));
    assert_eq!(id(&page), "example.org/b/main");
    assert!(!page.push("https://example.org/b", "https://example.org/b/main"));
}

#[test]
fn a_canonical_link_that_changed_with_the_address_is_used() {
    let mut page = page("https://example.org/a", Some("https://example.org/a"));
    assert!(page.push("https://example.org/b?x=1", "https://example.org/b"));
    assert_eq!(id(&page), "example.org/b");
}

#[test]
fn an_address_replaced_within_the_canonical_page_keeps_the_id() {
    let mut page = page("https://example.org/d/7-x", Some("https://example.org/d/7-x"));
    page.replace("https://example.org/d/7-x/12", "https://example.org/d/7-x");
    assert_eq!(id(&page), "example.org/d/7-x");
    page.replace("https://example.org/d/7-x?variant=42", "https://example.org/d/7-x");
    assert_eq!(id(&page), "example.org/d/7-x");
    page.push("https://example.org/d/7-x?variant=43", "https://example.org/d/7-x");
    assert_eq!(id(&page), "example.org/d/7-x", "its author says that parameters do not matter");
    page.replace("https://example.org/d/7-xy", "https://example.org/d/7-x");
    assert_eq!(id(&page), "example.org/d/7-xy");
}

#[test]
fn a_canonical_link_stays_with_the_address_at_which_it_was_found() {
    let link = "https://example.org/products/hat";
    let mut page = page("https://example.org/sale/products/hat", Some(link));
    page.replace("https://example.org/sale/products/hat?variant=1", link);
    assert_eq!(id(&page), "example.org/products/hat");
    page.push("https://example.org/sale/products/hat?variant=2", link);
    assert_eq!(id(&page), "example.org/products/hat");
    page.push("https://example.org/photos/7", link);
    assert_eq!(id(&page), "example.org/photos/7");
    page.push("https://example.org/sale/products/hat?variant=2", link);
    assert_eq!(id(&page), "example.org/products/hat", "the reader went back");
    page.push("https://example.org/sale", link);
    assert_eq!(id(&page), "example.org/sale");
}

#[test]
fn a_canonical_link_that_does_not_follow_the_address_is_ignored() {
    let mut page = page("https://example.org/app", Some("https://example.org/app"));
    page.push("https://example.org/app/inbox", "https://example.org/app");
    assert_eq!(id(&page), "example.org/app/inbox");
    page.replace("https://example.org/app/inbox/3", "https://example.org/app");
    assert_eq!(id(&page), "example.org/app/inbox/3", "it stays ignored");
}

#[test]
fn a_canonical_link_to_the_start_page_is_ignored_on_other_pages() {
    let root = Some("https://example.org/");
    for address in ["https://example.org/deep", "https://example.org/a/b?c=1", "https://example.org/homes"] {
        let (_, own) = address.split_once("://").unwrap();
        assert_eq!(id(&page(address, root)), own);
    }
    for address in ["", "?ref=x", "index.php", "index.htm?x=1"] {
        assert_eq!(id(&page(&["https://example.org/", address].concat(), root)), "example.org/", "{address}");
    }
    let hash = Rules { hash_routes: true, ..rules() };
    assert_eq!(id(&page_with(hash, "https://example.org/#/inbox", root)), "example.org/#/inbox");
}

#[test]
fn the_canonical_link_is_ignored_if_the_option_says_so() {
    let ignoring = Rules { heeds_canonical: false, ..rules() };
    let page = page_with(ignoring, "https://example.org/c/x", Some("https://example.org/x"));
    assert_eq!(id(&page), "example.org/c/x");
}

#[test]
fn links_to_fragments_of_this_page_lead_to_no_page() {
    let page = page("https://example.org/c/x?utm_source=mail&ref=y", Some("https://example.org/x"));
    for href in ["https://example.org/x#part", "https://example.org/c/x?ref=y#part", "http://example.org/x/#part"] {
        assert_eq!(leads_to(&page, href), None, "{href}");
    }
    assert_eq!(leads_to(&page, "https://example.org/x"), Some("example.org/x".into()));
    assert_eq!(leads_to(&page, "https://example.org/y#part"), Some("example.org/y".into()));
}

#[test]
fn a_new_fragment_alone_changes_nothing() {
    let mut page = page("https://example.org/a", None);
    assert!(!page.push("https://example.org/a#part", ""));
    assert!(!page.push("https://example.org/a#/part", ""));
}

#[test]
fn hash_routes_are_pages_if_the_option_says_so() {
    let mut page = page_with(Rules { hash_routes: true, ..rules() }, "https://example.org/app#/inbox", None);
    assert_eq!(id(&page), "example.org/app#/inbox");
    assert_eq!(leads_to(&page, "https://example.org/app#/sent"), Some("example.org/app#/sent".into()));
    assert_eq!(leads_to(&page, "https://example.org/app"), Some("example.org/app".into()));
    assert!(page.push("https://example.org/app#!sent", ""));
    assert_eq!(id(&page), "example.org/app#!sent");
    assert!(page.push("https://example.org/app#top", ""));
    assert_eq!(id(&page), "example.org/app");
    assert_eq!(leads_to(&page, "https://example.org/app#bottom"), None);
}

#[test]
fn a_canonical_link_without_a_route_is_ignored_on_routes() {
    let app = "https://example.org/app";
    let mut page = page_with(Rules { hash_routes: true, ..rules() }, "https://example.org/app?ref=x#/inbox", Some(app));
    assert_eq!(id(&page), "example.org/app?ref=x#/inbox");
    page.push("https://example.org/app?ref=x#top", app);
    assert_eq!(id(&page), "example.org/app", "it is no route");
    page.push("https://example.org/app#/sent", "https://example.org/app#/sent/all");
    assert_eq!(id(&page), "example.org/app#/sent/all");
}

#[test]
fn only_parameters_named_in_the_option_are_kept() {
    let only = |names: &str| Rules { only: Some(ParameterNames::new(names)), ..rules() };
    let address = "https://example.org/a?page=2&sort=up&idx=7";
    assert_eq!(id(&page_with(only("page,idx"), address, None)), "example.org/a?idx=7&page=2");
    assert_eq!(id(&page_with(only(""), address, None)), "example.org/a");
    assert_eq!(id(&page_with(only("x"), "https://example.org/a?&x=1&=2&x", None)), "example.org/a?x=1&x");
}

#[test]
fn too_long_addresses_have_no_id() {
    let mut page = page("https://example.org/a", None);
    page.push(&["https://example.org/", &"x".repeat(PageId::MAX_BYTES)].concat(), "");
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
    assert!(page.page_at("https://example.org/a?b=1#there", false).is_some(), "it is not a link");
}

#[test]
fn links_to_other_sites_count_only_with_all_sites() {
    let mut page = page("https://example.org/", None);
    assert_eq!(leads_to(&page, "https://other.org/a"), None);
    assert_eq!(leads_to(&page, "http://example.org/a"), Some("example.org/a".into()));
    page.rules.all_sites = true;
    assert_eq!(leads_to(&page, "https://other.org/a"), Some("other.org/a".into()));
}

#[test]
fn links_that_lead_to_no_page_are_skipped() {
    let page = page_with(Rules { all_sites: true, ..rules() }, "https://example.org/", None);
    for href in ["", "mailto:me@example.org", "javascript:void(0)", "tel:+1", "blob:https://example.org/1", "http://["]
    {
        assert_eq!(leads_to(&page, href), None, "{href}");
    }
}
