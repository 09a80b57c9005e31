//! How many bytes of memory each address makes the server hold. They are estimated where memory is taken, and given back later.
//!
//! [`quota`](crate::quota) counts the connections of each address, and how fast they come.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{error::Error, limits::Limits, metrics::Metrics, refusals};

/// Empty accounts are looked for only if there are at least this many accounts.
const MIN_ACCOUNTS: usize = 64;

/// The accounts of all addresses.
pub(crate) struct Accounts {
    /// By the keyed hash of the address.
    by_address: HashMap<u64, Arc<Account>>,
    /// When there are this many accounts, empty ones are looked for and dropped.
    crowded: usize,
    /// Where refusals are counted.
    metrics: Arc<Metrics>,
}

/// The account of one address, shared by all of its connections.
pub(crate) struct Account {
    /// The keyed hash of the address.
    key: u64,
    /// Bytes that the address may hold.
    limit: AtomicUsize,
    /// How long bytes still count after they are given back, because rooms stay in memory that long.
    linger: Duration,
    /// Where refusals are counted.
    metrics: Arc<Metrics>,
    /// What the address holds now.
    balance: Mutex<Balance>,
}

struct Balance {
    /// Bytes that count now, including those that were given back recently.
    held: usize,
    /// Bytes that were given back in the period before the current one, and in the current one.
    lingering: [usize; 2],
    /// When the current period began. A period is as long as `linger`.
    since: Instant,
}

/// Bytes of memory that an address holds. They are given back when this is dropped.
///
/// See [`Connection::reserve`](crate::party::Connection::reserve). It is small, because each viewer may have one.
#[derive(Default)]
pub struct Reservation {
    /// Whose bytes they are. Without an account they are not counted.
    account: Option<Arc<Account>>,
    /// How many bytes.
    bytes: u32,
    /// Whether they still count for a while after they are given back.
    lingers: bool,
}

impl Accounts {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { by_address: HashMap::new(), crowded: MIN_ACCOUNTS, metrics }
    }

    /// The account of the address with this hash.
    pub(crate) fn of(&mut self, key: u64, limits: &Limits, now: Instant) -> Arc<Account> {
        if self.by_address.len() >= self.crowded && !self.by_address.contains_key(&key) {
            self.by_address.retain(|_, account| Arc::strong_count(account) > 1 || account.held(now) > 0);
            self.crowded = MIN_ACCOUNTS.max(2 * self.by_address.len());
        }
        let account = self.by_address.entry(key).or_insert_with(|| {
            let balance = Mutex::new(Balance { held: 0, lingering: [0; 2], since: now });
            Arc::new(Account {
                key,
                metrics: Arc::clone(&self.metrics),
                limit: AtomicUsize::new(limits.bytes_per_address),
                linger: limits.room_idle,
                balance,
            })
        });
        // The limit may have changed since.
        account.limit.store(limits.bytes_per_address, Ordering::Relaxed);
        Arc::clone(account)
    }
}

impl Account {
    /// A number that no other address has.
    pub(crate) fn key(&self) -> u64 {
        self.key
    }

    /// Bytes that count now.
    fn held(&self, now: Instant) -> usize {
        self.balance(now).held
    }

    fn take(&self, bytes: usize, now: Instant) -> Result<(), Error> {
        let mut balance = self.balance(now);
        if bytes > self.limit.load(Ordering::Relaxed).saturating_sub(balance.held) {
            return Err(Error::TooMuchFromAddress);
        }
        balance.held += bytes;
        Ok(())
    }

    fn give_back(&self, bytes: usize, lingers: bool, now: Instant) {
        let mut balance = self.balance(now);
        match lingers {
            true => balance.lingering[1] += bytes,
            false => balance.held -= bytes,
        }
    }

    fn balance(&self, now: Instant) -> MutexGuard<'_, Balance> {
        // Nothing that holds the lock can panic halfway through a change.
        let mut balance = self.balance.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(balance.since);
        if passed >= self.linger {
            let [before, since] = balance.lingering;
            let (over, lingering) =
                if passed >= 2 * self.linger { (before + since, [0; 2]) } else { (before, [since, 0]) };
            *balance = Balance { held: balance.held - over, lingering, since: now };
        }
        balance
    }
}

impl Reservation {
    /// A reservation whose bytes still count for a while after they are given back. Without an account they are not counted.
    pub(crate) fn lingering(account: Option<Arc<Account>>) -> Self {
        Self { account, bytes: 0, lingers: true }
    }

    /// A reservation of these bytes. Without an account they are not counted.
    ///
    /// # Errors
    /// Fails with [`Error::TooMuchFromAddress`].
    pub(crate) fn of(account: Option<Arc<Account>>, bytes: usize) -> Result<Self, Error> {
        let mut reservation = Self { account, bytes: 0, lingers: false };
        reservation.take(bytes)?;
        Ok(reservation)
    }

    /// How many bytes this holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }

    /// Reserves this many bytes more. If it fails, it reserves none.
    ///
    /// # Errors
    /// Fails with [`Error::TooMuchFromAddress`] if the address would hold more than
    /// [`Limits::bytes_per_address`](crate::Limits::bytes_per_address), or this reservation more than 4 GB. The log says so.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Error> {
        self.take(bytes).inspect_err(|error| {
            if let Some(account) = &self.account {
                refusals::tell(error, None, &account.metrics);
            }
        })
    }

    /// Gives back all but this many bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        let stay = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes);
        let over = self.bytes() - usize::try_from(stay).unwrap_or(usize::MAX);
        if let Some(account) = self.account.as_ref().filter(|_| over > 0) {
            account.give_back(over, self.lingers, Instant::now());
        }
        self.bytes = stay;
    }

    fn take(&mut self, bytes: usize) -> Result<(), Error> {
        let sum = u32::try_from(bytes).ok().and_then(|bytes| self.bytes.checked_add(bytes));
        let sum = sum.ok_or(Error::TooMuchFromAddress)?;
        if let Some(account) = &self.account {
            account.take(bytes, Instant::now())?;
        }
        self.bytes = sum;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINGER: Duration = Duration::from_secs(10);

    fn limits(bytes_per_address: usize) -> Limits {
        Limits { bytes_per_address, room_idle: LINGER, ..Limits::default() }
    }

    #[test]
    fn all_connections_of_an_address_share_its_limit() {
        let mut accounts = Accounts::new(Arc::new(Metrics::new()));
        let mut account = |key| Some(accounts.of(key, &limits(100), Instant::now()));
        let one = Reservation::of(account(1), 60).unwrap();
        assert!(matches!(Reservation::of(account(1), 41), Err(Error::TooMuchFromAddress)));
        let mut other = Reservation::of(account(1), 40).unwrap();
        assert_eq!(Reservation::of(account(2), 100).unwrap().bytes(), 100);
        drop(one);
        other.grow(60).unwrap();
        assert!(other.grow(1).is_err());
        assert_eq!(other.bytes(), 100);
        other.shrink_to(10);
        assert!(Reservation::of(account(1), 90).is_ok());
    }

    #[test]
    fn a_reservation_without_an_account_is_limited_to_4_gb() {
        let mut reservation = Reservation::lingering(None);
        reservation.grow(4_000_000_000).unwrap();
        assert!(reservation.grow(1_000_000_000).is_err(), "it counts up to 4 GB");
        reservation.shrink_to(1);
        assert_eq!(reservation.bytes(), 1);
    }

    #[test]
    fn lingering_bytes_count_for_one_to_two_periods_after_they_are_given_back() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let account = Accounts::new(Arc::new(Metrics::new())).of(1, &limits(100), start);
        account.take(100, start).unwrap();
        account.give_back(60, true, at(3));
        assert!(account.take(1, at(3)).is_err());
        account.give_back(40, true, at(11));
        assert_eq!(account.held(at(12)), 100, "none of it is as old as a period");
        assert_eq!(account.held(at(22)), 40);
        assert_eq!(account.held(at(33)), 0);
        account.take(100, at(34)).unwrap();
        account.give_back(100, false, at(34));
        assert_eq!(account.held(at(34)), 0);
    }

    #[test]
    fn empty_accounts_are_forgotten_and_others_are_not() {
        let (mut accounts, start) = (Accounts::new(Arc::new(Metrics::new())), Instant::now());
        let mut kept = Reservation::lingering(Some(accounts.of(0, &limits(100), start)));
        kept.grow(100).unwrap();
        drop(accounts.of(1, &limits(100), start));
        accounts.of(1, &limits(100), start).take(1, start).unwrap();
        for key in 2..10_000 {
            drop(accounts.of(key, &limits(100), start));
        }
        assert!(accounts.by_address.len() <= MIN_ACCOUNTS, "{}", accounts.by_address.len());
        assert!(accounts.of(0, &limits(100), start).take(1, start).is_err());
        assert_eq!(accounts.of(1, &limits(100), start).held(start), 1, "it holds bytes, so it is not forgotten");
    }

    #[test]
    fn accounts_are_empty_after_all_reservations_are_dropped() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut accounts, start) = (Accounts::new(Arc::new(Metrics::new())), Instant::now());
        let mut held: Vec<Reservation> = Vec::new();
        for _ in 0..2_000 {
            match random.u8(..4) {
                0 => {
                    let account = Some(accounts.of(random.u64(..5), &limits(1_000), start));
                    held.extend(Reservation::of(account, random.usize(..300)).ok());
                }
                1 => {
                    let account = Some(accounts.of(random.u64(..5), &limits(1_000), start));
                    held.push(Reservation::lingering(account));
                }
                2 if !held.is_empty() => drop(held.swap_remove(random.usize(..held.len()))),
                _ if !held.is_empty() => {
                    let one = random.usize(..held.len());
                    match random.bool() {
                        true => drop(held[one].grow(random.usize(..300))),
                        false => held[one].shrink_to(random.usize(..300)),
                    }
                }
                _ => {}
            }
            for account in accounts.by_address.values() {
                assert!(account.held(Instant::now()) <= 1_000);
            }
        }
        held.clear();
        // After two periods nothing counts any more, however it was given back.
        for account in accounts.by_address.values() {
            account.held(start + 3 * LINGER);
            assert_eq!(account.held(start + 6 * LINGER), 0);
        }
    }
}
