//! Sends and receives the frames over NATS, and notices when that fails.

use std::{
    error::Error,
    pin::pin,
    time::{Duration, Instant},
};

use async_nats::{Client, ConnectOptions, Event, ServerAddr, Subscriber, connection::State};
use futures_util::StreamExt;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{Cluster, member::TICK};
use crate::notice::Notice;

/// Time between two pings. If a NATS server hangs, the third ping shows it.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The first and the longest wait between two attempts.
const RETRY_MS: std::ops::RangeInclusive<u64> = 50..=800;
/// How long one tick may take to send its messages. The others are sent later.
const PUBLISH_TIMEOUT: Duration = Duration::from_millis(20);
/// How long the last messages of a stopping node may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_millis(500);
/// How long the first connection may take before the log says that there is none. It is enough for two attempts.
const FIRST_PATIENCE: Duration = Duration::from_secs(2);
/// Events of the connection that may wait for us. Beyond this, the client waits.
const EVENTS: usize = 64;
/// Messages that may wait to be read. A tick in which 40 nodes send everything has about 3,000.
const WAITING_MESSAGES: usize = 65_536;

/// How to reach the NATS server.
pub(super) struct Bus {
    pub(super) servers: Vec<ServerAddr>,
    pub(super) options: ConnectOptions,
    /// The subject of all messages of the cluster.
    pub(super) subject: String,
}

/// Takes part in the cluster until `stop` is ready. Then it sends the last messages.
pub(super) async fn run(cluster: Cluster, bus: Bus, stop: impl Future<Output = ()>) {
    let mut stop = pin!(stop);
    let (tell, mut events) = mpsc::channel(EVENTS);
    let subject = bus.subject.clone();
    let (client, mut messages) = match subscribed(bus, tell).await {
        Ok(subscribed) => subscribed,
        Err(error) => {
            tracing::error!(
                "the cluster cannot be joined: {error}. Check --cluster; viewers on other machines do not count"
            );
            return;
        }
    };
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut link = Link::new(cluster.own_name());
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(event) = events.recv() => {
                link.hear(&event);
                if matches!(event, Event::SlowConsumer(_)) {
                    cluster.missed_something();
                }
            }
            Some(message) = messages.next() => cluster.on_message(Instant::now(), &message.payload),
            _ = ticks.tick() => {
                let connected = client.connection_state() == State::Connected;
                if link.turn(connected) {
                    cluster.set_connected(Instant::now(), connected);
                }
                if !publish(&client, &subject, cluster.on_tick(Instant::now()), PUBLISH_TIMEOUT).await {
                    cluster.missed_something();
                }
            }
        }
    }
    if link.is_connected() {
        publish(&client, &subject, cluster.goodbye(), GOODBYE_TIMEOUT).await;
        let _ = timeout(GOODBYE_TIMEOUT, client.flush()).await;
    }
}

/// A client that gets the messages of the cluster. What happens to its connection is sent to `tell`.
async fn subscribed(bus: Bus, tell: mpsc::Sender<Event>) -> Result<(Client, Subscriber), Box<dyn Error + Send + Sync>> {
    let options = bus
        .options
        .name("connection-counter")
        .no_echo()
        .retry_on_initial_connect()
        .ping_interval(PING_INTERVAL)
        .connection_timeout(CONNECT_TIMEOUT)
        .subscription_capacity(WAITING_MESSAGES)
        .reconnect_delay_callback(retry_delay)
        .event_callback(move |event| {
            let tell = tell.clone();
            async move {
                // It fails only if we have stopped.
                let _ = tell.send(event).await;
            }
        });
    let client = options.connect(bus.servers.as_slice()).await?;
    let messages = client.subscribe(bus.subject).await?;
    Ok((client, messages))
}

/// The state of the connection, for the log.
struct Link {
    /// The name of this machine in the logs of the others.
    node: String,
    /// Whether there was a connection at the last check. `None` until there was one, or until we have tried for a while.
    connected: Option<bool>,
    /// When we started.
    started_at: Instant,
    /// Why there is no connection, as far as we know.
    reason: Option<String>,
}

impl Link {
    fn new(node: String) -> Self {
        Self { node, connected: None, started_at: Instant::now(), reason: None }
    }

    fn is_connected(&self) -> bool {
        self.connected == Some(true)
    }

    /// Records an event of the connection.
    fn hear(&mut self, event: &Event) {
        static REPORTED: Notice = Notice::warning();
        static TOO_SLOW: Notice = Notice::warning();
        match event {
            Event::ServerError(error) => {
                REPORTED.give(|| format!("the cluster's NATS server reports an error: {error}"));
            }
            Event::ClientError(error) => {
                tracing::debug!(%error, "the cluster's NATS server could not be reached");
                self.reason = Some(error.to_string());
            }
            Event::SlowConsumer(_) => TOO_SLOW.give(|| {
                "this machine reads the cluster's messages too slowly, so some were lost; it asks for all counts again. \
                 Give it more processor time, or use fewer and larger machines"
                    .to_owned()
            }),
            _ => {}
        }
    }

    /// Logs whether the connection was made or lost. Returns whether either happened.
    fn turn(&mut self, connected: bool) -> bool {
        if self.connected == Some(connected) {
            return false;
        }
        if self.connected.is_none() && !connected && self.started_at.elapsed() < FIRST_PATIENCE {
            return false;
        }
        self.connected = Some(connected);
        if connected {
            self.reason = None;
            tracing::info!(this_node = self.node, "the cluster's NATS server is reached; counts are of all machines");
        } else {
            tracing::warn!(
                reason = self.reason.as_deref().unwrap_or("the connection was lost"),
                "the cluster's NATS server cannot be reached; only viewers on this machine count until it can. Check that \
                 it runs, --cluster, and for TLS --cluster-ca"
            );
        }
        true
    }
}

/// The wait grows with each attempt, and differs between nodes.
fn retry_delay(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts).unwrap_or(u32::MAX).min(8);
    let longest = (RETRY_MS.start() << doublings).min(*RETRY_MS.end());
    Duration::from_millis(fastrand::u64(longest / 2..=longest))
}

/// Returns whether all were sent in time.
async fn publish(client: &Client, subject: &str, messages: Vec<Vec<u8>>, patience: Duration) -> bool {
    let all = async {
        for message in messages {
            client.publish(subject.to_owned(), message.into()).await.ok()?;
        }
        Some(())
    };
    matches!(timeout(patience, all).await, Ok(Some(())))
}
