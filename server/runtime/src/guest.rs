//! Who is on the other end of a connection, and what it holds of the server: the one place where that is taken.

use std::{net::IpAddr, sync::Arc};

use http::HeaderMap;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::{
    account::Account,
    config::Config,
    error::Error,
    party::Group,
    proxies::Proxies,
    quota::{Paced, Quotas, Slot},
};

/// Where connections come in.
pub(crate) struct Entrance {
    /// What addresses and groups hold already.
    quotas: Arc<Quotas>,
    /// Who speaks for others.
    proxies: Proxies,
    /// One for each connection there may be.
    permits: Arc<Semaphore>,
    /// How many permits there are.
    connections: u32,
}

/// Who is on the other end of a TCP connection, and what that holds as long as it lives, as HTTP or as WebSocket.
pub(crate) struct Guest {
    /// Of the other end of the TCP connection; a proxy's, if there is one.
    address: IpAddr,
    /// One of all connections there may be.
    _permit: OwnedSemaphorePermit,
    /// One of the connections its address may hold; none for a proxy, whose connections are its readers'.
    _address_slot: Option<Slot>,
}

/// All that a WebSocket holds of the server, for as long as it lives.
pub(crate) struct Held {
    /// What it has held since it came in.
    _guest: Arc<Guest>,
    /// One of the WebSockets of its address, or of the address that a proxy speaks for.
    _address_slot: Option<Slot>,
    /// One of the connections of its room's group.
    _group_slot: Option<Slot>,
}

impl Entrance {
    pub(crate) fn new(config: &Config) -> Self {
        let connections = connections_possible(config.limits.connections);
        Self {
            quotas: Arc::new(Quotas::new(config.limits.clone())),
            proxies: Proxies::new(config.trusted_proxies.clone(), config.client_ip_header.clone()),
            permits: Arc::new(Semaphore::new(connections as usize)),
            connections,
        }
    }

    /// How many connections there are.
    pub(crate) fn held(&self) -> usize {
        self.connections().saturating_sub(self.permits.available_permits())
    }

    /// How many connections there may be at a time.
    pub(crate) fn connections(&self) -> usize {
        self.connections as usize
    }

    /// Lets a TCP connection in.
    ///
    /// # Errors
    /// [`Error::ServerFull`] or [`Error::TooManyFromAddress`].
    pub(crate) fn let_in(&self, peer: IpAddr) -> Result<Guest, Error> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| Error::ServerFull)?;
        // A proxy's connections are its readers'; those are told apart by its headers, at the handshake.
        let address_slot = match self.proxies.is_proxy(peer) {
            true => None,
            false => Some(self.quotas.let_in(peer).inspect_err(|_| self.proxies.tell_full(peer))?),
        };
        Ok(Guest { address: peer, _permit: permit, _address_slot: address_slot })
    }

    /// Lets a guest stay as a WebSocket.
    ///
    /// # Errors
    /// [`Error::TooManyFromAddress`] or [`Error::GroupFull`].
    pub(crate) fn let_stay(&self, guest: Arc<Guest>, headers: &HeaderMap, group: Option<Group>) -> Result<Held, Error> {
        let address = self.proxies.address(guest.address, headers);
        self.quotas.pace(Paced::Handshake, address)?;
        let address_slot = self.quotas.open_from(address).inspect_err(|_| self.proxies.tell_full(guest.address))?;
        let group_slot = group.map(|group| self.quotas.open_in(group)).transpose()?;
        Ok(Held { _guest: guest, _address_slot: address_slot, _group_slot: group_slot })
    }

    /// The account that pays for what this guest, or whoever it speaks for, makes the server hold.
    pub(crate) fn account(&self, guest: &Guest, headers: &HeaderMap) -> Option<Arc<Account>> {
        self.quotas.account(self.proxies.address(guest.address, headers))
    }

    /// Counts a request towards the rate of its address.
    ///
    /// # Errors
    /// [`Error::TooManyFromAddress`].
    pub(crate) fn pace_request(&self, guest: &Guest, headers: &HeaderMap) -> Result<(), Error> {
        self.quotas.pace(Paced::Request, self.proxies.address(guest.address, headers))
    }

    /// Waits until all guests are gone, but not longer than this. Whether they are gone.
    pub(crate) async fn wait_until_empty(&self, deadline: Instant) -> bool {
        timeout_at(deadline, self.permits.acquire_many(self.connections)).await.is_ok()
    }
}

/// Connections that the configured number and the open files allow; some files are for the database and the listener.
fn connections_possible(wanted: usize) -> u32 {
    const OTHER_FILES: u64 = 256;
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(u64::from(u32::MAX));
    let possible = files.saturating_sub(OTHER_FILES).max(1).min(wanted as u64);
    // What a semaphore can count in one go.
    u32::try_from(possible).unwrap_or(u32::MAX)
}
