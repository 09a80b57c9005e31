//! The program on a terminal: what it says, and what it does when it cannot start.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use std::{
    io::Read,
    net::TcpListener,
    process::{Command, Stdio},
};

use serde_json::Value;
use support::{Binary, DEADLINE, wait_until};

/// Exit code and standard error.
fn outcome(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn set_variables(command: &mut Command, values: &[(&str, &str)]) {
    for (name, value) in values {
        command.env(format!("CONNECTION_COUNTER_{name}"), value);
    }
}

#[test]
fn an_invalid_setting_stops_the_start_with_its_name_and_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for (arg, hints) in [
        ("--site=https://example.org", ["--site https://example.org", "example.org or localhost:3000"]),
        ("--site=“example.org”", ["--site “example.org”", "not a host"]),
        ("--site=a.org=b.org,c.org=b.org", ["b.org leads to two sites", "example.org=www.example.org"]),
        ("--site=a.org=b.org,b.org", ["b.org leads to two sites", "another name"]),
        ("--site=a.org=b.org,b.org=a.org", ["a.org leads to two sites", "another name"]),
        ("--idle-timeout-ms=1000", ["--idle-timeout-ms", "--ping-interval-ms"]),
        ("--party-token=", ["--party-token", "anyone"]),
        ("--prefix=/parties/", ["--prefix", "v1/parties"]),
        ("--max-rooms=0", ["--max-rooms", "give 1 or more"]),
        ("--log=connection_counter=loud", ["--log", "debug"]),
        ("--log=verbose", ["--log", "debug"]),
        ("--assets=/nonexistent", ["--assets /nonexistent", "may read"]),
        ("--handshakes-per-second=0", ["--handshakes-per-second", "give 1 or more"]),
        ("--public-url=live.example.org", ["--public-url", "https://live.example.org"]),
        ("--public-url=https://live.example.org/a\nb", ["--public-url", "https://live.example.org"]),
        ("--public-url=https://", ["--public-url", "https://live.example.org"]),
        ("--public-url=https://a b.example", ["--public-url", "https://live.example.org"]),
        ("--prefix=a b", ["--prefix", "v1/parties"]),
        ("--prefix=a%20b", ["--prefix", "v1/parties"]),
        ("--prefix=a?b", ["--prefix", "v1/parties"]),
        ("--party-token= ", ["--party-token", "give a token"]),
        ("--party-token=a\nb", ["--party-token", "give a token"]),
        ("--admin-token=a b\n", ["--admin-token", "give a token"]),
        ("--admin-token=secret", ["--admin-token", "add --admin"]),
        ("--cluster-secret=0123456789abcdef", ["--cluster", "name the NATS servers"]),
        ("--log=info connection_counter=debug", ["--log", "debug"]),
        ("--client-ip-header=X-Real-IP", ["--client-ip-header", "--trusted-proxy"]),
        ("--site=*.127.0.0.1", ["--site *.127.0.0.1", "not a host"]),
        ("--public-url=https://a.example/live.js", ["--public-url", "without live.js"]),
    ] {
        let (code, said) = outcome(&mut Binary::command(&data, &[arg]));
        assert_eq!(code, Some(1), "{arg}: {said}");
        assert!(hints.iter().all(|hint| said.contains(hint)), "{arg}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    assert!(!data.exists(), "nothing was touched");
}

#[test]
fn a_flag_that_cannot_be_read_is_refused_with_what_to_write() {
    for (arg, hint) in [
        ("--max-connections=100k", "give a whole number such as 1000"),
        ("--max-bytes-per-site=10MB", "give a whole number such as 1000"),
        ("--client-ip-header=X-Real-IP:", "give one, such as X-Real-IP"),
        ("--trusted-proxy=10.0.0.0/8 172.16.0.0/12", "commas between several"),
        ("--cors-origin=https://a.org https://b.org", "commas between several"),
        ("--badges=perhaps", "neither true nor false"),
        ("--trusted-proxy=10.0.0.0/8,", "the comma that is too many"),
        ("--cors-origin=,https://a.org", "the comma that is too many"),
    ] {
        let (code, said) = outcome(&mut Binary::command("none".as_ref(), &[arg]));
        assert_eq!(code, Some(2), "{arg}: {said}");
        assert!(said.contains(hint), "{arg}: {said}");
    }
}

#[test]
fn a_failed_start_is_logged_in_the_format_of_the_log() {
    let (code, said) = outcome(&mut Binary::command("none".as_ref(), &["--log-format=json", "--site=a/b"]));
    assert_eq!(code, Some(1), "{said}");
    let line: Value = serde_json::from_str(&said).unwrap();
    assert!(line["level"] == "ERROR" && said.contains("--site a/b"), "{said}");
}

#[test]
fn the_operator_needs_another_address_than_readers() {
    let both = ["--listen=127.0.0.1:1999", "--admin=127.0.0.1:1999"];
    let (code, said) = outcome(Binary::bare_command("none".as_ref()).arg("check").args(both));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("give another port"), "{said}");
}

#[test]
fn check_notes_what_has_no_effect() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings");
    let lines = ["DATA=a", "DRAIN_MS=1", "MAX_ROOMS=7"].map(|line| format!("CONNECTION_COUNTER_{line}\n"));
    std::fs::write(&file, lines.concat()).unwrap();
    let mut command = Binary::bare_command("b".as_ref());
    command.args(["check", "--drain-ms=2", "--env-file"]).arg(&file);
    let from_kubernetes = [("PORT", "tcp://10.0.0.1:80"), ("METRICS_PORT_80_TCP_ADDR", "10.0.0.1")];
    set_variables(&mut command, &[&from_kubernetes[..], &[("DATA", "b"), ("OTHER_PORT", "80")]].concat());
    let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let notes: Vec<_> = said.lines().filter(|line| line.starts_with("Note: ")).collect();
    assert_eq!(notes.len(), 3, "{said}");
    for name in ["OTHER_PORT is no setting", "DATA in ", "DRAIN_MS in "] {
        assert!(notes.iter().any(|note| note.contains(&format!("CONNECTION_COUNTER_{name}"))), "{name}: {said}");
    }
}

#[test]
fn a_server_on_a_public_address_needs_site_or_open() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Binary::bare_command(folder.path());
    let (code, said) = outcome(command.env("CONNECTION_COUNTER_LISTEN", "0.0.0.0:0"));
    assert_eq!(code, Some(1), "{said}");
    assert!(["0.0.0.0:0", "--site", "--open"].iter().all(|hint| said.contains(hint)), "{said}");
}

#[test]
fn a_port_in_use_stops_the_start_with_its_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = outcome(Binary::bare_command(folder.path()).args(["--listen", &address]));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
}

#[test]
fn check_says_where_each_value_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for args in [&["check", "--site", "example.org"][..], &["--site", "example.org", "check"]] {
        let mut command = Binary::bare_command(&data);
        command.env("CONNECTION_COUNTER_LISTEN", "0.0.0.0:80").env("CONNECTION_COUNTER_PARTY_TOKEN", "hunter2");
        let output = command.args(args).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        let row = |flag: &str| {
            said.lines()
                .find(|line| line.starts_with(flag))
                .map(|line| line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>())
        };
        assert_eq!(row("--site ").unwrap(), ["example.org", "flag"]);
        assert_eq!(row("--listen ").unwrap(), ["0.0.0.0:80", "CONNECTION_COUNTER_LISTEN"]);
        assert_eq!(row("--party-token ").unwrap(), ["(secret)", "CONNECTION_COUNTER_PARTY_TOKEN"]);
        assert_eq!(row("--prefix ").unwrap(), ["parties", "default"]);
        assert!(said.contains("serve for example.org on http://0.0.0.0:80") && !said.contains("hunter2"), "{said}");
    }
    // A problem that would stop the start is reported as a start reports it.
    let (code, said) = outcome(Binary::bare_command(&data).args(["check", "--listen=0.0.0.0:80"]));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("--site"), "{said}");
    assert!(!data.exists(), "nothing was touched");
}

#[test]
fn help_contains_the_words_that_scripts_rely_on() {
    let output = Binary::bare_command("data".as_ref()).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    let missing: Vec<_> = ["--listen", "--data", "--site", "--party-token", "CONNECTION_COUNTER_SITE", "live.js"]
        .into_iter()
        .filter(|word| !help.contains(word))
        .collect();
    assert_eq!(missing, [""; 0], "{help}");
}

#[tokio::test]
async fn sites_can_be_set_by_an_environment_variable() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Binary::command(folder.path(), &[]);
    let command = command.env("CONNECTION_COUNTER_SITE", "one.example,two.example").stderr(Stdio::null());
    let server = Binary::spawn(command);
    let status = async |site: &str| server.get(&format!("/parties/counter/{site}")).await.0;
    assert_eq!(
        [status("one.example").await, status("two.example").await, status("three.example").await],
        [200, 200, 403]
    );
}

#[tokio::test]
async fn boolean_variables_accept_yes_no_on_off_1_and_0() {
    let folder = tempfile::tempdir().unwrap();
    for (demo, open) in [("1", "yes"), ("true", "on"), ("0", "no"), ("off", "FALSE")] {
        let mut command = Binary::command(folder.path(), &[]);
        command.env("CONNECTION_COUNTER_DEMO", demo).env("CONNECTION_COUNTER_OPEN", open);
        let server = Binary::spawn(command.stderr(Stdio::null()));
        let shown = server.get("/").await.0 == 200;
        assert_eq!(shown, ["1", "true"].contains(&demo), "{demo}");
    }
    let server = Binary::start(folder.path(), &["--open", "--demo=off", "--badges=yes", "--single-page=no"]);
    assert_eq!((server.get("/").await.0, server.get("/badge/a.json").await.0), (404, 200));
}

#[tokio::test]
async fn quotes_around_a_variable_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Binary::command(folder.path(), &[]);
    // Docker keeps the quotes in a file of variables.
    let values = [
        ("MAX_ROOMS", "'1000'"),
        ("SITE", "\"one.example, two.example\""),
        ("TRUSTED_PROXY", "'127.0.0.1', '10.0.0.0/8'"),
        ("LOG", "' '"),
        ("PUBLIC_URL", "'HTTPS://live.example.org'"),
    ];
    set_variables(&mut command, &values);
    let server = Binary::spawn(command.stderr(Stdio::null()));
    for site in ["one.example", "two.example"] {
        assert_eq!(server.get(&format!("/parties/counter/{site}")).await.0, 200, "{site}");
    }
    assert!(server.get("/docs/embed").await.1.contains("src=\"https://live.example.org/live.js\""));
}

#[test]
fn a_settings_file_that_is_not_utf_8_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings");
    std::fs::write(&file, b"CONNECTION_COUNTER_SITE=caf\xe9.example\n").unwrap();
    let (code, said) = outcome(Binary::command(folder.path(), &[]).arg("--env-file").arg(&file));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Save it as UTF-8"), "{said}");
}

#[tokio::test]
async fn an_empty_variable_counts_as_not_set() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Binary::command(folder.path(), &[]);
    let names = ["SITE", "PARTY_TOKEN", "ASSETS", "DEMO", "MAX_ROOMS", "LOG", "TRUSTED_PROXY", "PUBLIC_URL"];
    set_variables(&mut command, &names.map(|name| (name, " ")));
    let server = Binary::spawn(command.stderr(Stdio::null()));
    assert_eq!(server.get("/parties/counter/one.example").await.0, 200);
}

#[tokio::test]
async fn blanks_and_empty_items_in_lists_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Binary::command(folder.path(), &[]);
    command.env("CONNECTION_COUNTER_SITE", " one.example, two.example ,");
    let server = Binary::spawn(command.stderr(Stdio::null()));
    let status = async |site: &str| server.get(&format!("/parties/counter/{site}")).await.0;
    assert_eq!(
        [status("one.example").await, status("two.example").await, status("three.example").await],
        [200, 200, 403]
    );
}

#[tokio::test]
async fn blanks_around_a_variable_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Binary::command(folder.path(), &[]);
    let values = [
        ("OPEN", " yes "),
        ("MAX_ROOMS", " 1000 "),
        ("LOG_FORMAT", " json "),
        ("TRUSTED_PROXY", "127.0.0.1 , 10.0.0.0/8,"),
        ("CORS_ORIGIN", ", https://a.example,"),
        ("DRAIN_MS", " 1 "),
    ];
    set_variables(&mut command, &values);
    Binary::spawn(command.stderr(Stdio::null())).expect_health().await;
}

#[test]
fn unknown_variables_and_invalid_booleans_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Binary::command(folder.path(), &["check"]);
    // Kubernetes sets the second variable for a service of this name.
    command.env("CONNECTION_COUNTER_SITES", "a.example").env("CONNECTION_COUNTER_SERVICE_HOST", "10.0.0.1");
    let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(said.contains("CONNECTION_COUNTER_SITES is no setting") && !said.contains("SERVICE_HOST"), "{said}");
    let (code, said) = outcome(Binary::command(folder.path(), &[]).env("CONNECTION_COUNTER_OPEN", "maybe"));
    assert!(code == Some(2) && said.contains("\"maybe\" is neither true nor false; give one of them"), "{said}");
}

#[test]
fn a_server_that_fails_to_start_prints_no_address() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let _server = Binary::start(&data, &[]);
    let second = Binary::command(&data, &[]).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert_eq!(String::from_utf8(second.stdout).unwrap(), "");
    assert!(String::from_utf8(second.stderr).unwrap().contains("another server uses"));
}

#[tokio::test]
async fn the_printed_tag_uses_the_public_address() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Binary::command(folder.path(), &["--public-url=https://example.org/live/", "--log-format=json"]);
    let mut server = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(server.stdout.take().unwrap()), &mut line).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    assert!(said["listening on"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{line}");
    assert_eq!(said["embed with"], r#"<script async src="https://example.org/live/live.js"></script>"#);
}

#[cfg(unix)]
#[tokio::test]
async fn the_log_describes_the_server_and_names_a_refused_site_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut command = Binary::command(&data, &["--site=example.org", "--max-connections=500"]);
    let mut server = Binary::spawn(command.stderr(Stdio::piped()));
    for _ in 0..5 {
        server.try_viewer("other.example%2F", &[("origin", "https://other.example")]).await.unwrap();
        assert_eq!(server.get("/live-00000000.js").await.0, 404);
    }
    server.signal("TERM");
    let mut log = String::new();
    server.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(server.exit().await.success());
    let started: Vec<_> = log.lines().filter(|line| line.contains("serves on http://127.0.0.1:")).collect();
    assert_eq!(started.len(), 1, "{log}");
    for word in [env!("CARGO_PKG_VERSION"), data.to_str().unwrap(), "for example.org", "500 connections"] {
        assert!(started[0].contains(word), "{word}: {log}");
    }
    assert_eq!(log.matches("--site other.example").count(), 1, "{log}");
    assert_eq!(log.matches("/live-00000000.js").count(), 1, "{log}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_full_room_is_logged_once_without_its_query() {
    let folder = tempfile::tempdir().unwrap();
    let mut server =
        Binary::spawn(Binary::command(folder.path(), &["--max-connections-per-room=1"]).stderr(Stdio::piped()));
    let page = "example.org%2Fa%3Fkey%3Dsecret";
    let _first = server.viewer(page).await;
    for _ in 0..3 {
        assert_eq!(server.handshake_status(&format!("/parties/page/{page}"), &[]).await, 503);
    }
    server.signal("TERM");
    let mut log = String::new();
    server.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert_eq!(
        log.matches("--max-connections-per-room allows. An example is the room page/example.org/a").count(),
        1,
        "{log}"
    );
    assert!(!log.contains("secret"), "{log}");
}

#[tokio::test]
async fn a_missing_widget_version_gets_404_with_an_explanation() {
    let folder = tempfile::tempdir().unwrap();
    let server = Binary::start(folder.path(), &[]);
    let answer = server.exchange("GET", "/live-00000000.js", &[], "").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (404, "*"));
    assert!(answer.text().contains("live.js"), "{answer:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_server_keeps_running_when_its_output_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Binary::command(&data, &[]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // As with `connection-counter | head -1`.
    drop(server.stdout.take());
    wait_until("it has started", async || {
        assert_eq!(server.try_wait().unwrap(), None, "it has ended");
        data.exists()
    })
    .await;
    server.kill().unwrap();
    server.wait().unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_proxy_without_trusted_proxy_is_logged_once() {
    let folder = tempfile::tempdir().unwrap();
    for (args, expected) in [(&[][..], 1), (&["--trusted-proxy=127.0.0.1/32"], 0)] {
        let mut server = Binary::spawn(Binary::command(folder.path(), args).stderr(Stdio::piped()));
        for _ in 0..3 {
            let (status, _) = server.request("GET", "/parties/page/a", &[("x-forwarded-for", "192.0.2.1")], "").await;
            assert_eq!(status, 200);
        }
        server.signal("TERM");
        let mut log = String::new();
        server.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert!(server.exit().await.success());
        assert_eq!(log.matches("--trusted-proxy").count(), expected, "{args:?}: {log}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn log_format_json_writes_json_lines() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Binary::command(folder.path(), &["--log-format=json", "--log=debug"]);
    let mut server = Binary::spawn(command.stderr(Stdio::piped()));
    assert_eq!(server.get("/parties/nowhere/a").await.0, 404);
    server.signal("TERM");
    let mut log = String::new();
    server.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert_eq!(server.exit().await.code(), Some(0));
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["fields"]["message"].as_str().unwrap().starts_with("stopping")), "{log}");
    assert!(lines.iter().any(|line| line["level"] == "DEBUG"), "bad input is logged at this level: {log}");
    assert!(lines.iter().all(|line| line["level"] != "ERROR"), "{log}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_ends_a_server_whose_start_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("data/db");
    for folder in ["keyspaces/0/tables", "keyspaces/1"] {
        std::fs::create_dir_all(place.join(folder)).unwrap();
    }
    // The database looks complete, so the server opens it.
    for file in ["0.jnl", "keyspaces/0/current", "keyspaces/0/tables/0", "keyspaces/1/current"] {
        std::fs::write(place.join(file), "compaction_strategy").unwrap();
    }
    // Nobody writes into this pipe, so reading it blocks, as with a disk that does not answer.
    assert!(Command::new("mkfifo").arg(place.join("version")).status().unwrap().success());
    let mut server = Binary::command(&folder.path().join("data"), &[]).stdout(Stdio::null()).spawn().unwrap();
    // The pipe opens here once the server has opened it. The server then waits for data.
    let pipe = place.join("version");
    let writer = tokio::task::spawn_blocking(move || std::fs::OpenOptions::new().write(true).open(pipe));
    let _writer = tokio::time::timeout(DEADLINE, writer).await.expect("the start hangs").unwrap().unwrap();
    assert!(Command::new("sh").arg("-c").arg(format!("kill {}", server.id())).status().unwrap().success());
    wait_until("the process ends", async || server.try_wait().unwrap().is_some()).await;
}

#[cfg(unix)]
#[test]
fn a_low_limit_of_file_sizes_stops_the_start_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 8; exec \"$0\" --listen 127.0.0.1:0 --data \"$1\""]);
    let (code, said) = outcome(command.arg(env!("CARGO_BIN_EXE_connection-counter")).arg(folder.path()));
    assert!(code == Some(1) && said.contains("LimitFSIZE="), "{code:?} {said}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_of_the_database_that_may_not_be_read_stops_the_start() {
    use std::os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    };
    /// A user who may not read everything, as root may.
    const NOBODY: u32 = 65_534;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Binary::start(&data, &[]).kill();
    let table = data.join("db/keyspaces/1/tables/7");
    std::fs::write(&table, "a table").unwrap();
    std::fs::set_permissions(&table, std::fs::Permissions::from_mode(0o000)).unwrap();
    let mut command = Binary::command(&data, &[]);
    if folder.path().metadata().unwrap().uid() == 0 {
        let given = Command::new("chown").arg("-R").arg(NOBODY.to_string()).arg(folder.path()).status();
        assert!(given.unwrap().success());
        command.uid(NOBODY);
    }
    let mut server = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = async {
        while server.try_wait().unwrap().is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let has_ended = tokio::time::timeout(DEADLINE, ended).await.is_ok();
    // It may be gone already.
    let _ = server.kill();
    let output = server.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(has_ended && output.status.code() == Some(1), "it serves: {said}");
    assert!(said.contains(data.to_str().unwrap()) && said.contains("chown -R"), "{said}");
}
