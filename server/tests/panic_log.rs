//! What the log says about a panic. This test runs in a process of its own, because a process has only one log.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use connection_counter::{
    Server,
    party::{Connection, Message, Party, Result, Room},
};
use support::TestServer;

/// A party that panics at every message.
#[derive(Default)]
struct Fragile;

impl Party for Fragile {
    async fn on_message(&mut self, _: &mut Room, _: &Connection, _: Message) -> Result {
        panic!("as asked");
    }
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_panic_is_logged_once() {
    let log = Log::default();
    let written = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || log.clone()).with_ansi(false).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let server = TestServer::of(|| Server::builder().party::<Fragile>("fragile"), &[]).await;
    let mut guests = Vec::new();
    for _ in 0..3 {
        guests.push(server.connect("/parties/fragile/a", &[]).await.unwrap());
    }
    guests[0].send("hello").await;
    for guest in &mut guests {
        assert_eq!(guest.expect_close_code().await, 1011);
    }
    let log = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    let errors: Vec<_> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert!(errors.len() == 1 && errors[0].contains("fragile/a") && errors[0].contains("a hook panicked"), "{log}");
}
