//! Requests as proxies change them: with rewritten addresses, and with headers that were split, dropped or added.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use std::{process::Command, time::Duration};

use serde_json::json;
use support::{Binary, TestServer, wait_until};

/// A handshake without the headers that proxies drop or change.
const HANDSHAKE: &str = "GET /live?page=example.org%2Fa HTTP/1.1\r\nhost: x\r\nsec-websocket-version: 13\r\n\
                         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
/// Page ids that proxies are known to change. Here they are as in a query.
const PAGES: [&str; 5] =
    ["example.org/a", "example.org/caf%C3%A9", "example.org/a?id=1&x=2", "example.org/100%25", "a"];

/// Encodes like JavaScript's `encodeURIComponent`.
fn escaped(id: &str) -> String {
    percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[tokio::test]
async fn live_takes_the_page_from_the_query_below_any_path() {
    let server = TestServer::start().await;
    for place in
        ["/live", "/live/live", "/some/where/live", "//live", "/live/", "/badge/live", "/party/live", "/parties/x/live"]
    {
        for page in PAGES {
            let address = format!("{place}?page={}", escaped(page));
            let viewer = server.connect(&address, &[]).await.unwrap_or_else(|error| panic!("{address}: {error}"));
            let told = server.get_json(&address).await;
            assert_eq!((&told["id"], &told["viewers"]), (&json!(page), &json!(1)), "{address}");
            let same = server.get_json(&format!("/parties/page/{}", escaped(page))).await;
            assert_eq!(same["viewers"], 1, "{page} is one page at both addresses");
            viewer.close().await;
            wait_until("no one is there", async || server.get_json(&address).await["viewers"] == 0).await;
        }
    }
    assert_eq!(server.get("/live").await.0, 404, "there is no page without a name");
}

#[tokio::test]
async fn the_widget_is_served_below_paths_that_look_like_a_partys() {
    let server = TestServer::with(&["--badges"]).await;
    for place in ["/badge/live.js", "/party/live.js", "/parties/live.js", "/parties/x/live.js", "/live/live.js"] {
        let answer = server.exchange("GET", place, &[], "").await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "text/javascript; charset=utf-8"), "{place}");
    }
    let badge = server.get("/badge/badge/example.org/a.json").await;
    assert!(badge.0 == 200 && badge.1.contains("schemaVersion"), "{badge:?}");
    for (path, reason) in [("/parties/x/y", "party \"x\" not found"), ("/badge/example.org", "neither ending")] {
        let (status, said) = server.get(path).await;
        assert!(status == 404 && said.contains(reason), "{path}: {status} {said}");
    }
}

#[tokio::test]
async fn a_handshake_reaches_its_page_at_any_path() {
    let server = TestServer::start().await;
    // Paths that proxies make of `/live`, and paths of no room.
    for path in ["/", "//", "/connect", "/parties/page/", "/live/live.js", "/%6Cive"] {
        let viewer = server.connect(&format!("{path}?page=example.org%2Fa"), &[]).await;
        let viewer = viewer.unwrap_or_else(|error| panic!("{path}: {error}"));
        server.expect_counted("example.org", "example.org/a", 1).await;
        viewer.close().await;
        server.expect_counted("example.org", "example.org/a", 0).await;
    }
    assert_eq!(server.get("/connect?page=example.org%2Fa").await.0, 404, "a request is not a handshake");
    // A room that the path names comes first.
    let _viewer = server.connect("/parties/page/example.org%2Fb?page=example.org%2Fa", &[]).await.unwrap();
    server.expect_counted("example.org", "example.org/b", 1).await;
}

#[tokio::test]
async fn an_address_that_a_proxy_has_encoded_twice_reaches_its_page() {
    let server = TestServer::start().await;
    for address in ["/live?page=example.org%252Fa%25253F", "/parties/page/example.org%252fa%25253F"] {
        let viewer = server.connect(address, &[]).await.unwrap();
        server.expect_counted("example.org", "example.org/a%3F", 1).await;
        viewer.close().await;
        server.expect_counted("example.org", "example.org/a%3F", 0).await;
    }
}

#[tokio::test]
async fn a_handshake_whose_query_was_decoded_is_in_the_log() {
    let (server, log) = Binary::with_log(&[]);
    let connect = async |query: &str| drop(server.connect(&format!("/live?{query}"), &[]).await.unwrap());
    // Clients may leave slashes as they are.
    for query in ["page=example.org/a&viewer=t", "page=example.org%2Fa%3Fx%3D1%26y%3D2&observe", "viewer=?&page=a"] {
        connect(query).await;
    }
    assert!(!log.text().contains("arrived decoded"), "{}", log.text());
    for query in ["page=example.org/a?x=1&y=2&viewer=t", "page=example.org/a?x=1&y=3"] {
        connect(query).await;
    }
    let text = log.text();
    let told: Vec<_> = text.lines().filter(|line| line.contains("arrived decoded")).collect();
    let is_warning = |line: &str| line.contains("WARN") && line.contains("example.org/a") && !line.contains("x=1");
    assert!(matches!(told[..], [one] if is_warning(one)), "{text}");
}

#[tokio::test]
async fn two_host_headers_are_in_the_log() {
    let (server, log) = Binary::with_log(&[]);
    let answer = server.raw(b"GET /live.js HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n").await.unwrap();
    assert_eq!(answer.status, 400);
    assert!(log.text().contains("let it replace the browser's"), "{}", log.text());
}

#[tokio::test]
async fn a_handshake_without_its_query_is_in_the_log() {
    let (server, log) = Binary::with_log(&[]);
    for path in ["/live", "/live?p=1", "/live%3Fpage=example.org%2Fa", "/parties/x/y"] {
        assert_eq!(server.handshake_status(path, &[]).await, 404, "{path}");
    }
    let text = log.text();
    let told: Vec<_> = text.lines().filter(|line| line.contains("where no party is")).collect();
    assert!(matches!(told[..], [one] if one.contains("came to /live,") && !one.contains("p=1")), "{text}");
}

#[tokio::test]
async fn a_handshake_that_lost_a_header_is_in_the_log() {
    const UPGRADE: &str = "upgrade: websocket\r\nconnection: upgrade\r\n\r\n";
    let (server, log) = Binary::with_log(&[]);
    let status = async |handshake: String| server.raw((handshake + UPGRADE).as_bytes()).await.unwrap().status;
    assert_eq!(status(HANDSHAKE.replace("version: 13", "version: 13, 13")).await, 101, "two lines were joined");
    assert!(!log.text().contains("a WebSocket handshake was refused"), "{}", log.text());
    assert_eq!(status(HANDSHAKE.replace("sec-websocket-version: 13\r\n", "")).await, 400);
    assert!(log.text().contains("it must pass on those that begin with Sec-WebSocket-"), "{}", log.text());
}

#[tokio::test]
async fn a_handshake_of_another_version_is_in_the_log() {
    let (server, log) = Binary::with_log(&[]);
    let old = HANDSHAKE.replace("version: 13", "version: 8");
    for _ in 0..2 {
        let answer = server.raw(format!("{old}upgrade: websocket\r\nconnection: upgrade\r\n\r\n").as_bytes()).await;
        assert_eq!(answer.unwrap().status, 426);
    }
    let text = log.text();
    let told: Vec<_> = text.lines().filter(|line| line.contains("Sec-WebSocket-Version is not 13")).collect();
    assert!(matches!(told[..], [one] if one.contains("WARN") && one.contains("example.org/a")), "{text}");
}

#[tokio::test]
async fn a_handshake_with_two_keys_is_400_and_in_the_log() {
    const UPGRADE: &str = "upgrade: websocket\r\nconnection: upgrade\r\n\r\n";
    let server = TestServer::start().await;
    for same in ["ZQ==\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", "ZQ==, dGhlIHNhbXBsZSBub25jZQ=="] {
        let doubled = HANDSHAKE.replace("ZQ==", same) + UPGRADE;
        let answer = server.raw(doubled.as_bytes()).await.unwrap();
        let accepted = answer.header("sec-websocket-accept");
        assert_eq!((answer.status, accepted), (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{same}");
    }
    for second in ["\r\nsec-websocket-key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n", ", AQIDBAUGBwgJCgsMDQ4PEA==\r\n"] {
        let (server, log) = Binary::with_log(&[]);
        let doubled = HANDSHAKE.replace("ZQ==\r\n", &format!("ZQ=={second}"));
        let answer = server.raw((doubled + UPGRADE).as_bytes()).await;
        assert_eq!(answer.unwrap().status, 400, "{second:?}");
        assert!(log.text().contains("it has more than one Sec-WebSocket-Key"), "{}", log.text());
    }
}

#[tokio::test]
async fn live_takes_the_viewer_and_observe_parameters() {
    let server = TestServer::start().await;
    let page = "/live?page=example.org%2Fa";
    let _watches = server.connect(&format!("{page}&observe=1"), &[]).await.unwrap();
    let _tab = server.connect(&format!("{page}&viewer=one"), &[]).await.unwrap();
    let _other_tab = server.connect(&format!("{page}&viewer=one"), &[]).await.unwrap();
    server.expect_counted("example.org", "example.org/a", 1).await;
}

#[tokio::test]
async fn unescaped_and_doubled_slashes_in_the_path_are_accepted() {
    let server = TestServer::start().await;
    for (path, id) in [
        ("example.org/a", "example.org/a"),
        ("example.org/a/b/", "example.org/a/b"),
        ("example.org%2Fa/b%3Fid=1", "example.org/a/b?id=1"),
        ("a", "a"),
    ] {
        for doubled in ["//parties/page/", "/parties//page/", "/parties/page//"] {
            assert_eq!(
                server.get_json(&format!("{doubled}{path}")).await["id"],
                id,
                "an extra slash in {doubled}{path}"
            );
        }
        assert_eq!(server.get_json(&format!("/parties/page/{path}")).await["id"], id, "{path}");
        assert_eq!(server.handshake_status(&format!("/parties/page/{path}"), &[]).await, 101, "{path}");
    }
}

#[tokio::test]
async fn upgrade_headers_split_over_several_lines_are_accepted() {
    let server = TestServer::start().await;
    for lines in [
        "connection: keep-alive\r\nconnection: Upgrade\r\nupgrade: websocket\r\n",
        "connection: keep-alive, Upgrade\r\nupgrade: h2c, websocket\r\n",
        "connection: upgrade\r\nupgrade: h2c\r\nupgrade: websocket\r\n",
    ] {
        let answer = server.raw(format!("{HANDSHAKE}{lines}\r\n").as_bytes()).await.unwrap();
        assert_eq!(answer.status, 101, "{lines:?}: {}", answer.text());
        assert_eq!(answer.header("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}

#[tokio::test]
async fn a_handshake_without_its_upgrade_header_gets_426_and_a_log_line() {
    let (server, log) = Binary::with_log(&[]);
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\n";
    let live = "GET /live?page=a HTTP/1.1\r\nhost: x\r\n";
    for handshake in [
        HANDSHAKE.to_owned(),
        format!("{HANDSHAKE}connection: close\r\n"),
        format!("{HANDSHAKE}{upgrade}").replace("HTTP/1.1", "HTTP/1.0"),
        format!("{live}sec-websocket-version: 13\r\n"),
        format!("{live}sec-websocket-extensions: permessage-deflate\r\n"),
        format!("{live}sec-fetch-mode: websocket\r\n"),
    ] {
        let answer = server.raw(format!("{handshake}\r\n").as_bytes()).await.unwrap();
        assert_eq!((answer.status, answer.header("upgrade")), (426, "websocket"), "{handshake:?}");
    }
    let log = log.text();
    let told: Vec<_> = log.lines().filter(|line| line.contains("WARN") && line.contains("Upgrade")).collect();
    assert_eq!(told.len(), 1, "once a minute: {log}");
    // A normal request is not a lost handshake.
    assert_eq!(server.get("/live?page=a").await.0, 200);
}

#[tokio::test]
async fn tls_http2_and_the_proxy_protocol_are_logged_once() {
    let (server, log) = Binary::with_log(&[]);
    let request = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    for sent in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 is how TLS begins\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        format!("PROXY TCP4 192.0.2.1 192.0.2.2 50811 1999\r\n{request}").into_bytes(),
    ] {
        // There may be no answer.
        let _ = server.raw(&sent).await;
    }
    let told = || log.text().lines().filter(|line| line.contains("PROXY protocol")).count();
    wait_until("it is told", async || told() > 0).await;
    assert_eq!(told(), 1, "once a minute");
}

#[tokio::test]
async fn unescaped_characters_in_an_address_are_logged_with_their_remedy() {
    for page in [&b"example.org/a b"[..], b"example.org/caf\xe9"] {
        let (server, log) = Binary::with_log(&[]);
        let handshake = [b"GET /live?page=", page, b" HTTP/1.1\r\nhost: x\r\n\r\n"].concat();
        assert_eq!(server.raw(&handshake).await.unwrap().status, 400);
        let is_told = |line: &str| line.contains("request: invalid") && line.contains("pass on addresses encoded");
        wait_until("it is told", async || log.text().lines().any(is_told)).await;
        assert!(!log.text().contains("example.org"), "{}", log.text());
    }
}

#[tokio::test]
async fn health_checks_below_the_path_of_a_proxy_are_answered() {
    let server = TestServer::start().await;
    // This machine may have too few open files.
    let readiness = server.get("/readyz").await;
    for place in ["/live", "/some/where", "/parties", "/parties/x", "/"] {
        assert_eq!(server.get(&format!("{place}/healthz")).await, (200, "ok\n".to_owned()), "{place}");
        for method in ["GET", "OPTIONS"] {
            let answered = server.request(method, &format!("{place}/readyz"), &[], "").await;
            assert_eq!(answered, readiness, "{method} {place}");
        }
    }
    // What is at such an address comes first.
    assert_eq!(server.get_json("/parties/page/healthz").await["id"], "healthz");
    for (method, path) in [("GET", "/live/ahealthz"), ("GET", "/live/healthz/x"), ("POST", "/live/healthz")] {
        assert_eq!(server.request(method, path, &[], "").await.0, 404, "{method} {path}");
    }
    let assets = tempfile::tempdir().unwrap();
    std::fs::create_dir(assets.path().join("live")).unwrap();
    std::fs::write(assets.path().join("live/healthz"), "a page").unwrap();
    let server = TestServer::with(&[&format!("--assets={}", assets.path().display())]).await;
    assert_eq!(server.get("/live/healthz").await.1, "a page");
}

#[tokio::test]
async fn health_checks_of_load_balancers_succeed() {
    let server = TestServer::start().await;
    for check in
        ["OPTIONS / HTTP/1.0\r\n\r\n", "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n", "GET /healthz HTTP/1.0\r\n\r\n"]
    {
        let status = server.raw(check.as_bytes()).await.unwrap().status;
        assert!((200..300).contains(&status), "{check:?}: {status}");
    }
}

#[tokio::test]
async fn large_cookies_of_other_services_are_accepted() {
    let server = TestServer::start().await;
    let cookies = format!("session={}", "x".repeat(16_000));
    assert_eq!(server.handshake_status("/live?page=a", &[("cookie", &cookies)]).await, 101);
    assert_eq!(server.request("GET", "/healthz", &[("cookie", &cookies)], "").await.0, 200);
}

#[tokio::test]
async fn the_client_ip_header_tells_readers_apart() {
    for (flag, header, first, second) in [
        ("X-Forwarded-For", "x-forwarded-for", "203.0.113.7:50811", "203.0.113.8:50811"),
        ("x-forwarded-for", "x-forwarded-for", "[2001:db8:1::1]:443", "[2001:db8:2::1]:443"),
        ("CF-Connecting-IP", "cf-connecting-ip", "203.0.113.7", "203.0.113.8"),
        ("Forwarded", "forwarded", "for=203.0.113.7", "for=\"203.0.113.8:80\";proto=https"),
    ] {
        let flag = format!("--client-ip-header={flag}");
        let one_each = ["--trusted-proxy=127.0.0.1", "--max-connections-per-address=1", &flag];
        let server = TestServer::with(&one_each).await;
        let _first = server.try_viewer("a", &[(header, first)]).await.unwrap();
        assert_eq!(server.handshake_status("/live?page=a", &[(header, first)]).await, 429, "{header}: {first}");
        assert_eq!(server.handshake_status("/live?page=a", &[(header, second)]).await, 101, "{header}: {second}");
    }
}

#[tokio::test]
async fn a_proxy_that_sends_no_client_address_is_logged_with_the_flag_to_set() {
    for (args, hint) in
        [(&[][..], "add --trusted-proxy 127.0.0.1"), (&["--trusted-proxy=127.0.0.1"], "--client-ip-header")]
    {
        let (server, log) = Binary::with_log(args);
        // A request without a proxy is not logged.
        assert_eq!(server.get("/live?page=a").await.0, 200);
        assert!(!log.text().contains(hint));
        let request = b"GET /live?page=a HTTP/1.1\r\nhost: live.example.org\r\n\r\n";
        for _ in 0..3 {
            assert_eq!(server.raw(request).await.unwrap().status, 200);
        }
        let log = log.text();
        assert_eq!(log.matches(hint).count(), 1, "{args:?}: {log}");
    }
}

#[tokio::test]
async fn a_proxy_that_reaches_a_limit_is_logged_with_its_address() {
    // Readers come at once, so the limit of their pace is reached before that of their number. The last one of several proxies, and
    // one in a network of a hosting provider.
    for (entries, proxy) in [("198.51.100.1, 10.9.9.9", "10.9.9.9"), ("198.51.100.1, 100.64.0.7", "100.64.0.7")] {
        let one_each = ["--trusted-proxy=127.0.0.1", "--handshake-burst=1", "--handshakes-per-second=1"];
        let (server, log) = Binary::with_log(&one_each);
        let status = async || server.handshake_status("/live?page=a", &[("x-forwarded-for", entries)]).await;
        assert_eq!([status().await, status().await], [101, 429]);
        assert!(log.text().contains(&format!("add --trusted-proxy {proxy}")), "{}", log.text());
    }
}

#[tokio::test]
async fn a_forwarded_header_without_a_reader_address_is_logged_once() {
    for (entries, problem) in [
        ("unknown", "is not an address"),
        ("127.0.0.1", "names only its own machine"),
        ("127.0.0.1, ::ffff:127.0.0.1", "names only its own machine"),
    ] {
        let (server, log) = Binary::with_log(&["--trusted-proxy=127.0.0.1", "--max-connections-per-address=1"]);
        for _ in 0..3 {
            let status = server.handshake_status("/live?page=a", &[("x-forwarded-for", entries)]).await;
            assert_eq!(status, 101, "{entries}");
        }
        let text = log.text();
        let told: Vec<_> = text.lines().filter(|line| line.contains(problem)).collect();
        assert!(matches!(told[..], [one] if one.contains("no limit per address applies")), "{entries}: {text}");
    }
}

#[tokio::test]
async fn a_counter_finds_pages_by_prefix_in_any_spelling() {
    let server = TestServer::start().await;
    let _viewer = server.connect("/live?page=example.org%2Fcaf%C3%A9%2Fmenu", &[]).await.unwrap();
    server.expect_counted("example.org", "example.org/caf%C3%A9/menu", 1).await;
    for prefix in ["example.org/caf%C3%A9/", "example.org/caf%25C3%25A9/", "EXAMPLE.org/caf%c3%a9"] {
        let found = server.get_json(&format!("/parties/counter/example.org?prefix={prefix}")).await;
        assert_eq!(found["pages"], json!({ "example.org/caf%C3%A9/menu": 1 }), "{prefix}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_named_pipe_in_the_assets_folder_is_404() {
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let pipe = folder.path().join("pipe.html");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("this test needs the program mkfifo").success());
    let assets = format!("--assets={}", folder.path().display());
    let mut server = Binary::start(data.path(), &[&assets]);
    let answered = tokio::time::timeout(Duration::from_secs(5), server.get("/pipe.html")).await;
    assert_eq!(answered.expect("it is answered").0, 404);
    server.signal("TERM");
    assert!(server.exit().await.success());
}

/// The flags that a page of the manual names, in the form `--flag value` in a code span.
fn flags_of(page: &str) -> Vec<&str> {
    let spans = page.split('`').skip(1).step_by(2);
    spans.filter(|code| code.starts_with("--") && code.contains(' ')).flat_map(|code| code.split(' ')).collect()
}

#[tokio::test]
async fn cloudflares_headers_are_understood() {
    let page = include_str!("../docs/proxies/cloudflare.md");
    let flags = flags_of(page);
    assert_eq!(flags, ["--client-ip-header", "CF-Connecting-IP", "--trusted-proxy", "127.0.0.1"]);
    let args = [&flags[..], &["--max-connections-per-address=1", "--site=example.org"]].concat();
    let server = TestServer::with(&args).await;
    // The headers of Cloudflare, followed by those of the operator's own proxy.
    let handshake = async |reader: &str| {
        let headers = [
            ("origin", "https://example.org"),
            ("accept-encoding", "gzip, br"),
            ("cf-connecting-ip", reader),
            ("cf-ipcountry", "XX"),
            ("cf-ray", "8e0000000000abcd-TXL"),
            ("cf-visitor", "{\"scheme\":\"https\"}"),
            ("cdn-loop", "cloudflare; loops=1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-for", &format!("{reader}, 172.71.0.9")),
        ];
        server.connect("/live?page=example.org%2Fa", &headers).await
    };
    let mut viewers = Vec::new();
    for reader in ["203.0.113.7", "203.0.113.8", "2001:db8:1:2::1", "2001:db8:1:3::1"] {
        viewers.push(handshake(reader).await.unwrap());
    }
    server.expect_counted("example.org", "example.org/a", 4).await;
    for reader in ["203.0.113.7", "2001:db8:1:2::9"] {
        let refused = handshake(reader).await.err().unwrap();
        assert!(refused.to_string().contains("429"), "each reader has an allowance of their own: {refused}");
    }
    // Cloudflare closes connections that are silent for this long.
    const SILENCE: Duration = Duration::from_secs(100);
    let interval = server.settings().config.limits.ping_interval;
    assert!(page.contains("silent for 100 s") && page.contains("pings every 25 s"));
    assert!(interval == Duration::from_secs(25) && interval < SILENCE);
}

#[tokio::test]
async fn the_flags_on_the_traefik_page_tell_readers_apart() {
    let flags = flags_of(include_str!("../docs/proxies/traefik.md"));
    assert_eq!(flags, ["--trusted-proxy", "172.18.0.0/16"]);
    let server =
        TestServer::with(&[&flags[..], &["--trusted-proxy=127.0.0.1", "--max-connections-per-address=1"]].concat())
            .await;
    let handshake = async |hops: &str| server.connect("/live?page=a", &[("x-forwarded-for", hops)]).await;
    let _anna = handshake("203.0.113.7, 172.18.0.5").await.unwrap();
    let _ben = handshake("203.0.113.8, 172.18.0.5").await.unwrap();
    assert!(handshake("203.0.113.7, 172.18.0.6").await.is_err(), "it is the same reader through another proxy");
}
