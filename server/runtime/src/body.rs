//! Reads the bodies of requests. Each has limits of bytes and time, counts against its sender's address, and all together have
//! a limit, too.
//!
//! Bodies that have arrived completely are not counted here. The limits of rooms and calls bound them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Uri};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    account::{Account, Reservation},
    config::Config,
    error::Error,
    limits::Limits,
    party::Response,
    reload::Live,
};

/// How long a refused client may go on sending before it gets its answer. Most have sent everything by then. Others may see a
/// reset instead of the answer.
const DISCARD_TIME: Duration = Duration::from_secs(1);
/// Refused bodies that are read at the same time, because each needs a buffer.
const MAX_DISCARDED: usize = 32;
/// If an address holds more than one in this many of all bytes, it must give up one of its own bodies.
const FAIR_PART: usize = 8;

/// A request whose body may not have arrived. It is boxed, because each future that hands it on has two places for it.
pub(crate) type Request = Box<hyper::Request<Incoming>>;

/// The bodies that are arriving.
pub(crate) struct Bodies {
    /// The limits of bytes and time.
    config: Arc<Live<Config>>,
    /// The bodies that have arrived in part.
    arriving: Mutex<Arriving>,
    /// Permits to read a refused body.
    discards: Semaphore,
}

#[derive(Default)]
struct Arriving {
    /// The bodies in the order in which they began. The first one is the slowest.
    bodies: BTreeMap<u64, Part>,
    /// The key of the next body.
    next: u64,
    /// Bytes of all bodies together.
    bytes: usize,
    /// Bytes of the bodies of each address.
    of_address: HashMap<Option<u64>, usize>,
}

/// The part of a body that has arrived.
struct Part {
    /// The keyed hash of its sender's address. `None` for a program on this machine.
    address: Option<u64>,
    /// Bytes that have arrived.
    bytes: usize,
    /// Tells its reader that the body was given up.
    given_up: CancellationToken,
}

impl Bodies {
    pub(crate) fn new(config: Arc<Live<Config>>) -> Self {
        Self { config, arriving: Mutex::default(), discards: Semaphore::new(MAX_DISCARDED) }
    }

    fn limits(&self) -> &'static Limits {
        &self.config.get().limits
    }

    /// Reads a body to its end. Keep the reservation as long as the body.
    ///
    /// # Errors
    /// [`Error::TooMuchFromAddress`] before anything is read, [`Error::Body`], [`Error::BrokenBody`], or [`Error::TooManyBodies`].
    pub(crate) async fn read(
        &self,
        body: Incoming,
        account: Option<Arc<Account>>,
    ) -> Result<(Bytes, Reservation), Error> {
        if body.is_end_stream() {
            return Ok((Bytes::new(), Reservation::default()));
        }
        let key = account.as_deref().map(Account::key);
        // The bytes are reserved before they arrive, because many slow bodies are held at the same time.
        let most = body.size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX);
        let held = Reservation::of(account, most.min(self.limits().body_bytes))?;
        let (arrival, given_up) = self.begin(key);
        tokio::select! {
            whole = timeout(self.limits().body_timeout, self.collect(body, &arrival)) => Ok((whole.map_err(|_| self.unfit())??, held)),
            () = given_up.cancelled() => Err(Error::TooManyBodies),
        }
    }

    async fn collect(&self, mut body: Incoming, arrival: &Arrival<'_>) -> Result<Bytes, Error> {
        let mut whole: Vec<u8> = Vec::new();
        while let Some(frame) = body.frame().await {
            // Trailers are ignored.
            let Ok(data) = frame.map_err(|_| Error::BrokenBody)?.into_data() else { continue };
            if data.len() > self.limits().body_bytes.saturating_sub(whole.len()) {
                return Err(self.unfit());
            }
            arrival.grow(data.len())?;
            // The data is copied, because each small piece would keep a larger buffer alive. The copy grows in small steps,
            // because the body may never be complete.
            if whole.capacity() - whole.len() < data.len() {
                whole.reserve_exact(data.len().max(whole.len() / 4));
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.into())
    }

    /// Reads a refused body for a short time, so that the client reads the answer instead of a reset. If many are refused at
    /// once, some clients still see a reset.
    pub(crate) async fn discard(&self, mut body: Incoming) {
        let Ok(_permit) = self.discards.try_acquire() else { return };
        let rest = async {
            let mut left = self.limits().body_bytes;
            while let Some(Ok(frame)) = body.frame().await {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                if bytes > left {
                    return;
                }
                left -= bytes;
            }
        };
        // A client that is too slow gets its answer anyway.
        let _ = timeout(self.limits().body_timeout.min(DISCARD_TIME), rest).await;
    }

    fn unfit(&self) -> Error {
        Error::Body { limit: self.limits().body_bytes }
    }

    fn begin(&self, address: Option<u64>) -> (Arrival<'_>, CancellationToken) {
        let mut arriving = self.arriving();
        let (key, given_up) = (arriving.next, CancellationToken::new());
        arriving.next += 1;
        arriving.bodies.insert(key, Part { address, bytes: 0, given_up: given_up.clone() });
        (Arrival { bodies: self, key }, given_up)
    }

    fn arriving(&self) -> MutexGuard<'_, Arriving> {
        // Nothing that holds the lock can panic halfway through a change.
        self.arriving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body's entry among those that are arriving. Dropping it gives back its bytes.
struct Arrival<'a> {
    /// The bodies that it belongs to.
    bodies: &'a Bodies,
    /// Its key there.
    key: u64,
}

impl Arrival<'_> {
    /// Adds bytes that have arrived. Another body may be given up for them, or this one.
    fn grow(&self, bytes: usize) -> Result<(), Error> {
        let limits = self.bodies.limits();
        // One body of the largest size must fit.
        let in_all = limits.body_bytes_in_all.max(limits.body_bytes);
        self.bodies.arriving().grow(self.key, bytes, in_all)
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.bodies.arriving().remove(self.key);
    }
}

impl Arriving {
    fn grow(&mut self, key: u64, bytes: usize, limit: usize) -> Result<(), Error> {
        let part = self.bodies.get_mut(&key).ok_or(Error::TooManyBodies)?;
        let address = part.address;
        part.bytes += bytes;
        self.bytes += bytes;
        *self.of_address.entry(address).or_default() += bytes;
        while self.bytes > limit
            && let Some(slowest) = self.slowest(key, address, limit / FAIR_PART)
        {
            if let Some(part) = self.remove(slowest) {
                part.given_up.cancel();
            }
        }
        self.bodies.contains_key(&key).then_some(()).ok_or(Error::TooManyBodies)
    }

    /// The body that is given up for this one. If its address holds more than `fair_part`, it is one of the same address.
    fn slowest(&self, key: u64, address: Option<u64>, fair_part: usize) -> Option<u64> {
        let has_much = self.of_address.get(&address).is_some_and(|&bytes| bytes > fair_part);
        let mut held = self.bodies.iter().filter(|(_, part)| part.bytes > 0);
        let own = held.clone().find(|&(&other, part)| has_much && part.address == address && other != key);
        own.or_else(|| held.next()).map(|(&key, _)| key)
    }

    fn remove(&mut self, key: u64) -> Option<Part> {
        let part = self.bodies.remove(&key)?;
        self.bytes -= part.bytes;
        if let Some(bytes) = self.of_address.get_mut(&part.address) {
            *bytes -= part.bytes;
            if *bytes == 0 {
                self.of_address.remove(&part.address);
            }
        }
        Some(part)
    }
}

/// Copies the address and the headers of a request whose body has not arrived yet. hyper's own values keep its first buffer
/// alive, and it needs another one for the body.
pub(crate) fn detached(request: hyper::Request<Incoming>) -> Request {
    if request.body().is_end_stream() {
        return Request::new(request);
    }
    let (mut head, body) = request.into_parts();
    if let Ok(copy) = Uri::try_from(head.uri.to_string()) {
        head.uri = copy;
    }
    for value in head.headers.values_mut() {
        if let Ok(copy) = HeaderValue::from_bytes(value.as_bytes()) {
            *value = copy;
        }
    }
    Request::new(hyper::Request::from_parts(head, body))
}

/// The body of an answer, and what is reserved for it.
struct Answer {
    bytes: Bytes,
    _held: Reservation,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// An answer whose body counts against the address until all of it is sent. Otherwise a client that reads none of its answers could
/// make the server hold any number of them.
///
/// # Errors
/// [`Error::TooMuchFromAddress`].
pub(crate) fn held(answer: Response, account: Option<Arc<Account>>) -> Result<Response, Error> {
    if account.is_none() {
        return Ok(answer);
    }
    let held = Reservation::of(account, answer.body().len())?;
    Ok(answer.map(|bytes| Bytes::from_owner(Answer { bytes, _held: held })))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::{account::Accounts, metrics::Metrics};

    fn with(body_bytes_in_all: usize) -> Bodies {
        let limits = Limits { body_bytes: 100, body_bytes_in_all, ..Limits::default() };
        Bodies::new(Live::new(Config { limits, ..Config::default() }))
    }

    /// Bodies with a common limit of a thousand bytes.
    fn bodies() -> Bodies {
        with(1_000)
    }

    #[test]
    fn the_slowest_body_is_given_up_when_the_limit_is_reached() {
        let bodies = bodies();
        let waiting = bodies.begin(Some(0));
        let arrivals: Vec<_> = (1..=11).map(|address| bodies.begin(Some(address))).collect();
        let given_up = || arrivals.iter().filter(|(_, given_up)| given_up.is_cancelled()).count();
        arrivals[..10].iter().for_each(|(arrival, _)| arrival.grow(100).unwrap());
        assert_eq!(given_up(), 0);
        arrivals[10].0.grow(1).unwrap();
        assert!(given_up() == 1 && arrivals[0].1.is_cancelled(), "one is enough");
        assert!(matches!(arrivals[0].0.grow(1), Err(Error::TooManyBodies)), "it is not read any more");
        waiting.0.grow(1).unwrap();
    }

    #[test]
    fn an_address_that_holds_much_gives_up_its_own_bodies() {
        let bodies = bodies();
        let (slow, slow_given_up) = bodies.begin(Some(1));
        slow.grow(50).unwrap();
        let attack: Vec<_> = (0..20).map(|_| bodies.begin(Some(2))).collect();
        attack.iter().for_each(|(arrival, _)| arrival.grow(90).unwrap());
        let given_up = || attack.iter().filter(|(_, given_up)| given_up.is_cancelled()).count();
        assert_eq!(given_up(), 10);
        assert!(!slow_given_up.is_cancelled(), "it began first, but at another address");
    }

    #[test]
    fn an_answer_counts_until_all_of_it_is_sent() {
        let account = Accounts::new(Arc::new(Metrics::new())).of(
            1,
            &Limits { bytes_per_address: 100, ..Limits::default() },
            Instant::now(),
        );
        let answer = || held(Response::new(Bytes::from_static(&[0; 60])), Some(Arc::clone(&account)));
        let mut first = answer().unwrap().into_body();
        assert!(matches!(answer(), Err(Error::TooMuchFromAddress)));
        let sent = first.split_to(50);
        drop(sent);
        assert!(answer().is_err(), "the rest is not sent yet");
        drop(first);
        assert!(answer().is_ok());
        assert!(held(Response::new(Bytes::from_static(&[0; 200])), None).is_ok(), "loopback has no limit");
    }

    #[test]
    fn a_single_body_of_the_largest_size_always_fits() {
        let bodies = with(1);
        let (only, given_up) = bodies.begin(None);
        only.grow(100).unwrap();
        assert!(!given_up.is_cancelled());
    }

    #[test]
    fn a_finished_body_gives_back_its_bytes() {
        let bodies = bodies();
        for address in 0..100 {
            let (arrival, given_up) = bodies.begin(Some(address));
            arrival.grow(100).unwrap();
            assert!(!given_up.is_cancelled());
        }
        let arriving = bodies.arriving();
        assert!(arriving.bytes == 0 && arriving.bodies.is_empty() && arriving.of_address.is_empty());
    }
}
