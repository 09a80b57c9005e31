//! The normalisation table of page ids, and rules that hold for every address.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

use connection_counter_protocol::{PageId, PageIdError, ParameterNames};
use proptest::prelude::*;
use url::{Position, Url};

/// The id that a widget makes for a link, with a browser's URL parser. The crate `url` implements the same standard.
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
    same("https://example.org/%40scope/a%2Cb%28c%29%3A%26%2B", "example.org/@scope/a,b(c):&+");
    same(
        "https://example.org/?a=x%2Cy&b=%2Fnext%3A%40&c%5B%5D=%21%24%28%29%2A",
        "example.org/?a=x,y&b=/next:@&c%5B%5D=!$()*",
    );
    same("https://example.org/?a=x,y&b=/next:@&c[]=!$()*", "example.org/?a=x,y&b=/next:@&c%5B%5D=!$()*");
}

#[test]
fn separators_that_are_encoded_stay_encoded() {
    same("https://example.org/a%2Fb%3Fc%23d", "example.org/a%2Fb%3Fc%23d");
    same("https://example.org/a%3Bb%3D1", "example.org/a%3Bb%3D1");
    same("https://example.org/a;b=1", "example.org/a;b=1");
    same("https://example.org/?a%3Db=c%26d%3Be%23f%2Bg", "example.org/?a%3Db=c%26d%3Be%23f%2Bg");
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
fn parameters_of_campaigns_and_clicks_are_dropped() {
    for name in [
        "ck_subscriber_id",
        "__hstc",
        "__hssc",
        "__hsfp",
        "hsCtaTracking",
        "_hsenc",
        "mtm_campaign",
        "mtm_kwd",
        "matomo_source",
        "piwik_campaign",
        "pk_cid",
        "pk_campaign",
        "pk_kwd",
        "pk_keyword",
        "bsft_uid",
        "bsft_clkid",
        "_branch_match_id",
        "_branch_referrer",
        "ml_subscriber",
        "ml_subscriber_hash",
        "__s",
        "s_cid",
        "wickedid",
        "vero_conv",
        "vero_id",
        "_kx",
        "gad_campaignid",
        "gad_source",
        "gclid",
        "gclsrc",
        "_ga",
        "_ga_AB1CD2EF3G",
        "_gac_UA-1234567-1",
        "_gl",
        "wbraid",
        "ysclid",
        "rdt_cid",
        "epik",
        "irclickid",
        "_openstat",
        "hsa_cam",
        "hsa_grp",
        "oly_enc_id",
        "oly_anon_id",
        "sc_campaign",
        "cmpid",
        "at_campaign",
        "at_medium",
        "ScCid",
        "ved",
        "spm",
        "__cf_chl_tk",
        "__cf_chl_rt_tk",
        "_wpnonce",
        "replytocom",
        "utm_source_platform",
        "fb_action_ids",
        "ref_src",
        "sfmc_id",
        "elqTrackId",
        "WT.mc_id",
        "sc_src",
        "sc_llid",
        "sc_uid",
        "_bhlid",
        "omnisendContactID",
        "iterableEmailCampaignId",
        "cio_id",
        "MoodleSession",
        "MoodleSessionTest",
        "ymclid",
        "ndclid",
        "ranSiteID",
        "_pos",
        "_ss",
        "viewers-debug",
    ] {
        for value in ["1", "x", "Abc_123-x.y", ""] {
            same(&format!("https://example.org/a?{name}={value}&id=7"), "example.org/a?id=7");
        }
        same(&format!("https://example.org/a?id=7&{}", name.to_uppercase()), "example.org/a?id=7");
    }
    // Names that only look similar are kept.
    for name in [
        "utm", "spmx", "my_gclid", "gad", "at_home", "sc_lang", "s_cide", "mtm", "ref", "id", "page", "q", "hsa",
        "gclass", "_gallery", "pk_id",
    ] {
        same(&format!("https://example.org/a?{name}=x1"), &format!("example.org/a?{name}=x1"));
    }
}

#[test]
fn sessions_in_paths_and_queries_are_dropped() {
    for href in [
        "https://example.org/a/b;jsessionid=1A530637289A03B07199A44E8D531427",
        "https://example.org/a/b;jsessionid=1A53.node0?",
        "https://example.org/a;JSESSIONID=x/b",
        "https://example.org/a/b/;jsessionid=x",
        "https://example.org/a/b/index.html;jsessionid=x",
        "https://example.org/a/b?PHPSESSID=4r7b5kq0v3m1",
        "https://example.org/a/b?phpsessid=x",
        "https://example.org/a/b?jsessionid=x",
        "https://example.org/a/b?CFID=12&CFTOKEN=34",
        "https://example.org/a/b?sid=9f86d081884c7d659a2feaa0c55ad015",
        "https://example.org/a/b?s=9f86d081884c7d65",
        "https://example.org/a/b?session_id=01JDR8ZK9Q",
    ] {
        same(href, "example.org/a/b");
    }
    same("https://example.org/;jsessionid=x", "example.org/");
    same("https://example.org/a;v=1;jsessionid=x;w=2", "example.org/a;v=1;w=2");
    same("https://example.org/a/..;jsessionid=x/b", "example.org/b");
}

#[test]
fn parameters_that_may_select_content_are_kept() {
    for query in [
        "sid=12",
        "sid=about",
        "sid=24/11/27",
        "s=shoes",
        "s=iphone15",
        "s=summer-sale-2026",
        "session=2",
        "si=3",
        "trk=12",
    ] {
        same(&format!("https://example.org/a?{query}"), &format!("example.org/a?{query}"));
    }
    same("https://example.org/a?si=AbCdEfGhIjKlMnOp", "example.org/a");
    // However long it is.
    let click = "x".repeat(2 * PageId::MAX_BYTES);
    same(&format!("https://example.org/a?_branch_match_id={click}&b=1"), "example.org/a?b=1");
    same("https://example.org/a?trk=public_profile_browsemap", "example.org/a");
    for path in ["a;v=2", "a;", "a;;b", "a_(1)", "(S(x))", "jsessionid=x"] {
        same(&format!("https://example.org/{path}"), &format!("example.org/{path}"));
    }
}

#[test]
fn named_parameters_match_in_any_spelling() {
    let id = |names: &str, query: &str| {
        let names = ParameterNames::new(names);
        PageId::from_parts_with("example.org", "/a", query, "", Some(&names)).unwrap().to_string()
    };
    let filter = "example.org/a?filter%5Bcolor%5D=red&gr%C3%BCn=1";
    for names in ["filter[color],grün", "filter%5bcolor%5d,gr%c3%bcn"] {
        assert_eq!(id(names, "?filter[color]=red&x=1&grün=1"), filter, "{names}");
        assert_eq!(id(names, "?filter%5Bcolor%5D=red&gr%C3%BCn=1&y"), filter, "{names}");
    }
    assert_eq!(id("at%40", "?at@=1&at%40=2&at=3"), "example.org/a?at@=1&at@=2");
    assert_eq!(id("page number", "?page+number=2&page%20numbers=3"), "example.org/a?page%20number=2");
    assert_eq!(id("", "?a=1&=2&b"), "example.org/a");
    assert_eq!(id("a", "?A=1&a&a=2"), "example.org/a?a&a=2");
}

#[test]
fn hash_routes_that_are_passed_are_kept() {
    let id = |fragment| PageId::from_parts("example.org", "/app", "?x=1", fragment).unwrap().to_string();
    assert_eq!(id("#/inbox/3"), "example.org/app?x=1#/inbox/3");
    assert_eq!(id("#/inbox/"), "example.org/app?x=1#/inbox");
    assert_eq!(id("#/tag/a%2Fb%3Fc,d%2C"), "example.org/app?x=1#/tag/a%2Fb%3Fc,d%2C");
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
fn texts_and_addresses_that_name_no_page_are_refused() {
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

/// Addresses as people and programs write them, including strange ones.
fn href() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        Just("example.org"),
        Just("EXAMPLE.org:443"),
        Just("example.org:80"),
        Just("bücher.example"),
        Just("[::1]:3000"),
        Just("127.0.0.1:8080"),
    ];
    // `:` and `|` are left out, because the `url` crate takes `A|/..` for a drive letter even in https addresses. Browsers do
    // not.
    let path =
        r"(/|//|/\./|/\.\./|/%2e%2E/|\\|;jsessionid=1|;|[a-z]{1,3}|index\.html|%[0-9a-fA-F]{2}|%|é| |[!-.;-{}~]){0,12}";
    let query = r"(\?((utm_source|gclid|sid=1a2b3c4d5e|trk|a|b|%61|é|)(=[ -~é]{0,4})?&?){0,6})?";
    let fragment = r"(#[!-~]{0,6})?";
    (host, path, query, fragment).prop_map(|(host, path, query, fragment)| {
        // The path may contain `?` and `#`. Then the parts end earlier. URL parsers trim the whole address.
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
    fn widget_and_server_make_the_same_id(href in href()) {
        let (_, raw) = href.split_once("://").unwrap();
        // The server must also drop a fragment that is not a route. The widget never sends one.
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
