//! Settings that change without a restart: the file is read again on SIGHUP.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use std::{fs, path::PathBuf, process::Command};

use support::{Binary, Client, wait_until};

/// A server with a file of settings, and its log.
struct Reloading {
    server: Binary,
    folder: tempfile::TempDir,
}

impl Reloading {
    fn start(settings: &str, args: &[&str]) -> Self {
        Self::start_with(settings, args, &[])
    }

    fn start_with(settings: &str, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings");
        fs::write(&file, settings).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Binary::command(&folder.path().join("data"), args);
        command.arg("--env-file").arg(&file).envs(variables.iter().copied());
        let server = Binary::spawn(command.stderr(log));
        Self { server, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("settings")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Writes these settings to the file, makes the server read it, and waits until `said` is in the log.
    async fn reload(&self, settings: &str, said: &str) {
        fs::write(self.file(), settings).unwrap();
        self.hang_up(said).await;
    }

    async fn hang_up(&self, said: &str) {
        let before = self.log().len();
        self.server.signal("HUP");
        wait_until(said, async || self.log()[before..].contains(said)).await;
    }

    /// The operator's address, which the log names.
    async fn admin(&self) -> Client {
        Client { address: support::operators_address(&self.folder.path().join("log")).await }
    }

    async fn status(&self, site: &str) -> u16 {
        self.server.get(&format!("/parties/counter/{site}")).await.0
    }

    /// The status of the answer to a request that sets a count.
    async fn posted(&self, token: &str) -> u16 {
        let authorization = format!("Bearer {token}");
        let body = r#"{"action":"update","id":"a","connectionCount":2,"sequence":1}"#;
        let headers = [("authorization", authorization.as_str())];
        self.server.request("POST", "/parties/counter/all-pages", &headers, body).await.0
    }
}

#[tokio::test]
async fn sites_and_tokens_change_without_a_restart() {
    let one = "# Settings.\nCONNECTION_COUNTER_SITE=one.example\nCONNECTION_COUNTER_PARTY_TOKEN='old'\n";
    let it = Reloading::start(one, &[]);
    let viewer = |site: &'static str| async move { [("origin", site)] };
    let mut anna = it.server.try_viewer("one.example%2Fa", &viewer("https://one.example").await).await.unwrap();
    anna.subscribe(&["one.example/b"]).await;
    anna.expect_viewers("one.example/b", 0).await;
    assert_eq!([it.status("one.example").await, it.status("two.example").await], [200, 403]);
    assert_eq!([it.posted("old").await, it.posted("new").await], [200, 403]);

    let two = "CONNECTION_COUNTER_SITE=\"one.example, two.example\"\nCONNECTION_COUNTER_PARTY_TOKEN=new\n";
    it.reload(two, "these have changed: --party-token, --site").await;
    assert_eq!([it.status("one.example").await, it.status("two.example").await], [200, 200]);
    assert_eq!([it.posted("old").await, it.posted("new").await], [403, 200]);
    let _ben = it.server.try_viewer("one.example%2Fb", &viewer("https://one.example").await).await.unwrap();
    anna.expect_viewers("one.example/b", 1).await;
    assert!(!it.log().contains("stopping"));

    it.reload("CONNECTION_COUNTER_SITE=two.example\n", "these have changed: --party-token, --site").await;
    assert_eq!([it.status("one.example").await, it.status("two.example").await], [403, 200]);
    assert_eq!(it.posted("new").await, 403, "there is no token any more");
    it.hang_up("none has changed").await;
    it.reload("", "these have changed: --site. The server is for every site").await;
    assert_eq!(it.status("one.example").await, 200);
}

#[tokio::test]
async fn the_operators_token_changes_without_a_restart() {
    let it = Reloading::start("CONNECTION_COUNTER_ADMIN_TOKEN=first-token\n", &["--admin=127.0.0.1:0"]);
    let admin = it.admin().await;
    let status = async |token: &str| {
        let authorization = format!("Bearer {token}");
        admin.exchange("GET", "/metrics", &[("authorization", authorization.as_str())], "").await.status
    };
    assert_eq!([status("first-token").await, status("second-token").await], [200, 401]);
    it.reload("CONNECTION_COUNTER_ADMIN_TOKEN=second-token\n", "these have changed: --admin-token").await;
    assert_eq!([status("first-token").await, status("second-token").await], [401, 200]);
    assert!(!it.log().contains("first-token") && !it.log().contains("second-token"), "{}", it.log());
    // Without a token, requests from this machine are allowed.
    it.reload("", "these have changed: --admin-token").await;
    assert_eq!(admin.get("/metrics").await.0, 200);
}

#[tokio::test]
async fn a_public_admin_address_keeps_its_token_when_the_file_has_none() {
    let it = Reloading::start("CONNECTION_COUNTER_ADMIN_TOKEN=first-token\n", &["--admin=0.0.0.0:0"]);
    let mut admin = it.admin().await;
    admin.address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    it.reload("", "the settings stay as they are").await;
    assert_eq!(admin.get("/metrics").await.0, 401);
    assert_eq!(admin.exchange("GET", "/metrics", &[("authorization", "Bearer first-token")], "").await.status, 200);
}

#[tokio::test]
async fn limits_and_the_log_change_without_a_restart() {
    let it = Reloading::start("CONNECTION_COUNTER_MAX_CONNECTIONS_PER_ADDRESS=1\n", &["--trusted-proxy=127.0.0.1"]);
    let reader = [("x-forwarded-for", "192.0.2.1")];
    let _first = it.server.try_viewer("a", &reader).await.unwrap();
    assert_eq!(it.server.handshake_status("/parties/page/a", &reader).await, 429);
    assert!(!it.log().contains("DEBUG"));
    let more = "CONNECTION_COUNTER_MAX_CONNECTIONS_PER_ADDRESS=2\nCONNECTION_COUNTER_MAX_BODY_BYTES=10\n\
                CONNECTION_COUNTER_MAX_LINKS_PER_MESSAGE=1\nCONNECTION_COUNTER_LOG=debug\n";
    it.reload(more, "these have changed: --log, --max-body-bytes,").await;
    let mut second = it.server.try_viewer("a", &reader).await.unwrap();
    second.subscribe(&["b", "c"]).await;
    assert_eq!(second.next().await["code"], "too-many-links");
    assert_eq!(it.server.request("GET", "/parties/page/a", &[], "eleven bytes").await.0, 413);
    wait_until("the log says more", async || it.log().contains("DEBUG")).await;
}

#[tokio::test]
async fn invalid_settings_are_logged_and_change_nothing() {
    let it = Reloading::start("CONNECTION_COUNTER_SITE=one.example\n", &[]);
    let same = async || [it.status("one.example").await, it.status("two.example").await] == [200, 403];
    for (wrong, said) in [
        ("CONNECTION_COUNTER_SITE=two.example\nCONNECTION_COUNTER_LOG=loud\n", "--log: this is not a filter"),
        ("CONNECTION_COUNTER_SITE=https://two.example\n", "--site https://two.example: this is not a host"),
        (
            "CONNECTION_COUNTER_SITE=two.example\nCONNECTION_COUNTER_MAX_ROOMS=many\n",
            "invalid value 'many' for '--max-rooms",
        ),
        ("CONNECTION_COUNTER_SITE=two.example\nCONNECTION_COUNTER_MAX_CALLS=0\n", "--max-calls: 0"),
        ("CONNECTION_COUNTER_SITES=two.example\n", "line 1: CONNECTION_COUNTER_SITES is no setting"),
        ("\nsite two.example\n", "line 2 is no setting"),
    ] {
        it.reload(wrong, said).await;
        assert!(it.log().lines().last().unwrap().contains("the settings stay as they are"), "{}", it.log());
        assert!(same().await, "{wrong}");
    }
    fs::remove_file(it.file()).unwrap();
    it.hang_up("No such file").await;
    assert!(same().await);
    assert!(Command::new("mkfifo").arg(it.file()).status().expect("this test needs the program mkfifo").success());
    it.hang_up("this is not a file").await;
    assert!(same().await);
}

#[tokio::test]
async fn notes_on_settings_are_logged_again_only_if_they_are_new() {
    let overruled = "CONNECTION_COUNTER_MAX_ROOMS=7\n";
    let args = ["--max-rooms=8", "--max-calls=8"];
    let it = Reloading::start_with(overruled, &args, &[("CONNECTION_COUNTER_SITES", "example.org")]);
    for _ in 0..2 {
        it.hang_up("none has changed").await;
    }
    it.reload(&format!("{overruled}CONNECTION_COUNTER_MAX_CALLS=7\n"), "none has changed").await;
    it.reload("", "none has changed").await;
    it.reload(overruled, "none has changed").await;
    let log = it.log();
    let told = |note: &str| log.lines().filter(|line| line.contains("WARN") && line.contains(note)).count();
    let counts = ["_SITES is no setting", "_MAX_CALLS in ", "_MAX_ROOMS in "].map(told);
    assert_eq!(counts, [1, 1, 2], "{log}");
}

#[tokio::test]
async fn settings_that_need_a_restart_are_logged() {
    let it = Reloading::start("CONNECTION_COUNTER_DATA=unused\n", &[]);
    it.reload("CONNECTION_COUNTER_PREFIX=rooms\nCONNECTION_COUNTER_MAX_CONNECTIONS=7\n", "only with a restart").await;
    assert!(
        it.log().contains("these settings change only with a restart: --max-connections, --prefix"),
        "{}",
        it.log()
    );
    assert_eq!(it.status("one.example").await, 200);
    it.hang_up("these settings change only with a restart: --max-connections, --prefix").await;
    it.reload("CONNECTION_COUNTER_PREFIX=/rooms/\n", "the settings stay as they are").await;
}

#[tokio::test]
async fn badges_beside_a_folder_of_files_need_a_restart() {
    let assets = tempfile::tempdir().unwrap();
    let it = Reloading::start("", &["--assets", assets.path().to_str().unwrap()]);
    it.reload("CONNECTION_COUNTER_BADGES=yes\n", "these settings change only with a restart: --badges").await;
    let it = Reloading::start("", &[]);
    it.reload("CONNECTION_COUNTER_BADGES=yes\n", "these have changed: --badges").await;
}

#[test]
fn flags_take_precedence_over_variables_and_variables_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings");
    let lines = ["SITE=file.example", "LOG=warn", "MAX_ROOMS=7", "PARTY_TOKEN=secret"];
    fs::write(&file, lines.map(|line| format!("CONNECTION_COUNTER_{line}\n")).concat()).unwrap();
    let mut command = Binary::command(&folder.path().join("data"), &["check", "--site=flag.example"]);
    command.arg("--env-file").arg(&file).env("CONNECTION_COUNTER_LOG", "error");
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let row = |flag: &str| {
        let line = said.lines().find(|line| line.split(' ').next() == Some(flag)).unwrap();
        line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("--site"), ["flag.example", "flag"]);
    assert_eq!(row("--log"), ["error", "CONNECTION_COUNTER_LOG"]);
    assert_eq!(row("--max-rooms"), ["7", file.to_str().unwrap()]);
    assert_eq!(row("--party-token"), ["(secret)", file.to_str().unwrap()]);
    assert!(output.status.success() && said.contains("The server would serve for flag.example"), "{said}");
    let help = Binary::command(folder.path(), &["--help"]).env("CONNECTION_COUNTER_ENV_FILE", &file).output().unwrap();
    assert!(!String::from_utf8(help.stdout).unwrap().contains("secret\n"), "help shows no secret");
}

#[test]
fn the_settings_file_of_the_package_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings");
    let packaged = include_str!("../deploy/connection-counter.default");
    // Lines that are commented out must be valid settings, too.
    let lines =
        packaged.lines().map(|line| line.strip_prefix("#CONN").map_or(line.to_owned(), |line| format!("CONN{line}")));
    fs::write(&file, lines.collect::<Vec<_>>().join("\n")).unwrap();
    let unit = include_str!("../deploy/connection-counter.service");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    assert_eq!(start, "/usr/bin/connection-counter --env-file /etc/default/connection-counter");
    let mut command = Binary::command(&folder.path().join("data"), &["check"]);
    let output = command.arg("--env-file").arg(&file).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("The server would serve for example.org"), "{said}");
}
