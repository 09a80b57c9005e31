//! Several servers that count together, through a real NATS server.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]
#![cfg(feature = "cluster")]

mod support;

use std::{fs, process::Command};

use support::{
    Binary, Client,
    nats::{Nats, Node, SECRET, expect_everywhere},
    wait_until,
};

const CAME: &str = "a node of the cluster is heard";
const STOPPED: &str = "a node of the cluster has stopped";
const SILENT: &str = "a node of the cluster has not answered";

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_show_the_same_count() {
    let nats = Nats::start().await;
    let (one, two) = (nats.node().await, nats.node().await);
    let mut reader = two.viewer("example.org/home").await;
    reader.subscribe(&["example.org/a"]).await;
    reader.expect_viewers("example.org/a", 0).await;
    let here = one.viewer("example.org/a").await;
    reader.expect_viewers("example.org/a", 1).await;
    let there = two.viewer("example.org/a").await;
    reader.expect_viewers("example.org/a", 2).await;
    // The last node to join knows every page by name.
    let three = nats.node().await;
    for node in [&one, &two, &three] {
        node.expect_counted("example.org", "example.org/a", 2).await;
        node.expect_counted("example.org", "example.org/home", 1).await;
    }
    let only_here = one.get_json("/parties/counter/example.org?here").await;
    assert_eq!(only_here["pages"]["example.org/a"], 1, "{only_here}");
    for (query, viewers) in [("page=example.org%2Fa", 2), ("page=example.org%2Fa&here", 1)] {
        let page = one.get_json(&format!("/parties/counter/example.org?{query}")).await;
        assert_eq!(page["viewers"], viewers, "{query}: {page}");
    }
    for node in [&one, &three] {
        let detail = node.get_json("/parties/counter/example.org?detail").await;
        assert_eq!(detail["pages"]["example.org/a"]["peak"], 2, "{detail}");
    }
    assert_eq!(three.viewers("example.org/a").await, 2);
    here.close().await;
    there.close().await;
    reader.expect_viewers("example.org/a", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_of_a_stopped_or_killed_node_are_not_counted() {
    let nats = Nats::start().await;
    let (stays, mut stops, dies) = (nats.node().await, nats.node().await, nats.node().await);
    let _viewers = (stops.viewer("example.org/a").await, dies.viewer("example.org/a").await);
    expect_everywhere(&[&stays, &stops, &dies], "example.org/a", 2).await;
    // The nodes know each other already, so this is sent as a change, not as part of a refresh.
    let _own = stays.viewer("example.org/a").await;
    expect_everywhere(&[&stays, &stops, &dies], "example.org/a", 3).await;
    let (_, metrics) = stays.admin.get("/metrics").await;
    let of_peers = |name: &str| -> Vec<f64> {
        let lines = metrics.lines().filter_map(|line| line.strip_prefix(name)?.split_once("\"} "));
        lines.map(|(_, value)| value.parse().unwrap()).collect()
    };
    assert_eq!(of_peers("connectioncounter_cluster_peer_pages{node=\""), [1.0, 1.0], "{metrics}");
    let silence = of_peers("connectioncounter_cluster_peer_silence_seconds{node=\"");
    assert!(silence.len() == 2 && silence.iter().all(|seconds| *seconds < 5.0), "{metrics}");
    assert!(stays.metric("connectioncounter_cluster_refreshes_asked_total").await >= 1.0, "{metrics}");
    assert!(stays.metric("connectioncounter_cluster_changes_told_total").await >= 1.0, "{metrics}");
    assert_eq!([CAME, STOPPED, SILENT].map(|line| stays.logged(line)), [2, 0, 0], "{}", stays.log());
    stops.signal("TERM");
    expect_everywhere(&[&stays, &dies], "example.org/a", 2).await;
    assert!(stops.server.exit().await.success());
    stays.expect_peers(1).await;
    dies.server.kill();
    expect_everywhere(&[&stays], "example.org/a", 1).await;
    stays.expect_peers(0).await;
    assert_eq!([CAME, STOPPED, SILENT].map(|line| stays.logged(line)), [2, 1, 1], "{}", stays.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_count_alone_while_nats_is_down_and_together_when_it_is_back() {
    let mut nats = Nats::start().await;
    let (one, two) = (nats.node().await, nats.node().await);
    let first = one.viewer("example.org/a").await;
    expect_everywhere(&[&one, &two], "example.org/a", 1).await;
    assert_eq!(one.metric("connectioncounter_cluster_connected").await, 1.0);
    nats.kill();
    // The node stays ready.
    wait_until("readiness says what is wrong", async || one.complaints().await.contains("NATS")).await;
    assert_eq!(one.metric("connectioncounter_cluster_connected").await, 0.0);
    assert_eq!(one.metric("connectioncounter_ready").await, 1.0);
    let _more = (two.viewer("example.org/a").await, two.viewer("example.org/a").await);
    first.close().await;
    let _own = one.viewer("example.org/b").await;
    one.expect_counted("example.org", "example.org/b", 1).await;
    nats.restart();
    expect_everywhere(&[&one, &two], "example.org/a", 2).await;
    expect_everywhere(&[&one, &two], "example.org/b", 1).await;
    wait_until("readiness no longer gives that reason", async || !one.complaints().await.contains("NATS")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_a_node_with_another_secret_are_refused() {
    let nats = Nats::start().await;
    let (one, two) = (nats.node().await, nats.node().await);
    let stranger = Node::start(&nats.url(""), &["quite another secret"]).await;
    let _viewers = (stranger.viewer("example.org/a").await, two.viewer("example.org/a").await);
    expect_everywhere(&[&one, &two], "example.org/a", 1).await;
    wait_until("the stranger's frames are refused", async || {
        one.metric("connectioncounter_cluster_frames_refused_total{reason=\"forged\"}").await > 5.0
    })
    .await;
    expect_everywhere(&[&one, &two, &stranger], "example.org/a", 1).await;
    one.expect_peers(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_can_be_changed_node_by_node() {
    const NEW: &str = "the new secret of all";
    let nats = Nats::start().await;
    let url = nats.url("");
    // Each step starts a node with the next secrets, while the other node still has the previous ones.
    let mut before = Node::start(&url, &[SECRET]).await;
    let mut viewer = before.viewer("example.org/0").await;
    for (step, secrets) in [&[SECRET, NEW][..], &[NEW, SECRET], &[NEW]].into_iter().enumerate() {
        let after = Node::start(&url, secrets).await;
        let (old_page, new_page) = (format!("example.org/{step}"), format!("example.org/{}", step + 1));
        let own = after.viewer(&new_page).await;
        let _both = [before.viewer("example.org/both").await, after.viewer("example.org/both").await];
        expect_everywhere(&[&before, &after], "example.org/both", 2).await;
        for node in [&before, &after] {
            // The counter knows the page by name.
            node.expect_counted("example.org", &old_page, 1).await;
            node.expect_counted("example.org", &new_page, 1).await;
            node.expect_peers(1).await;
        }
        before.signal("TERM");
        after.expect_peers(0).await;
        drop(viewer);
        (before, viewer) = (after, own);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeating_a_secret_changes_nothing() {
    let nats = Nats::start().await;
    let one = Node::start(&nats.url(""), &[SECRET, SECRET]).await;
    let two = Node::start(&nats.url(""), &[SECRET, "another one that is not used", SECRET]).await;
    let _viewer = one.viewer("example.org/a").await;
    expect_everywhere(&[&one, &two], "example.org/a", 1).await;
    assert_eq!([&one, &two].map(|node| node.logged(CAME)), [1, 1]);
}

/// The highest counts in a node's history, by the minute and by the hour.
async fn highest(node: &Node, query: &str) -> [u64; 2] {
    let (status, answer) = node.get(&format!("/parties/counter/example.org?history{query}")).await;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
    let most = |span: &str| answer[span]["highest"].as_array().into_iter().flatten().filter_map(|n| n.as_u64()).max();
    assert!(status == 200 || status == 404, "{status}: {answer}");
    ["minutes", "hours"].map(|span| most(span).unwrap_or(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn history_covers_all_nodes_and_survives_the_death_of_one() {
    const PAGE: &str = "&page=example.org%2Fa";
    let nats = Nats::start().await;
    let (stays, dies) = (nats.node().await, nats.node().await);
    let own = stays.viewer("example.org/a").await;
    let there =
        [dies.viewer("example.org/a").await, dies.viewer("example.org/a").await, dies.viewer("example.org/b").await];
    for node in [&stays, &dies] {
        wait_until("its history covers all nodes", async || {
            [highest(node, "").await, highest(node, PAGE).await] == [[4, 4], [3, 3]]
        })
        .await;
    }
    dies.server.kill();
    drop(there);
    expect_everywhere(&[&stays], "example.org/a", 1).await;
    drop(own);
    expect_everywhere(&[&stays], "example.org/a", 0).await;
    assert_eq!([highest(&stays, "").await, highest(&stays, PAGE).await], [[4, 4], [3, 3]]);
    let detail = stays.get_json("/parties/counter/example.org?detail").await;
    assert_eq!(
        [&detail["pages"]["example.org/a"]["peak"], &detail["pages"]["example.org/b"]["peak"]],
        [3, 1],
        "{detail}"
    );
    // A node that joins later has no earlier history. It records what happens from now on.
    let comes = nats.node().await;
    let _later = [stays.viewer("example.org/a").await, comes.viewer("example.org/a").await];
    wait_until("a new node has a history", async || highest(&comes, PAGE).await == [2, 2]).await;
}

/// How many messages a reader on `node` receives for a fixed series of visits, and how many bytes are in them.
async fn received(node: &Client) -> [usize; 2] {
    let mut reader = node.viewer("example.org/reader").await;
    reader.subscribe(&["example.org/a"]).await;
    reader.expect_viewers("example.org/a", 0).await;
    for visit in 0..10 {
        let visitor = node.viewer("example.org/a").await;
        reader.expect_viewers("example.org/a", 1).await;
        if visit % 3 == 0 {
            let another = node.viewer("example.org/a").await;
            reader.expect_viewers("example.org/a", 2).await;
            drop(another);
            reader.expect_viewers("example.org/a", 1).await;
        }
        drop(visitor);
        reader.expect_viewers("example.org/a", 0).await;
    }
    // By then, late messages such as repeated counts have arrived.
    reader.expect_silence(std::time::Duration::from_millis(500)).await;
    [reader.updates.len(), reader.updates.iter().map(|update| update.to_string().len()).sum()]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_sends_readers_no_more_messages_than_a_single_server() {
    let folder = tempfile::tempdir().unwrap();
    let single = Binary::start(folder.path(), &[]);
    let alone = received(&single).await;
    let nats = Nats::start().await;
    let (one, two) = (nats.node().await, nats.node().await);
    one.expect_peers(1).await;
    two.expect_peers(1).await;
    assert_eq!(received(&one).await, alone, "messages and bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_users_and_tokens_work_and_are_never_logged() {
    const PASSWORD: &str = "pass/word";
    let by_user = Nats::with(&["--user", "counter", "--pass", PASSWORD]).await;
    let by_token = Nats::with(&["--auth", PASSWORD]).await;
    let debug = ["--log=debug"];
    for url in [by_user.url("counter:pass%2Fword@"), by_token.url("pass%2Fword@")] {
        let one = Node::with(&url, &[SECRET], &debug).await;
        let two = Node::with(&url, &[SECRET], &debug).await;
        let _viewer = one.viewer("example.org/a").await;
        expect_everywhere(&[&one, &two], "example.org/a", 1).await;
        for log in [one.log(), two.log()] {
            assert!(!["pass/word", "pass%2Fword", SECRET].iter().any(|secret| log.contains(secret)), "{log}");
        }
    }
    let refused = Node::start(&by_user.url("counter:wrongword@"), &[SECRET]).await;
    wait_until("the log says why", async || refused.logged("cannot be reached") > 0).await;
    assert_eq!(refused.logged("authorization violation"), 1, "{}", refused.log());
    assert!(refused.complaints().await.contains("NATS"), "{}", refused.complaints().await);
    assert!(!refused.log().contains("wrongword"), "{}", refused.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_reach_a_nats_server_with_tls() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    // openssl accepts a self-signed certificate of a server. rustls needs one that another certificate has signed.
    fs::write(file("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    for arguments in [
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca",
        "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=nats",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile names",
    ] {
        let made = Command::new("openssl").args(arguments.split(' ')).current_dir(folder.path()).output();
        let made = made.expect("this test needs openssl; please install it (on Debian: sudo apt-get install openssl)");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    let nats = Nats::with(&["--tls", "--tlscert", &file("server.pem"), "--tlskey", &file("server.key")]).await;
    let url = format!("tls://{}", nats.address);
    let ca = format!("--cluster-ca={}", file("ca.pem"));
    let one = Node::with(&url, &[SECRET], &[&ca]).await;
    let two = Node::with(&url, &[SECRET], &[&ca]).await;
    let _viewer = one.viewer("example.org/a").await;
    expect_everywhere(&[&one, &two], "example.org/a", 1).await;
    // A node that does not know this certificate authority refuses to connect.
    let wary = Node::start(&url, &[SECRET]).await;
    wait_until("the log says why", async || wary.logged("cannot be reached") > 0).await;
    assert!(wary.complaints().await.contains("NATS"), "{}", wary.complaints().await);
    one.expect_peers(1).await;
    assert_eq!(wary.metric("connectioncounter_cluster_connected").await, 0.0);
}
