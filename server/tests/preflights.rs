//! Pages of another origin use a party whose gatekeeper wants a token. Browsers send a preflight first.

#![allow(clippy::unwrap_used, reason = "a failing test may panic")]

mod support;

use connection_counter::{
    Server,
    party::{Lobby, Party, Request, Response, Result, Room, http::StatusCode, json, text},
};
use support::{Answer, TestServer};

const ORIGIN: &str = "https://app.example.org";

/// A party that wants a token, and does not handle preflights.
#[derive(Default)]
struct Guarded;

impl Party for Guarded {
    async fn on_before_request(request: Request, _: &Lobby) -> Result<Request, Response> {
        let sent = request.headers().get("authorization").is_some_and(|token| token == "Bearer letmein");
        if sent { Ok(request) } else { Err(text(StatusCode::UNAUTHORIZED, "a token, please")) }
    }

    async fn on_request(&mut self, _: &mut Room, _: Request) -> Result<Response> {
        json(&"welcome")
    }
}

fn guarded() -> Server {
    Server::builder().party::<Guarded>("guarded")
}

async fn ask(server: &TestServer, origin: &str, token: &str) -> Answer {
    server.exchange("PUT", "/parties/guarded/a", &[("origin", origin), ("authorization", token)], "").await
}

async fn preflight(server: &TestServer, origin: &str) -> Answer {
    let asked = [
        ("origin", origin),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "authorization,content-type"),
    ];
    server.exchange("OPTIONS", "/parties/guarded/a", &asked, "").await
}

#[tokio::test]
async fn by_default_pages_of_any_origin_can_send_requests_and_read_answers() {
    let server = TestServer::of(guarded, &[]).await;
    let leave = preflight(&server, ORIGIN).await;
    assert_eq!((leave.status, leave.header("access-control-allow-origin")), (204, "*"));
    assert_eq!(leave.header("access-control-allow-methods"), "PUT");
    assert_eq!(leave.header("access-control-allow-headers"), "authorization,content-type");
    for (token, status) in [("Bearer letmein", 200), ("Bearer wrong", 401)] {
        let answer = ask(&server, ORIGIN, token).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (status, "*"), "{token}");
    }
}

#[tokio::test]
async fn with_cors_origin_only_pages_of_those_origins_can_read_answers() {
    let server = TestServer::of(guarded, &["--cors-origin", ORIGIN, "--cors-origin=https://other.example.org"]).await;
    let leave = preflight(&server, ORIGIN).await;
    assert_eq!((leave.status, leave.header("access-control-allow-origin")), (204, ORIGIN));
    assert_eq!(ask(&server, ORIGIN, "Bearer letmein").await.header("access-control-allow-origin"), ORIGIN);
    let stranger = "https://evil.example";
    let refused = preflight(&server, stranger).await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (403, ""));
    // Even with a token, browsers do not give the answer to this page.
    let answer = ask(&server, stranger, "Bearer letmein").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, ""));
}
