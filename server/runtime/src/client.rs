//! The client of a connection, and the quotas that it takes. All quotas of connections are taken here.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use http::HeaderMap;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use crate::{
    account::Account,
    config::Config,
    error::Error,
    metrics::Metrics,
    party::Group,
    proxies::Proxies,
    quota::{Holder, Paced, Quotas, Slot},
    reload::Live,
};

/// Accepts connections within the limits.
pub(crate) struct ClientLimits {
    /// What connections take their part of.
    shared: Arc<Shared>,
    /// The proxies.
    proxies: Proxies,
    /// The limit of connections.
    connections: u32,
}

/// What connections take their part of.
struct Shared {
    /// The quotas of addresses and groups.
    quotas: Arc<Quotas>,
    /// A permit for each allowed connection.
    permits: Semaphore,
}

/// The client of a TCP connection, while it speaks HTTP.
pub(crate) struct Client {
    /// The address of the client, or of its proxy.
    address: IpAddr,
    /// What it holds. `None` once a WebSocket has taken this over.
    held: Mutex<Option<Held>>,
}

/// What a handshake takes for its future WebSocket.
pub(crate) struct WebSocketQuota {
    /// The client that sent the handshake.
    client: Arc<Client>,
    /// One of the WebSockets that its address may open. Behind a proxy this is the reader's address.
    address_slot: Option<Slot>,
    /// One of the connections of its room's group.
    group_slot: Option<Slot>,
}

/// All quotas that a connection holds. They are given back when this is dropped. It is small, because every connection has one.
pub(crate) struct Held {
    /// Gives back the connection's permit.
    shared: Arc<Shared>,
    /// The holders of its slots: the connection's (unless it is a proxy's) and those of the WebSocket.
    holders: [Option<Holder>; 3],
}

impl ClientLimits {
    pub(crate) fn new(live: &Arc<Live<Config>>, metrics: Arc<Metrics>) -> Self {
        let config = live.get();
        let connections = connections_possible(config.limits.connections);
        let quotas = Arc::new(Quotas::new(Arc::clone(live), metrics));
        Self {
            shared: Arc::new(Shared { quotas, permits: Semaphore::new(connections as usize) }),
            proxies: Proxies::new(config.trusted_proxies.clone(), config.client_ip_header.clone()),
            connections,
        }
    }

    /// How many connections there are.
    pub(crate) fn held(&self) -> usize {
        self.connections().saturating_sub(self.shared.permits.available_permits())
    }

    /// The limit of connections.
    pub(crate) fn connections(&self) -> usize {
        self.connections as usize
    }

    /// Accepts a TCP connection.
    ///
    /// # Errors
    /// [`Error::ServerFull`] or [`Error::TooManyFromAddress`].
    pub(crate) fn accept(&self, peer: IpAddr) -> Result<Client, Error> {
        self.shared.permits.try_acquire().map_err(|_| Error::ServerFull)?.forget();
        let mut held = Held { shared: Arc::clone(&self.shared), holders: [None; 3] };
        // A proxy's connections belong to its readers. Its headers tell them apart at the handshake.
        if !self.proxies.is_proxy(peer) {
            let slot = self.shared.quotas.connect_from(peer).inspect_err(|_| self.proxies.tell_refused(peer))?;
            held.holders = [slot.into_holder(), None, None];
        }
        Ok(Client { address: peer, held: Mutex::new(Some(held)) })
    }

    /// Lets a client stay as a WebSocket.
    ///
    /// # Errors
    /// [`Error::TooManyFromAddress`] or [`Error::GroupFull`].
    pub(crate) fn upgrade(
        &self,
        client: Arc<Client>,
        headers: &HeaderMap,
        group: Option<Group>,
    ) -> Result<WebSocketQuota, Error> {
        let quotas = &self.shared.quotas;
        let address = self.proxies.address(client.address, headers);
        let paced = quotas.pace(Paced::Handshake, address).and_then(|()| quotas.open_from(address));
        let address_slot = paced.inspect_err(|_| self.proxies.tell_refused(address))?;
        let group_slot = group.map(|group| quotas.open_in(group)).transpose()?;
        Ok(WebSocketQuota { client, address_slot, group_slot })
    }

    /// Logs that a client does not speak HTTP/1.1, if it may be a proxy.
    pub(crate) fn tell_no_http(&self, client: &Client, reason: &hyper::Error) {
        self.proxies.tell_no_http(client.address, reason);
    }

    /// The account that the client's memory counts against. Behind a proxy this is the reader's account.
    pub(crate) fn account(&self, client: &Client, headers: &HeaderMap) -> Option<Arc<Account>> {
        self.shared.quotas.account(self.proxies.address(client.address, headers))
    }

    /// Counts a request towards the rate of its address.
    ///
    /// # Errors
    /// [`Error::TooManyFromAddress`].
    pub(crate) fn pace_request(&self, client: &Client, headers: &HeaderMap) -> Result<(), Error> {
        let address = self.proxies.address(client.address, headers);
        self.shared.quotas.pace(Paced::Request, address).inspect_err(|_| self.proxies.tell_refused(address))
    }

    /// Waits until all clients are gone, or until the deadline. Returns whether they are gone.
    pub(crate) async fn wait_until_empty(&self, deadline: Instant) -> bool {
        timeout_at(deadline, self.shared.permits.acquire_many(self.connections)).await.is_ok()
    }
}

impl WebSocketQuota {
    /// Hands over all that the WebSocket holds from now on, including the client's part. `None` if that has happened before.
    pub(crate) fn hand_over(self) -> Option<Held> {
        let Self { client, address_slot, group_slot } = self;
        // Nothing that holds the lock can panic halfway through a change.
        let mut held = client.held.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let [first, ..] = held.holders;
        held.holders = [first, address_slot.and_then(Slot::into_holder), group_slot.and_then(Slot::into_holder)];
        Some(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for holder in self.holders.into_iter().flatten() {
            self.shared.quotas.give_back(holder);
        }
        self.shared.permits.add_permits(1);
    }
}

/// The connections that the setting and the open files allow. Some files are kept for the database and the listener.
fn connections_possible(wanted: usize) -> u32 {
    const OTHER_FILES: u64 = 256;
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(u64::from(u32::MAX));
    let possible = files.saturating_sub(OTHER_FILES).max(1).min(wanted as u64);
    // A semaphore takes at most this many permits at once.
    u32::try_from(possible).unwrap_or(u32::MAX)
}
