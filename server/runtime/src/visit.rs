//! A connection while it speaks HTTP: whom it counts for, and how far its first request has come.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{sync::Notify, time::Instant};

use crate::client::Client;

/// A connection while it speaks HTTP.
pub(crate) struct Visit {
    /// Whom it counts for, and what it holds.
    client: Arc<Client>,
    /// It has sent a request.
    has_asked: AtomicBool,
    /// Its turn is over. From now on the server waits for the client.
    turn_over: Notify,
    /// It has lasted so long that its next answer is the last.
    is_old: AtomicBool,
}

impl Visit {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client: Arc::new(client),
            has_asked: AtomicBool::new(false),
            turn_over: Notify::new(),
            is_old: AtomicBool::new(false),
        }
    }

    pub(crate) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Notes that the client has sent a request.
    pub(crate) fn asks(&self) {
        self.has_asked.store(true, Ordering::Relaxed);
    }

    /// Notes that the next answer is the last.
    pub(crate) fn gets_old(&self) {
        self.is_old.store(true, Ordering::Relaxed);
    }

    /// Whether the next answer is the last.
    pub(crate) fn is_old(&self) -> bool {
        self.is_old.load(Ordering::Relaxed)
    }

    /// Notes that the server from now on waits for the client.
    pub(crate) fn end_turn(&self) {
        self.turn_over.notify_one();
    }

    /// Ready when the server waits for the client. Call it after the connection has read what has arrived.
    pub(crate) async fn waits_for_its_client(&self) {
        if self.has_asked.load(Ordering::Relaxed) {
            self.turn_over.notified().await;
        }
    }

    /// Ready at the deadline, if the client has sent no request by then.
    pub(crate) async fn says_nothing(&self, deadline: Instant) {
        tokio::time::sleep_until(deadline).await;
        if self.has_asked.load(Ordering::Relaxed) {
            std::future::pending().await
        }
        tracing::debug!("a connection is dropped because it sent no request");
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::FutureExt;

    use super::*;
    use crate::{client::ClientLimits, config::Config, metrics::Metrics, reload::Live};

    #[test]
    fn a_turn_ends_when_the_server_waits_for_the_client() {
        let client = ClientLimits::new(&Live::new(Config::default()), Arc::new(Metrics::new()))
            .accept(Ipv4Addr::LOCALHOST.into())
            .unwrap();
        let visit = Visit::new(client);
        let is_over = || visit.waits_for_its_client().now_or_never().is_some();
        assert!(is_over(), "half a request has come");
        visit.asks();
        assert!(!is_over(), "the server must answer first");
        visit.end_turn();
        assert!(is_over(), "its body has not come, or it has been answered");
    }
}
