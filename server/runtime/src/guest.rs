//! Who is on the other end of a connection, and what it holds of the server: the one place where that is taken.

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

/// Where connections come in.
pub(crate) struct Entrance {
    /// What those who come in take a part of.
    house: Arc<House>,
    /// Who speaks for others.
    proxies: Proxies,
    /// How many permits there are.
    connections: u32,
}

/// What connections hold parts of.
struct House {
    /// What addresses and groups hold already.
    quotas: Arc<Quotas>,
    /// One for each connection there may be.
    permits: Semaphore,
}

/// Who is on the other end of a TCP connection, as long as it speaks HTTP.
pub(crate) struct Guest {
    /// Of the other end of the TCP connection; a proxy's, if there is one.
    address: IpAddr,
    /// `None` once it lives on as a WebSocket.
    held: Mutex<Option<Held>>,
}

/// What a handshake takes for the WebSocket to be.
pub(crate) struct Taken {
    /// Whose handshake it is.
    guest: Arc<Guest>,
    /// One of the WebSockets of its address, or of the address that a proxy speaks for.
    address_slot: Option<Slot>,
    /// One of the connections of its room's group.
    group_slot: Option<Slot>,
}

/// All that a connection holds of the server; given back when dropped. Every connection has one, so it is small.
pub(crate) struct Held {
    /// One of its permits is the connection's.
    house: Arc<House>,
    /// Whose slots it has: the one it came in with, unless it is a proxy's, and those of a WebSocket.
    holders: [Option<Holder>; 3],
}

impl Entrance {
    pub(crate) fn new(live: &Arc<Live<Config>>, metrics: Arc<Metrics>) -> Self {
        let config = live.get();
        let connections = connections_possible(config.limits.connections);
        let quotas = Arc::new(Quotas::new(Arc::clone(live), metrics));
        Self {
            house: Arc::new(House { quotas, permits: Semaphore::new(connections as usize) }),
            proxies: Proxies::new(config.trusted_proxies.clone(), config.client_ip_header.clone()),
            connections,
        }
    }

    /// How many connections there are.
    pub(crate) fn held(&self) -> usize {
        self.connections().saturating_sub(self.house.permits.available_permits())
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
        self.house.permits.try_acquire().map_err(|_| Error::ServerFull)?.forget();
        let mut held = Held { house: Arc::clone(&self.house), holders: [None; 3] };
        // A proxy's connections are its readers'; those are told apart by its headers, at the handshake.
        if !self.proxies.is_proxy(peer) {
            let slot = self.house.quotas.let_in(peer).inspect_err(|_| self.proxies.tell_full(peer))?;
            held.holders = [slot.into_holder(), None, None];
        }
        Ok(Guest { address: peer, held: Mutex::new(Some(held)) })
    }

    /// Lets a guest stay as a WebSocket.
    ///
    /// # Errors
    /// [`Error::TooManyFromAddress`] or [`Error::GroupFull`].
    pub(crate) fn let_stay(
        &self,
        guest: Arc<Guest>,
        headers: &HeaderMap,
        group: Option<Group>,
    ) -> Result<Taken, Error> {
        let quotas = &self.house.quotas;
        let address = self.proxies.address(guest.address, headers);
        quotas.pace(Paced::Handshake, address)?;
        let address_slot = quotas.open_from(address).inspect_err(|_| self.proxies.tell_full(guest.address))?;
        let group_slot = group.map(|group| quotas.open_in(group)).transpose()?;
        Ok(Taken { guest, address_slot, group_slot })
    }

    /// The account that pays for what this guest, or whoever it speaks for, makes the server hold.
    pub(crate) fn account(&self, guest: &Guest, headers: &HeaderMap) -> Option<Arc<Account>> {
        self.house.quotas.account(self.proxies.address(guest.address, headers))
    }

    /// Counts a request towards the rate of its address.
    ///
    /// # Errors
    /// [`Error::TooManyFromAddress`].
    pub(crate) fn pace_request(&self, guest: &Guest, headers: &HeaderMap) -> Result<(), Error> {
        self.house.quotas.pace(Paced::Request, self.proxies.address(guest.address, headers))
    }

    /// Waits until all guests are gone, but not longer than this. Whether they are gone.
    pub(crate) async fn wait_until_empty(&self, deadline: Instant) -> bool {
        timeout_at(deadline, self.house.permits.acquire_many(self.connections)).await.is_ok()
    }
}

impl Taken {
    /// All that the WebSocket holds from now on: the guest's part goes over to it. `None` if that has happened before.
    pub(crate) fn hand_over(self) -> Option<Held> {
        let Self { guest, address_slot, group_slot } = self;
        // Nothing that holds the lock can panic halfway through a change.
        let mut held = guest.held.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let [first, ..] = held.holders;
        held.holders = [first, address_slot.and_then(Slot::into_holder), group_slot.and_then(Slot::into_holder)];
        Some(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for holder in self.holders.into_iter().flatten() {
            self.house.quotas.give_back(holder);
        }
        self.house.permits.add_permits(1);
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
