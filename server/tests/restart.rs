//! What survives a restart, a crash and a damaged disk, and what must not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use std::{
    fs,
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};
use support::{Binary, Client, TestServer, wait_until};

/// Viewers that do not read cannot answer a close frame. The stopping server need not wait for them.
const IMPATIENT: &[&str] = &["--shutdown-timeout-ms", "100"];

/// What the counter knows of a page.
async fn detail(server: &Client, page: &str) -> Value {
    server.get_json("/parties/counter/all-pages?detail").await["pages"][page].clone()
}

#[tokio::test]
async fn links_are_kept_after_a_restart_and_counts_are_not() {
    let mut server = TestServer::with(IMPATIENT).await;
    let _ben = server.viewer("b").await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b", "c"]).await;
    anna.expect_viewers("b", 1).await;
    server.restart().await;
    assert_eq!(
        server.get_json("/parties/page/a").await,
        // Links to pages that had viewers are stored. Others could be made up by anyone.
        json!({ "id": "a", "viewers": 0, "connections": { "b": 0 } })
    );
}

#[tokio::test]
async fn the_highest_count_is_kept_after_a_restart() {
    let mut server = TestServer::with(IMPATIENT).await;
    let _one = server.viewer("a").await;
    let _two = server.viewer("a").await;
    server.expect_counted("all-pages", "a", 2).await;
    let before = detail(&server, "a").await;
    server.restart().await;
    let mut expected = before.clone();
    expected["viewers"] = json!(0);
    assert_eq!(detail(&server, "a").await, expected);
    let _three = server.viewer("a").await;
    wait_until("the detail is up to date", async || detail(&server, "a").await["viewers"] == 1).await;
    let after = detail(&server, "a").await;
    assert_eq!((&after["peak"], &after["peakAtMs"]), (&json!(2), &before["peakAtMs"]));
    assert!(after["lastActivityMs"].as_u64() > before["lastActivityMs"].as_u64(), "{after}");
}

#[tokio::test]
async fn viewers_can_subscribe_again_after_a_restart() {
    let mut server = TestServer::with(IMPATIENT).await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b"]).await;
    anna.expect_viewers("b", 0).await;
    server.restart().await;
    // The widget does the same: it connects and subscribes again.
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b"]).await;
    anna.expect_viewers("b", 0).await;
    let _ben = server.viewer("b").await;
    anna.expect_viewers("b", 1).await;
}

#[tokio::test]
async fn forgotten_links_do_not_come_back_after_a_restart() {
    let mut server = TestServer::with(&["--cleanup-interval-ms", "50"]).await;
    let links = async |server: &Client| server.get_json("/parties/page/a").await["connections"].clone();
    let mut anna = server.viewer("a").await;
    let (_ben, _cleo) = (server.viewer("b").await, server.viewer("c").await);
    anna.subscribe(&["b", "c"]).await;
    anna.expect_viewers("b", 1).await;
    anna.expect_viewers("c", 1).await;
    anna.unsubscribe(&["b"]).await;
    wait_until("b is forgotten", async || links(&server).await == json!({ "c": 1 })).await;
    anna.close().await;
    server.restart().await;
    assert!(links(&server).await["b"].is_null());
}

#[tokio::test]
async fn data_on_disk_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Binary::start(&data, &[]);
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b", "c"]).await;
    let _ben = server.viewer("b").await;
    anna.expect_viewers("b", 1).await;
    // It takes half a second, and longer on a busy machine.
    wait_until("all is on disk", async || ["page:b", "link:b"].iter().all(|key| holds(&data, key))).await;
    server.kill();
    let server = Binary::start(&data, &[]);
    assert_eq!(server.get_json("/parties/page/a").await["connections"], json!({ "b": 0 }));
    assert_eq!(detail(&server, "b").await["peak"], 1);
    assert!(!aside(&data).exists());
}

/// Whether any file of the database holds this text.
fn holds(data: &Path, text: &str) -> bool {
    files(data).iter().any(|file| written(file).windows(text.len()).any(|window| window == text.as_bytes()))
}

/// The content of a file. The journal has 64 MiB from the start, and is nearly empty.
fn written(file: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Files appear and disappear while a server runs.
    if let Ok(file) = fs::File::open(file) {
        file.take(64 * 1024).read_to_end(&mut bytes).unwrap();
    }
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(end);
    bytes
}

/// Every file in a folder and below, always in the same order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map_while(Result::ok) {
        if entry.path().is_dir() { found.extend(files(&entry.path())) } else { found.push(entry.path()) }
    }
    found.sort();
    found
}

/// The folder to which a damaged database is moved.
fn aside(data: &Path) -> PathBuf {
    data.join("db.bad-1")
}

/// A stopped server that has stored something.
async fn stopped_server() -> TestServer {
    let mut server = TestServer::with(IMPATIENT).await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["a", "c"]).await;
    anna.expect_viewers("a", 1).await;
    server.expect_counted("all-pages", "a", 1).await;
    server.stop().await;
    server
}

/// Checks that the server starts, counts, and stores again.
async fn expect_works(server: &mut TestServer) {
    server.run().await;
    let mut anna = server.viewer("a").await;
    let _dora = server.viewer("d").await;
    anna.subscribe(&["d"]).await;
    anna.expect_viewers("d", 1).await;
    server.restart().await;
    assert_eq!(server.get_json("/parties/page/a").await["connections"]["d"], 0);
}

#[tokio::test]
async fn a_database_of_empty_files_is_moved_aside() {
    let mut server = stopped_server().await;
    let data = server.database();
    for file in files(&data) {
        fs::write(file, "").unwrap();
    }
    expect_works(&mut server).await;
    assert!(aside(&data).exists(), "the damaged database is kept");
}

#[tokio::test]
async fn a_database_of_garbage_is_moved_aside_each_time() {
    let mut server = stopped_server().await;
    let data = server.database();
    for file in files(&data) {
        fs::write(file, "garbage".repeat(1000)).unwrap();
    }
    fs::write(data.join("db/what-is-this"), "garbage").unwrap();
    expect_works(&mut server).await;
    // The second time, the first name is in use.
    server.stop().await;
    for file in files(&data) {
        fs::write(file, "garbage").unwrap();
    }
    expect_works(&mut server).await;
    assert!(data.join("db.bad-2").exists());
}

#[tokio::test]
async fn other_files_in_the_data_folder_are_kept() {
    let mut server = stopped_server().await;
    let data = server.database();
    fs::remove_dir_all(&data).unwrap();
    fs::create_dir(&data).unwrap();
    fs::write(data.join("thesis.tex"), "years of work").unwrap();
    expect_works(&mut server).await;
    assert!(data.join("thesis.tex").exists() && !aside(&data).exists(), "{:?}", files(&data));
}

#[tokio::test]
async fn flipped_bits_in_the_database_do_not_stop_the_start() {
    for seed in 0..4 {
        let mut server = stopped_server().await;
        let mut random = fastrand::Rng::with_seed(seed);
        for file in files(&server.database()) {
            let bytes = written(&file);
            if !bytes.is_empty() {
                let at = random.usize(..bytes.len());
                let mut file = fs::OpenOptions::new().write(true).open(file).unwrap();
                file.seek(SeekFrom::Start(at as u64)).unwrap();
                file.write_all(&[bytes[at] ^ 1 << random.u8(..8)]).unwrap();
            }
        }
        expect_works(&mut server).await;
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_start_with_too_few_open_files_damages_no_data() {
    let mut server = stopped_server().await;
    let data = server.database();
    // The database cannot be opened with so few files. It fails at a different point each time.
    for files in 10..=13 {
        let program = Binary::command(&data, &[]);
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -n {files}; exec \"$@\""), "sh"]).arg(program.get_program());
        let output = limited.args(program.get_args()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains("Too many open files"), "{files}: {said}");
    }
    assert!(!aside(&data).exists());
    server.run().await;
    assert_eq!(server.get_json("/parties/page/a").await["connections"], json!({ "a": 0 }));
}

#[tokio::test]
async fn a_second_server_on_the_same_data_folder_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let first = Binary::start(&data, &[]);
    let mut anna = first.viewer("a").await;
    anna.subscribe(&["b"]).await;
    anna.expect_viewers("b", 0).await;
    let second = Binary::command(&data, &[]).output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("another server uses") && said.contains("--data"), "{said}");
    assert!(!aside(&data).exists());
    // The first server has lost nothing, and goes on.
    let _ben = first.viewer("b").await;
    anna.expect_viewers("b", 1).await;
    wait_until("its writes arrive", async || holds(&data, "page:b")).await;
}

#[tokio::test]
async fn an_unusable_data_folder_stops_the_start_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    for data in [file.clone(), file.join("below")] {
        let output = Binary::command(&data, &[]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(data.to_str().unwrap()) && said.contains("--data"), "{said}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "not a folder");
}

#[tokio::test]
async fn a_missing_data_folder_is_created() {
    let folder = tempfile::tempdir().unwrap();
    let server = Binary::start(&folder.path().join("not/there/yet"), &[]);
    tokio::time::timeout(Duration::from_secs(5), server.expect_health()).await.unwrap();
}
