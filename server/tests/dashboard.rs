//! The operator's page, with the real program.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use support::{Binary, wait_until};

#[tokio::test]
async fn the_dashboard_shows_counts_and_refused_sites() {
    let folder = tempfile::tempdir().unwrap();
    let (server, admin) = Binary::with_admin(folder.path(), &["--site=example.org"]).await;
    let origin = [("origin", "https://example.org")];
    let _anna = server.try_viewer("example.org%2Fa%3Fid%3D1", &origin).await.unwrap();
    let _ben = server.try_viewer("example.org%2Fa%3Fid%3D1", &origin).await.unwrap();
    let mut refused = server.try_viewer("a", &[("origin", "https://evil.example")]).await.unwrap();
    refused.expect_end().await;
    let page = async || admin.get("/").await.1;
    wait_until("the page shows two viewers", async || page().await.contains("data-count=\"example.org/a?id=1\">2<"))
        .await;
    let html = page().await;
    for part in [
        "<b data-count=\"site:*\">2</b> viewers now",
        "<bdi>https://evil.example</bdi><td>1<td><code>--site evil.example</code>",
        "WebSockets<td>2",
        "Storage<td>takes writes",
    ] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
    let answer = admin.exchange("GET", "/", &[], "").await;
    assert!(answer.header("content-security-policy").starts_with("default-src 'none'; "));
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn dashboard_numbers_are_live() {
    let folder = tempfile::tempdir().unwrap();
    let (server, admin) = Binary::with_admin(folder.path(), &[]).await;
    let mut screen = admin.connect("/live", &[]).await.unwrap();
    let anna = server.viewer("example.org%2Fa").await;
    screen.expect_viewers("site:*", 1).await;
    screen.expect_viewers("example.org/a", 1).await;
    anna.close().await;
    screen.expect_viewers("example.org/a", 0).await;
    screen.expect_viewers("site:example.org", 0).await;
}

#[tokio::test]
async fn only_the_operator_can_open_the_dashboard() {
    let folder = tempfile::tempdir().unwrap();
    let (server, admin) = Binary::with_admin(folder.path(), &["--admin-token=secret"]).await;
    assert_eq!(admin.get("/").await.0, 401);
    assert_eq!(admin.handshake_status("/live", &[]).await, 401);
    // `operator:secret`, as a browser sends it.
    let typed = [("authorization", "Basic b3BlcmF0b3I6c2VjcmV0")];
    assert_eq!(admin.exchange("GET", "/", &typed, "").await.status, 200);
    let foreign = [("authorization", "Basic b3BlcmF0b3I6c2VjcmV0"), ("origin", "http://evil.example")];
    assert_eq!(admin.handshake_status("/live", &foreign).await, 403);
    // The public address does not serve it.
    for path in ["/parties/dashboard/operator", "/parties/dashboard/x", "/dashboard.js"] {
        assert_eq!(server.get(path).await.0, 404, "{path}");
    }
    assert_eq!(server.handshake_status("/parties/dashboard/operator", &[]).await, 404);
}

#[tokio::test]
async fn hostile_page_names_are_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let (server, admin) = Binary::with_admin(folder.path(), &[]).await;
    let _anna = server.viewer("%3Cscript%3Ealert(1)").await;
    let _ben = server.viewer("a%E2%80%AEgpj").await;
    wait_until("both are shown", async || {
        let html = admin.get("/").await.1;
        assert!(!html.contains("<script>") && !html.contains('\u{202e}'), "{html}");
        html.contains("&lt;script&gt;") && html.contains("a[U+202E]gpj")
    })
    .await;
}
