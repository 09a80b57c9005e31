//! Malformed input is answered or its connection is closed. It never does harm.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use support::{Client, TestServer, answer};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_tungstenite::tungstenite::Message;

/// A valid handshake, without its end.
const HANDSHAKE: &str = "GET /parties/page/a HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The statuses of some `GET` requests.
async fn statuses<const N: usize>(server: &Client, paths: [&str; N]) -> [u16; N] {
    let mut statuses = [0; N];
    for (status, path) in statuses.iter_mut().zip(paths) {
        *status = server.get(path).await.0;
    }
    statuses
}

/// The status of the answer to these bytes. 0 if the server closes without an answer.
async fn status_of(server: &Client, bytes: impl AsRef<[u8]>) -> u16 {
    server.raw(bytes.as_ref()).await.map_or(0, |answer| answer.status)
}

#[tokio::test]
async fn unknown_parties_are_404() {
    let server = TestServer::start().await;
    let found = statuses(&server, ["/parties/nothing/a", "/parties/Page/a", "/parties/p%61ge/a", "/parties//a"]).await;
    assert_eq!(found, [404; 4]);
    assert_eq!(server.handshake_status("/parties/nothing/a", &[]).await, 404);
    let (_, sentence) = server.get("/parties/nothing/a").await;
    assert!(sentence.contains("\"nothing\""), "{sentence}");
    server.expect_health().await;
}

#[tokio::test]
async fn paths_without_a_room_are_404() {
    let server = TestServer::start().await;
    let paths = ["/parties/page/", "/parties/page", "/parties/counter//", "/parties/", "/parties", "/party/", "/party"];
    assert_eq!(statuses(&server, paths).await, [404; 7]);
    assert_eq!(server.handshake_status("/parties/page/", &[]).await, 404);
}

#[tokio::test]
async fn bad_room_ids_are_400() {
    let server = TestServer::start().await;
    let too_long = format!("/parties/page/{}", "x".repeat(513));
    let paths = [
        // Bytes that are not UTF-8, and half a character.
        "/parties/page/%FF",
        "/parties/page/a%C0%AFb",
        "/parties/page/%E2%82",
        // Control characters: NUL, newline, delete, and one beyond ASCII.
        "/parties/page/a%00b",
        "/parties/page/a%0Ab",
        "/parties/page/a%7F",
        "/parties/page/a%C2%85",
        // Ids that are empty once they are normalized.
        "/parties/page/..",
        "/parties/page/%2E%2E",
        "/parties/page/.",
        // Ids without a host before the first slash.
        "/parties/page/%2Fa",
        "/parties/page/a%20b%2Fc",
        "/parties/page/example.org%3A99999%2Fa",
        "/parties/counter/example.org%2Fa",
        "/parties/counter/a%20b",
        &too_long,
    ];
    let found = statuses(&server, paths).await;
    let wrong: Vec<_> = paths.iter().zip(found).filter(|(_, status)| *status != 400).collect();
    assert_eq!(wrong, []);
    assert_eq!(server.handshake_status("/parties/page/%FF", &[]).await, 400);
    server.expect_health().await;
}

#[tokio::test]
async fn a_room_id_of_512_bytes_is_accepted() {
    let server = TestServer::start().await;
    let longest = "x".repeat(512);
    let encoded = "%78".repeat(512);
    assert_eq!(server.get_json(&format!("/parties/page/{encoded}")).await["id"], longest);
    let _there = server.viewer(&longest).await;
    server.expect_counted("all-pages", &longest, 1).await;
}

#[tokio::test]
async fn a_percent_sign_that_encodes_nothing_stays_a_percent_sign() {
    let server = TestServer::start().await;
    for (room, id) in [("100%25", "100%"), ("100%", "100%"), ("%2541", "%41"), ("%zz", "%zz")] {
        assert_eq!(server.get_json(&format!("/parties/page/{room}")).await["id"], id, "{room}");
    }
}

#[tokio::test]
async fn a_path_below_a_room_reaches_that_room() {
    let server = TestServer::start().await;
    let _there = server.viewer("a?query#x").await;
    server.expect_counted("all-pages", "a", 1).await;
    assert_eq!(server.get_json("/parties/counter/all-pages/some/sub%20path").await["pages"]["a"], 1);
    assert_eq!(server.get_json("/parties/counter/all-pages//").await["pages"]["a"], 1);
    // Node omits a `?` without a query, and browsers send it.
    assert_eq!(server.get_json("/parties/page/a?").await["viewers"], 1);
}

#[tokio::test]
async fn paths_under_party_go_to_the_party_named_main() {
    let server = TestServer::start().await;
    let (status, sentence) = server.get("/party/a").await;
    assert_eq!(status, 404);
    assert!(sentence.contains("\"main\""), "{sentence}");
}

#[tokio::test]
async fn parties_can_be_served_under_another_prefix() {
    let server = TestServer::with(&["--prefix", "v1/parties"]).await;
    assert_eq!(server.get_json("/v1/parties/page/a").await["id"], "a");
    assert_eq!(server.handshake_status("/v1/parties/page/a", &[]).await, 101);
    assert_eq!(
        statuses(&server, ["/parties/page/a", "/v1/page/a", "/v1/parties", "/v1/partiespage/a"]).await,
        [404; 4]
    );
    for (path, said) in [
        ("/nothing", "parties are at /v1/parties/:party/:room"),
        ("/v1/parties/nothing/a", "check the name after /v1/parties/"),
    ] {
        let sentence = server.get(path).await.1;
        assert!(sentence.ends_with(said), "{path}: {sentence}");
    }
    let astray = HANDSHAKE.replace("/parties/page/a", "/parties/page/a/parties/b");
    let sentence = server.raw(format!("{astray}\r\n").as_bytes()).await.unwrap().text();
    let said = "no party is at /parties/page/a/parties/b; connect to /v1/parties/";
    assert!(sentence.starts_with(said), "{sentence}");
}

#[tokio::test]
async fn invalid_handshakes_are_400() {
    let server = TestServer::start().await;
    assert_eq!(status_of(&server, format!("{HANDSHAKE}\r\n")).await, 101);
    let variants = [
        HANDSHAKE.replace("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
        HANDSHAKE.replace("sec-websocket-version: 13\r\n", ""),
        HANDSHAKE.replace("GET ", "POST "),
        HANDSHAKE.replace("GET ", "HEAD "),
    ];
    let mut wrong = Vec::new();
    for variant in variants {
        let status = status_of(&server, format!("{variant}\r\n")).await;
        wrong.extend((status != 400).then_some((status, variant)));
    }
    assert_eq!(wrong, []);
    assert_eq!(server.get_json("/parties/page/a").await["viewers"], 0);
    server.expect_health().await;
}

#[tokio::test]
async fn other_websocket_versions_get_426_with_the_supported_version() {
    let server = TestServer::start().await;
    for version in ["8", "7", "14", "x"] {
        let handshake = HANDSHAKE.replace("version: 13", &format!("version: {version}"));
        let answer = server.raw(format!("{handshake}\r\n").as_bytes()).await.unwrap();
        let told = (answer.status, answer.header("sec-websocket-version"), answer.header("upgrade"));
        assert_eq!(told, (426, "13", "websocket"), "{version}");
    }
}

#[tokio::test]
async fn requests_with_two_host_headers_are_400() {
    let server = TestServer::start().await;
    for path in ["/healthz", "/", "/live.js", "/docs/embed", "/parties/page/a", "/live?page=a", "/nothing"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n");
        assert_eq!(status_of(&server, request).await, 400, "{path}");
    }
    assert_eq!(status_of(&server, format!("{HANDSHAKE}host: x\r\n\r\n")).await, 400);
}

#[tokio::test]
async fn an_offer_to_upgrade_to_http2_is_ignored() {
    let server = TestServer::start().await;
    // `curl --http2` sends this with a normal request.
    let offer = [("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c"), ("http2-settings", "AAMAAABk")];
    assert_eq!(server.request("GET", "/healthz", &offer, "").await.0, 200);
    assert_eq!(server.request("GET", "/parties/page/a", &offer, "").await.0, 200);
}

#[tokio::test]
async fn the_first_offered_subprotocol_is_chosen() {
    let server = TestServer::start().await;
    let viewer = server.try_viewer("a", &[("sec-websocket-protocol", "chat, superchat")]).await.unwrap();
    assert_eq!(viewer.response.headers()["sec-websocket-protocol"], "chat");
    let viewer = server.viewer("a").await;
    assert!(!viewer.response.headers().contains_key("sec-websocket-protocol"));
}

#[tokio::test]
async fn an_offer_of_websocket_compression_is_declined() {
    let server = TestServer::start().await;
    let offer = [("sec-websocket-extensions", "permessage-deflate; client_max_window_bits")];
    let mut viewer = server.try_viewer("a", &offer).await.unwrap();
    assert!(!viewer.response.headers().contains_key("sec-websocket-extensions"));
    viewer.subscribe(&["b"]).await;
    viewer.expect_viewers("b", 0).await;
}

#[tokio::test]
async fn the_first_malformed_message_gets_an_error_the_second_a_close() {
    let server = TestServer::start().await;
    let long = format!("\"{}\"", "x".repeat(16_000));
    let long_links = format!(r#"{{"type":"subscribe","links":{long}}}"#);
    let short = ["{", "", "null", "[]", "7", r#"{"type":"subscribe"}"#, r#"{"type":"subscribe","links":"b"}"#, "{}"];
    for message in short.into_iter().chain([&*long, &long_links]) {
        let mut anna = server.viewer("a").await;
        anna.send(message).await;
        let sentence = anna.expect_error("bad-message").await;
        assert!(sentence.contains("subscribe"), "{message}: {sentence}");
        let is_plain = sentence.len() < 300 && !sentence.contains("tagged") && !sentence.contains("ViewerMessage");
        assert!(is_plain, "{message}: {sentence}");
        anna.subscribe(&["b"]).await;
        anna.expect_viewers("b", 0).await;
        anna.send(message).await;
        assert_eq!(anna.expect_close_code().await, 1008, "{message}");
    }
    server.expect_health().await;
}

#[tokio::test]
async fn binary_messages_are_treated_as_malformed() {
    let server = TestServer::start().await;
    let mut anna = server.viewer("a").await;
    anna.socket.send(Message::binary(br#"{"type":"subscribe","links":["b"]}"#.to_vec())).await.unwrap();
    anna.expect_error("bad-message").await;
    anna.socket.send(Message::binary(vec![0, 255])).await.unwrap();
    assert_eq!(anna.expect_close_code().await, 1008);
}

#[tokio::test]
async fn deeply_nested_or_very_long_json_does_no_harm() {
    let server = TestServer::start().await;
    for message in ["[".repeat(10_000), r#"{"type":"#.repeat(1_000), format!(r#"{{"type":"{}"}}"#, "x".repeat(10_000))]
    {
        let mut anna = server.viewer("a").await;
        anna.send(message).await;
        anna.subscribe(&["b"]).await;
        anna.expect_viewers("b", 0).await;
    }
}

/// The close code with which the server answers these bytes of a viewer. 0 without a code.
async fn close_code_after(server: &Client, bytes: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(format!("{HANDSHAKE}\r\n").as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await.unwrap().status, 101);
    stream.write_all(bytes).await.unwrap();
    let role = tokio_tungstenite::tungstenite::protocol::Role::Client;
    let mut socket = tokio_tungstenite::WebSocketStream::from_raw_socket(stream, role, None).await;
    let read = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => break u16::from(frame.code),
                Some(Ok(_)) => {}
                _ => break 0,
            }
        }
    };
    tokio::time::timeout(support::DEADLINE, read).await.expect("the connection was not closed")
}

#[tokio::test]
async fn invalid_frames_close_the_connection_with_1002_or_1007() {
    let server = TestServer::start().await;
    let long_ping = [&[0x89, 0xFE, 0, 126, 0, 0, 0, 0], [b'x'; 126].as_slice()].concat();
    let frames: [(&str, &[u8]); 10] = [
        ("not masked", &[0x81, 2, b'{', b'}']),
        ("not UTF-8", &[0x81, 0x82, 0, 0, 0, 0, 0xFF, 0xFE]),
        ("reserved bits", &[0xF1, 0x80, 0, 0, 0, 0]),
        ("an unknown kind", &[0x83, 0x80, 0, 0, 0, 0]),
        ("a continuation of nothing", &[0x80, 0x80, 0, 0, 0, 0]),
        ("a ping in parts", &[0x09, 0x80, 0, 0, 0, 0]),
        ("a close with half a code", &[0x88, 0x81, 0, 0, 0, 0, 3]),
        ("a long ping", &long_ping),
        ("a ping of 1 GiB", &[0x89, 0xFF, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0]),
        ("a close of 64 KB", &[0x88, 0xFE, 0xFF, 0xFF, 0, 0, 0, 0]),
    ];
    for (what, bytes) in frames {
        let expected = if what == "not UTF-8" { 1007 } else { 1002 };
        assert_eq!(close_code_after(&server, bytes).await, expected, "{what}");
        wait_for_no_viewers(&server, what).await;
    }
    server.expect_health().await;
}

async fn wait_for_no_viewers(server: &Client, what: &str) {
    support::wait_until(&format!("{what} is counted out"), async || {
        server.get_json("/parties/page/a").await["viewers"] == 0
    })
    .await;
}

#[tokio::test]
async fn a_frame_header_that_announces_too_much_closes_the_connection() {
    let server = TestServer::start().await;
    // Frame headers that announce 8 EiB and 1 GiB. Nothing follows.
    let giants: [&[u8]; 2] = [
        &[0x81, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0],
        &[0x82, 0xFF, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0],
    ];
    for giant in giants {
        assert_eq!(close_code_after(&server, giant).await, 1009);
    }
    server.expect_health().await;
}

#[tokio::test]
async fn connections_dropped_in_or_after_the_handshake_are_not_counted() {
    let server = TestServer::start().await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b"]).await;
    anna.expect_viewers("b", 0).await;
    for cut in [10, HANDSHAKE.len(), HANDSHAKE.len() + 2] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let handshake = format!("{}\r\n", HANDSHAKE.replace("/page/a", "/page/b"));
        stream.write_all(&handshake.as_bytes()[..cut]).await.unwrap();
        drop(stream);
    }
    server.expect_counted("all-pages", "b", 0).await;
    let _ben = server.viewer("b").await;
    anna.expect_viewers("b", 1).await;
}

#[tokio::test]
async fn random_bytes_and_other_protocols_do_not_harm_the_server() {
    let server = TestServer::with(&["--header-timeout-ms=200"]).await;
    let mut random = fastrand::Rng::with_seed(1);
    let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(10_000).collect();
    let tls_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let garbage: [&[u8]; 8] = [
        &noise,
        tls_hello,
        b"\r\n\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n broken\x00: x\r\n\r\n",
        b"",
    ];
    for bytes in garbage {
        let status = status_of(&server, bytes).await;
        assert!(status == 0 || (400..600).contains(&status), "{status} to {:?}", String::from_utf8_lossy(bytes));
        server.expect_health().await;
    }
}

#[tokio::test]
async fn requests_with_ambiguous_lengths_are_400() {
    let server = TestServer::start().await;
    // Requests with two lengths, or with a length and chunks, can be smuggled past proxies.
    let head = "POST /parties/page/a HTTP/1.1\r\nhost: x\r\n";
    let two_lengths = format!("{head}content-length: 3\r\ncontent-length: 4\r\n\r\nabcd");
    assert_eq!(status_of(&server, two_lengths).await, 400);
    let signed = format!("{head}content-length: +3\r\n\r\nabc");
    assert_eq!(status_of(&server, signed).await, 400);
    let odd_chunks = format!("{head}transfer-encoding: chunked, x\r\n\r\n0\r\n\r\n");
    assert_eq!(status_of(&server, odd_chunks).await, 400);
    server.expect_health().await;
}

#[tokio::test]
async fn malformed_or_broken_bodies_are_400() {
    let server = TestServer::with(&["--party-token=secret"]).await;
    let head = "POST /parties/counter/all-pages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret\r\n";
    for chunks in
        ["zz\r\nhello\r\n0\r\n\r\n", "5\r\nhello, world\r\n0\r\n\r\n", "-1\r\n", "ffffffffffffffffff\r\nhello"]
    {
        let request = format!("{head}transfer-encoding: chunked\r\n\r\n{chunks}");
        let answer = server.raw(request.as_bytes()).await.unwrap();
        assert!(answer.status == 400 && answer.text().contains("malformed"), "{chunks:?}: {}", answer.status);
    }
    for body in ["content-length: 9\r\n\r\nhalf", "transfer-encoding: chunked\r\n\r\n9\r\nhalf"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(answer(&mut stream).await.map_or(0, |answer| answer.status), 400, "{body:?}");
    }
    server.expect_health().await;
}

#[tokio::test]
async fn long_headers_are_refused() {
    let server = TestServer::start().await;
    let long = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(40_000));
    assert_eq!(status_of(&server, long).await, 431);
    let many = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(200));
    assert_eq!(status_of(&server, many).await, 431);
    let long_path = format!("GET /parties/page/{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(70_000));
    assert!([400, 414, 431].contains(&status_of(&server, long_path).await));
    server.expect_health().await;
}

#[tokio::test]
async fn a_connection_that_sends_headers_too_slowly_is_closed() {
    let server = TestServer::with(&["--header-timeout-ms=300"]).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // It sends a byte every 50 ms. The time limit is for the whole headers.
    let drip = async {
        loop {
            if stream.write_all(b"G").await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(support::DEADLINE, drip).await.expect("the server reads for ever");
    server.expect_health().await;
}

#[tokio::test]
async fn wrong_methods_are_refused() {
    let server = TestServer::with(&["--party-token=secret", "--badges"]).await;
    let token = [("authorization", "Bearer secret")];
    for path in ["/parties/page/a", "/parties/counter/all-pages"] {
        for method in ["PUT", "PATCH", "DELETE", "TRACE", "NONSENSE"] {
            assert_eq!(server.request(method, path, &[], "").await.0, 403, "{method} {path}");
            let answer = server.exchange(method, path, &token, "").await;
            assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD, POST, OPTIONS"), "{method} {path}");
        }
    }
    let reading = ["/", "/pages/a", "/live.js", "/favicon.ico", "/docs", "/docs/embed"].map(|path| (path, "GET, HEAD"));
    // Load balancers may use OPTIONS for these.
    let health = ["/healthz", "/readyz", "/badge/a.svg"].map(|path| (path, "GET, HEAD, OPTIONS"));
    for (path, allowed) in [&reading[..], &health].concat() {
        for method in ["POST", "PUT", "DELETE", "TRACE"] {
            let answer = server.exchange(method, path, &[], "").await;
            assert_eq!((answer.status, answer.header("allow")), (405, allowed), "{method} {path}");
        }
    }
    assert_eq!(server.request("OPTIONS", "/readyz", &[], "").await.0, 200);
    assert_eq!(server.request("POST", "/nothing", &[], "").await.0, 404);
    assert_eq!(status_of(&server, "CONNECT example.org:443 HTTP/1.1\r\nhost: x\r\n\r\n").await, 404);
    server.expect_health().await;
}

#[tokio::test]
async fn websockets_to_a_counter_are_refused() {
    let server = TestServer::start().await;
    assert_eq!(server.handshake_status("/parties/counter/all-pages", &[]).await, 403);
}

#[tokio::test]
async fn a_request_line_with_a_whole_url_is_understood() {
    let server = TestServer::start().await;
    // Some proxies send it in this form.
    let request = "GET http://example.org/parties/page/a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert_eq!(server.raw(request.as_bytes()).await.unwrap().json()["id"], "a");
}

#[tokio::test]
async fn connections_with_unusual_ids_are_accepted_and_counted() {
    let server = TestServer::start().await;
    let long = "x".repeat(4000);
    let mut viewers = Vec::new();
    for id in ["", "%00", "%FF", "a&_pk=b", "%3Cscript%3E", &long] {
        viewers.push(server.viewer(&format!("a?_pk={id}")).await);
    }
    server.expect_counted("all-pages", "a", 6).await;
}
