//! How many connections each address and each group of rooms holds, and how fast new ones come. This is kept in memory only.
//! Addresses are keyed hashes, whose key changes with every start and every day.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU64,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    account::{Account, Accounts},
    config::Config,
    error::Error,
    limits::Limits,
    metrics::Metrics,
    party::Group,
    reload::Live,
};

/// How long one key is used for hashing addresses.
const KEY_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Addresses whose rate is remembered. Beyond that, those that have rested are forgotten.
const MAX_PACED: usize = 100_000;

/// The first 96 bits of the addresses to which gateways translate IPv4: `64:ff9b::/96`.
const TRANSLATED: u128 = 0x0064_ff9b << 64;

/// Connections of all kinds that one address may hold, for each WebSocket that it may open. Proxies keep some open, and
/// browsers fetch files over others.
const CONNECTIONS_PER_WEBSOCKET: u32 = 8;

/// A bucket of tokens. It is full at first and is refilled steadily. A client that finds it empty is too fast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// Tokens in the bucket, including parts of one.
    tokens: f64,
    /// When it was last refilled.
    filled_at: Instant,
}

impl Bucket {
    pub(crate) fn full(burst: u32, now: Instant) -> Self {
        Self { tokens: f64::from(burst), filled_at: now }
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, burst: u32, per_second: u32, now: Instant) -> bool {
        self.refill(burst, per_second, now);
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }

    fn refill(&mut self, burst: u32, per_second: u32, now: Instant) {
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + passed * f64::from(per_second)).min(f64::from(burst));
        self.filled_at = now;
    }
}

/// What has a rate limit. For each of these an address has its own bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Paced {
    Handshake,
    Request,
}

impl Paced {
    /// Burst and rate per second.
    fn limits(self, limits: &Limits) -> (u32, u32) {
        match self {
            Self::Handshake => (limits.handshake_burst, limits.handshakes_per_second),
            Self::Request => (limits.request_burst, limits.requests_per_second),
        }
    }
}

/// The quotas of addresses and groups of rooms.
pub(crate) struct Quotas {
    /// The limits.
    config: Arc<Live<Config>>,
    /// Hashes the names of groups.
    group_key: RandomState,
    /// What addresses and groups hold now.
    ledger: Mutex<Ledger>,
}

struct Ledger {
    /// Hashes addresses.
    key: RandomState,
    /// When that key was made. It is replaced once a day.
    key_since: Instant,
    /// How many connections each address or group has.
    open: HashMap<Holder, u32>,
    /// How many bytes each address holds.
    accounts: Accounts,
    /// The rate of each address.
    pace: HashMap<(Paced, u64), Bucket>,
}

/// What is counted for an address, each separately.
#[derive(Hash)]
enum Counted {
    WebSockets,
    /// Connections of all kinds, also WebSockets.
    Connections,
}

/// One of the connections that an address or a group may have. It is given back when this is dropped.
///
/// The holder is stored as a hash.
pub(crate) struct Slot {
    /// Where it is given back.
    quotas: Arc<Quotas>,
    /// The holder. `None` once somebody else gives it back.
    holder: Option<Holder>,
}

/// The holder of a slot: the hash of an address or of a group's name.
pub(crate) type Holder = NonZeroU64;

impl Slot {
    /// The holder alone. The caller must [give it back](Quotas::give_back). A long-lived connection stores only this.
    pub(crate) fn into_holder(mut self) -> Option<Holder> {
        self.holder.take()
    }
}

impl Quotas {
    pub(crate) fn new(config: Arc<Live<Config>>, metrics: Arc<Metrics>) -> Self {
        let ledger = Ledger {
            key: RandomState::new(),
            key_since: Instant::now(),
            open: HashMap::new(),
            accounts: Accounts::new(metrics),
            pace: HashMap::new(),
        };
        Self { config, group_key: RandomState::new(), ledger: Mutex::new(ledger) }
    }

    fn limits(&self) -> &'static Limits {
        &self.config.get().limits
    }

    /// Takes one of the connections of all kinds that an address may hold.
    ///
    /// # Errors
    /// [`Error::TooManyFromAddress`].
    pub(crate) fn connect_from(self: &Arc<Self>, address: IpAddr) -> Result<Slot, Error> {
        let limit = self.limits().connections_per_address.saturating_mul(CONNECTIONS_PER_WEBSOCKET);
        self.hold_for(Counted::Connections, address, limit)
    }

    /// Takes one of an address's WebSockets. Loopback may be a proxy on this machine, or a test, and has no limit.
    ///
    /// # Errors
    /// [`Error::TooManyFromAddress`].
    pub(crate) fn open_from(self: &Arc<Self>, address: IpAddr) -> Result<Option<Slot>, Error> {
        if address.to_canonical().is_loopback() {
            return Ok(None);
        }
        self.hold_for(Counted::WebSockets, address, self.limits().connections_per_address).map(Some)
    }

    /// The account for an address's bytes. Loopback has none, as for [`open_from`](Self::open_from).
    pub(crate) fn account(&self, address: IpAddr) -> Option<Arc<Account>> {
        if address.to_canonical().is_loopback() {
            return None;
        }
        let mut ledger = self.ledger();
        let key = ledger.hash(address);
        Some(ledger.accounts.of(key, self.limits(), Instant::now()))
    }

    /// Takes one of a group's connections.
    ///
    /// # Errors
    /// [`Error::GroupFull`].
    pub(crate) fn open_in(self: &Arc<Self>, group: Group) -> Result<Slot, Error> {
        let Group { name, connections } = group;
        self.hold(self.group_key.hash_one(&name), connections).ok_or(Error::GroupFull(name))
    }

    /// Counts a handshake or a request of an address.
    ///
    /// # Errors
    /// Fails with [`Error::TooManyFromAddress`] if they come too fast.
    pub(crate) fn pace(&self, paced: Paced, address: IpAddr) -> Result<(), Error> {
        if address.to_canonical().is_loopback() {
            return Ok(());
        }
        let now = Instant::now();
        let mut ledger = self.ledger();
        let hash = ledger.hash(address);
        if ledger.pace.len() >= MAX_PACED {
            ledger.pace.retain(|(paced, _), bucket| {
                let (burst, per_second) = paced.limits(self.limits());
                bucket.refill(burst, per_second, now);
                bucket.tokens < f64::from(burst)
            });
        }
        let (burst, per_second) = paced.limits(self.limits());
        let bucket = ledger.pace.entry((paced, hash)).or_insert_with(|| Bucket::full(burst, now));
        if bucket.take(burst, per_second, now) { Ok(()) } else { Err(Error::TooManyFromAddress) }
    }

    fn hold_for(self: &Arc<Self>, counted: Counted, address: IpAddr, limit: u32) -> Result<Slot, Error> {
        let holder = {
            let ledger = self.ledger();
            ledger.key.hash_one((counted, ledger.hash(address)))
        };
        self.hold(holder, limit).ok_or(Error::TooManyFromAddress)
    }

    fn hold(self: &Arc<Self>, hash: u64, limit: u32) -> Option<Slot> {
        let holder = Holder::new(hash).unwrap_or(Holder::MAX);
        let mut ledger = self.ledger();
        let open = ledger.open.entry(holder).or_default();
        if *open >= limit {
            return None;
        }
        *open += 1;
        Some(Slot { quotas: Arc::clone(self), holder: Some(holder) })
    }

    /// Gives back a slot.
    pub(crate) fn give_back(&self, holder: Holder) {
        let mut ledger = self.ledger();
        if let Some(open) = ledger.open.get_mut(&holder) {
            *open -= 1;
            if *open == 0 {
                ledger.open.remove(&holder);
            }
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // Nothing that holds the lock can panic halfway through a change.
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        if ledger.key_since.elapsed() >= KEY_LIFETIME {
            ledger.key = RandomState::new();
            ledger.key_since = Instant::now();
            ledger.pace.clear();
        }
        ledger
    }
}

impl Ledger {
    /// An IPv6 customer has a whole /64, so all its addresses count as one. A gateway that translates IPv4 (RFC 6052) gives all
    /// readers addresses of one network, so there each IPv4 address counts.
    fn hash(&self, address: IpAddr) -> u64 {
        match address.to_canonical() {
            IpAddr::V4(address) => self.key.hash_one(address),
            IpAddr::V6(address) if address.to_bits() >> 32 == TRANSLATED => {
                self.key.hash_one(Ipv4Addr::from_bits(address.to_bits() as u32))
            }
            IpAddr::V6(address) => self.key.hash_one(address.to_bits() >> 64),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(holder) = self.holder {
            self.quotas.give_back(holder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(limits: Limits) -> Arc<Quotas> {
        let config = Live::new(Config { limits, ..Config::default() });
        Arc::new(Quotas::new(config, Arc::new(Metrics::new())))
    }

    #[test]
    fn websockets_of_an_address_are_limited_and_given_back() {
        let quotas = quotas(Limits { connections_per_address: 2, ..Limits::default() });
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = quotas.open_from(address("192.0.2.1")).unwrap().unwrap();
        let _second = quotas.open_from(address("::ffff:192.0.2.1")).unwrap().unwrap();
        assert!(quotas.open_from(address("192.0.2.1")).is_err());
        assert!(quotas.open_from(address("192.0.2.2")).is_ok());
        drop(first);
        assert!(quotas.open_from(address("192.0.2.1")).is_ok());
        assert!(quotas.open_from(address("127.0.0.1")).unwrap().is_none());
    }

    #[test]
    fn other_connections_do_not_use_up_the_websockets_of_an_address() {
        let quotas = quotas(Limits { connections_per_address: 1, ..Limits::default() });
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let held: Vec<_> = (0..8).map(|_| quotas.connect_from(address).unwrap()).collect();
        assert!(quotas.connect_from(address).is_err(), "they have a limit of their own");
        let _websocket = quotas.open_from(address).unwrap();
        assert!(quotas.open_from(address).is_err());
        drop(held);
        assert!(quotas.connect_from(address).is_ok());
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_limit() {
        let quotas = quotas(Limits { connections_per_address: 1, ..Limits::default() });
        let _slot = quotas.open_from("2001:db8:1:2::1".parse().unwrap()).unwrap();
        assert!(quotas.open_from("2001:db8:1:2:ffff::9".parse().unwrap()).is_err());
        assert!(quotas.open_from("2001:db8:1:3::1".parse().unwrap()).is_ok());
    }

    #[test]
    fn translated_ipv4_addresses_have_a_limit_each() {
        let quotas = quotas(Limits { connections_per_address: 1, ..Limits::default() });
        let _slot = quotas.open_from("64:ff9b::192.0.2.1".parse().unwrap()).unwrap();
        assert!(quotas.open_from("64:ff9b::192.0.2.2".parse().unwrap()).is_ok());
        assert!(quotas.open_from("192.0.2.1".parse().unwrap()).is_err(), "this is the same reader");
    }

    #[test]
    fn connections_of_a_group_are_limited_and_given_back() {
        let quotas = quotas(Limits::default());
        let open = |name: &str| quotas.open_in(Group { name: name.into(), connections: 1 });
        let first = open("lobbies").unwrap();
        assert!(matches!(open("lobbies"), Err(Error::GroupFull(name)) if name == "lobbies"));
        assert!(open("games").is_ok());
        drop(first);
        assert!(open("lobbies").is_ok());
    }

    #[test]
    fn handshakes_and_requests_have_separate_rates() {
        let limits = Limits { handshake_burst: 2, handshakes_per_second: 1, request_burst: 1, ..Limits::default() };
        let quotas = quotas(Limits { requests_per_second: 1, ..limits });
        let pace = |paced, address: &str| quotas.pace(paced, address.parse().unwrap());
        pace(Paced::Handshake, "192.0.2.1").unwrap();
        pace(Paced::Handshake, "192.0.2.1").unwrap();
        assert!(pace(Paced::Handshake, "192.0.2.1").is_err());
        pace(Paced::Request, "192.0.2.1").unwrap();
        assert!(pace(Paced::Request, "192.0.2.1").is_err());
        pace(Paced::Handshake, "192.0.2.2").unwrap();
    }

    #[test]
    fn a_bucket_refills_up_to_its_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::full(2, start);
        assert!(bucket.take(2, 1, start) && bucket.take(2, 1, start) && !bucket.take(2, 1, start));
        let later = start + Duration::from_secs(60);
        assert!(bucket.take(2, 1, later) && bucket.take(2, 1, later) && !bucket.take(2, 1, later));
    }
}
