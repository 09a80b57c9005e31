//! The normalisation table of page ids, and what must hold for any address.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

use connection_counter_protocol::{PageId, PageIdError};
use proptest::prelude::*;
use url::{Position, Url};

/// The id a widget computes for a link: a browser's URL parser takes the address apart. `url` implements the same standard.
fn widget_id(href: &str) -> Result<PageId, PageIdError> {
    let url = Url::parse("https://example.org/base/page").unwrap().join(href).unwrap();
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap()),
        None => url.host_str().unwrap().to_owned(),
    };
    PageId::from_parts(&host, url.path(), &url[Position::AfterPath..Position::AfterQuery], "")
}

#[track_caller]
fn same(href: &str, id: &str) {
    assert_eq!(widget_id(href).unwrap().as_str(), id, "as the widget reads {href:?}");
    if let Some((_, raw)) = href.split_once("://") {
        assert_eq!(PageId::parse(raw).unwrap().as_str(), id, "as the server reads {raw:?}");
    }
}

#[test]
fn scheme_and_fragment_are_dropped() {
    same("http://example.org/a", "example.org/a");
    same("https://example.org/a#part", "example.org/a");
    same("#part", "example.org/base/page");
}

#[test]
fn hosts_have_one_spelling() {
    same("https://EXAMPLE.org/a", "example.org/a");
    same("https://bücher.example/a", "xn--bcher-kva.example/a");
    same("https://BÜCHER.example/a", "xn--bcher-kva.example/a");
    same("https://xn--bcher-kva.example/a", "xn--bcher-kva.example/a");
    same("https://[::1]/a", "[::1]/a");
    same("https://[0:0::1]:8080/a", "[::1]:8080/a");
    same("https://127.0.0.1:3000/a", "127.0.0.1:3000/a");
}

#[test]
fn default_ports_are_dropped() {
    same("http://example.org:80/a", "example.org/a");
    same("https://example.org:443/a", "example.org/a");
    same("http://example.org:443/a", "example.org/a");
    same("https://example.org:8443/a", "example.org:8443/a");
    same("https://[::1]:443/", "[::1]/");
}

#[test]
fn percent_encoding_has_one_spelling() {
    same("https://example.org/%7Euser", "example.org/~user");
    same("https://example.org/%41%2d%62", "example.org/A-b");
    same("https://example.org/caf%c3%a9", "example.org/caf%C3%A9");
    same("https://example.org/café", "example.org/caf%C3%A9");
    same("https://example.org/a%2fb", "example.org/a%2Fb");
    same("https://example.org/a b", "example.org/a%20b");
    same("https://example.org/100%", "example.org/100%25");
    same("https://example.org/100%25", "example.org/100%25");
    same("https://example.org/%zz", "example.org/%25zz");
    same("https://example.org/%FF", "example.org/%FF");
    same("https://example.org/?q=it's", "example.org/?q=it%27s");
}

#[test]
fn paths_have_one_spelling() {
    same("https://example.org/", "example.org/");
    same("https://example.org/a/", "example.org/a");
    same("https://example.org/a//b", "example.org/a/b");
    same("https://example.org//a", "example.org/a");
    same("https://example.org/a/./b/../c", "example.org/a/c");
    same("https://example.org/a/%2e%2E/c", "example.org/c");
    same("https://example.org/../../a", "example.org/a");
    same("https://example.org/index.html", "example.org/");
    same("https://example.org/a/index.html", "example.org/a");
    same("https://example.org/a/index.html/", "example.org/a");
    same("https://example.org/a/my-index.html", "example.org/a/my-index.html");
    same(r"https://example.org/a\b", "example.org/a/b");
    same("https://example.org/a//../b", "example.org/a/b");
    same("../up", "example.org/up");
}

#[test]
fn queries_have_one_spelling() {
    same("https://example.org/?", "example.org/");
    same("https://example.org/a?&&", "example.org/a");
    same("https://example.org/a?b=2&a=1", "example.org/a?a=1&b=2");
    same("https://example.org/a?a=2&b=0&a=1", "example.org/a?a=2&a=1&b=0");
    same("https://example.org/a?q=x+y", "example.org/a?q=x%20y");
    same("https://example.org/a?q=x%2By", "example.org/a?q=x%2By");
    same("https://example.org/a??", "example.org/a?%3F");
    same("https://example.org/a/?b&a=", "example.org/a?a=&b");
}

#[test]
fn tracking_parameters_are_dropped() {
    same("https://example.org/a?utm_source=x&UTM_Medium=y", "example.org/a");
    same("https://example.org/a?gclid=1&fbclid=2&msclkid=3&mc_cid=4&mc_eid=5&igshid=6&id=7", "example.org/a?id=7");
    same("https://example.org/a?utm=1&my_gclid=2", "example.org/a?my_gclid=2&utm=1");
    same("https://example.org/a?%75tm_source=x", "example.org/a");
}

#[test]
fn hash_routes_are_kept_where_passed() {
    let id = |fragment| PageId::from_parts("example.org", "/app", "?x=1", fragment).unwrap().to_string();
    assert_eq!(id("#/inbox/3"), "example.org/app?x=1#/inbox/3");
    assert_eq!(id("#/inbox/"), "example.org/app?x=1#/inbox");
    assert_eq!(id("#!inbox"), "example.org/app?x=1#!inbox");
    assert_eq!(id("#part"), "example.org/app?x=1");
    assert_eq!(id("#/"), "example.org/app?x=1");
    assert_eq!(PageId::parse("example.org/app?x=1#/inbox/3").unwrap().as_str(), "example.org/app?x=1#/inbox/3");
}

#[test]
fn bare_names_belong_to_the_default_site() {
    let id = PageId::parse("a").unwrap();
    assert_eq!((id.as_str(), id.site(), id.counter_room()), ("a", None, "all-pages"));
    let id = PageId::parse("example.org/a").unwrap();
    assert_eq!((id.site(), id.counter_room()), (Some("example.org"), "example.org"));
}

#[test]
fn very_long_addresses_are_refused() {
    let longest = format!("example.org/{}", "a".repeat(PageId::MAX_BYTES - 12));
    assert_eq!(PageId::parse(&longest).unwrap().as_str().len(), PageId::MAX_BYTES);
    assert_eq!(PageId::parse(&format!("{longest}a")), Err(PageIdError::TooLong));
    assert_eq!(PageId::parse(&"a".repeat(513)), Err(PageIdError::TooLong));
    assert_eq!(widget_id(&format!("/{}", "é".repeat(100))), Err(PageIdError::TooLong));
    assert_eq!(widget_id(&format!("/?{}", "a&".repeat(100_000))), Err(PageIdError::TooLong));
    // Dropped parameters do not count.
    same(&format!("https://example.org/a?utm_source={}", "x".repeat(400)), "example.org/a");
}

#[test]
fn what_is_no_page_is_refused() {
    for (text, error) in [
        ("", PageIdError::Empty),
        (".", PageIdError::Empty),
        ("..", PageIdError::Empty),
        ("/a", PageIdError::Host),
        ("//example.org/a", PageIdError::Host),
        ("https://example.org/a", PageIdError::Host),
        ("exa mple.org/a", PageIdError::Host),
        ("example.org:port/a", PageIdError::Host),
        ("[::1/a", PageIdError::Host),
        ("a\nb", PageIdError::ControlCharacter),
        ("example.org/\u{0}", PageIdError::ControlCharacter),
        ("example.org/\u{85}", PageIdError::ControlCharacter),
    ] {
        assert_eq!(PageId::parse(text), Err(error), "{text:?}");
    }
    // Addresses without a host lead to no page: `mailto:`, `tel:`, `javascript:`, `data:` and `blob:` have none.
    for href in
        ["mailto:a@example.org", "tel:+491234", "javascript:void(0)", "data:text/html,a", "blob:https://example.org/7"]
    {
        let url = Url::parse(href).unwrap();
        let host = url.host_str().unwrap_or("");
        assert_eq!(PageId::from_parts(host, url.path(), "", ""), Err(PageIdError::Host), "{href}");
    }
}

/// Addresses as people and programs write them, the odd ones included.
fn href() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        Just("example.org"),
        Just("EXAMPLE.org:443"),
        Just("example.org:80"),
        Just("bücher.example"),
        Just("[::1]:3000"),
        Just("127.0.0.1:8080"),
    ];
    // Without `:` and `|`: the `url` crate takes `A|/..` for a drive letter even in https addresses; browsers do not.
    let path = r"(/|//|/\./|/\.\./|/%2e%2E/|\\|[a-z]{1,3}|index\.html|%[0-9a-fA-F]{2}|%|é| |[!-.;-{}~]){0,12}";
    let query = r"(\?((utm_source|gclid|a|b|%61|é|)(=[ -~é]{0,4})?&?){0,6})?";
    let fragment = r"(#[!-~]{0,6})?";
    (host, path, query, fragment).prop_map(|(host, path, query, fragment)| {
        // The path may itself hold `?` and `#`; then the parts merely end earlier. URL parsers trim the whole.
        format!("https://{host}/{path}{query}{fragment}").trim().to_owned()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn spelling_twice_changes_nothing(href in href()) {
        if let Ok(id) = widget_id(&href) {
            prop_assert_eq!(PageId::parse(id.as_str()), Ok(id));
        }
    }

    #[test]
    fn widget_and_server_agree(href in href()) {
        let (_, raw) = href.split_once("://").unwrap();
        // The server, too, must drop a fragment that is not a route; the widget never sends one.
        let raw = raw.split('#').next().unwrap();
        let href = href.split('#').next().unwrap();
        prop_assume!(!raw.ends_with(' '));
        prop_assert_eq!(widget_id(href), PageId::parse(raw));
    }

    #[test]
    fn any_text_is_read_without_panic(text in any::<String>()) {
        if let Ok(id) = PageId::parse(&text) {
            prop_assert!(id.as_str().len() <= PageId::MAX_BYTES);
            prop_assert_eq!(PageId::parse(id.as_str()), Ok(id));
        }
    }
}
