//! The clock behind all rooms' alarms. A room has one alarm, which is kept across restarts and runs at least once.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use tokio::{sync::Notify, time::Instant};

use super::RoomKey;
use crate::storage::{ALARMS, Db, StorageError, after_prefix, joined};

/// How long to wait before a failed alarm runs again. The wait doubles each time.
const RETRY: Duration = Duration::from_secs(2);
/// How often a failed alarm runs again before it is given up.
const RETRIES: u32 = 6;

/// Sets, cancels and fires alarms. Within a run it uses monotonic time only. Cloning gives another handle.
#[derive(Clone)]
pub(crate) struct AlarmClock(Arc<Shared>);

struct Shared {
    /// Stores the alarms.
    db: Db,
    /// The wall clock, in milliseconds since 1970. The machine's owner or its time service can set it.
    wall: fn() -> u64,
    /// All alarms that are set.
    alarms: Mutex<Alarms>,
    /// Wakes the caller of `next` when the first alarm may have changed.
    wake: Notify,
}

#[derive(Default)]
struct Alarms {
    /// When each is due, and how often it has failed.
    by_room: HashMap<RoomKey, (Instant, u32)>,
    /// The same in the order in which they are due.
    by_time: BTreeSet<(Instant, RoomKey)>,
    /// Alarms that are being handled, or are on the way to their rooms, and how often each has failed. Setting or cancelling an
    /// alarm removes it here, because the old one must not run any more.
    ringing: HashMap<RoomKey, u32>,
}

impl Alarms {
    fn insert(&mut self, room: RoomKey, delay: Duration, failures: u32) {
        // A century is as good as never, and no clock overflows.
        const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        let due = Instant::now() + delay.min(NEVER);
        self.remove(&room);
        self.by_room.insert(room.clone(), (due, failures));
        self.by_time.insert((due, room));
    }

    fn remove(&mut self, room: &RoomKey) {
        self.ringing.remove(room);
        if let Some((due, _)) = self.by_room.remove(room) {
            self.by_time.remove(&(due, room.clone()));
        }
    }
}

/// A stored alarm. After a restart the alarm never waits longer than the delay, however the wall clock was set.
#[derive(Serialize, Deserialize)]
struct Row {
    /// When it is due, in milliseconds since 1970.
    due_ms: u64,
    /// Milliseconds from when it was set until it is due.
    delay_ms: u64,
}

impl AlarmClock {
    /// Loads the alarms that were set when the server last ran. `wall` is the wall clock, because only that can tell how long
    /// the server was stopped.
    pub(crate) async fn load(
        db: Db,
        wall: fn() -> u64,
        key: impl Fn(&str, &str) -> Option<RoomKey>,
    ) -> Result<Self, StorageError> {
        let rows = db.list(ALARMS.to_vec(), after_prefix(ALARMS), false, usize::MAX).await?;
        let clock = Self(Arc::new(Shared { db, wall, alarms: Mutex::default(), wake: Notify::new() }));
        for (row_key, value) in rows {
            let row_key = String::from_utf8_lossy(&row_key);
            let mut parts = row_key.split('\0').skip(1);
            let (Some(name), Some(id)) = (parts.next(), parts.next()) else { continue };
            // A party that was removed keeps its alarms until it comes back.
            let Some(room) = key(name, id) else { continue };
            let Ok(row) = serde_json::from_slice::<Row>(&value) else { continue };
            let left = row.due_ms.saturating_sub(wall()).min(row.delay_ms);
            clock.alarms().insert(room, Duration::from_millis(left), 0);
        }
        Ok(clock)
    }

    /// Sets a room's alarm, and replaces the one it may have.
    pub(crate) fn set(&self, room: &RoomKey, delay: Duration) {
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let row = Row { due_ms: (self.0.wall)().saturating_add(delay_ms), delay_ms };
        // Two numbers can always be written as JSON.
        if let Ok(row) = serde_json::to_vec(&row) {
            // If this fails, the alarm is lost at a restart. The error is already logged.
            let _ = self.0.db.write([(db_key(room), Some(row.into()))].into());
        }
        self.alarms().insert(room.clone(), delay, 0);
        self.0.wake.notify_one();
    }

    /// Time until the room's alarm. `None` if there is none, and while it is being handled.
    pub(crate) fn get(&self, room: &RoomKey) -> Option<Duration> {
        self.alarms().by_room.get(room).map(|(due, _)| due.saturating_duration_since(Instant::now()))
    }

    /// Deletes the room's alarm.
    pub(crate) fn cancel(&self, room: &RoomKey) {
        self.alarms().remove(room);
        // If this fails, the alarm runs once more after a restart. The error is already logged.
        let _ = self.0.db.write([(db_key(room), None)].into());
    }

    /// Whether the alarm that is on its way to the room is still wanted.
    pub(crate) fn is_ringing(&self, room: &RoomKey) -> bool {
        self.alarms().ringing.contains_key(room)
    }

    /// The alarm is done. If a new one was set meanwhile, that one stays.
    pub(crate) fn done(&self, room: &RoomKey) {
        if self.is_ringing(room) {
            self.cancel(room);
        }
    }

    /// The alarm failed. It runs again after the returned delay, which grows each time, or is given up. Until then it stays on
    /// disk. If it was set or cancelled meanwhile, nothing changes.
    pub(crate) fn failed(&self, room: &RoomKey) -> Option<Duration> {
        let failures = self.alarms().ringing.get(room).copied()?;
        if failures >= RETRIES {
            self.cancel(room);
            return None;
        }
        let delay = RETRY * 2_u32.pow(failures);
        self.alarms().insert(room.clone(), delay, failures + 1);
        self.0.wake.notify_one();
        Some(delay)
    }

    /// The alarm's room could not start. This does not count as a failure of the alarm.
    pub(crate) fn postpone(&self, room: &RoomKey) {
        let mut alarms = self.alarms();
        if let Some(failures) = alarms.ringing.get(room).copied() {
            alarms.insert(room.clone(), RETRY, failures);
            drop(alarms);
            self.0.wake.notify_one();
        }
    }

    /// Waits for the next alarm that is due.
    pub(crate) async fn next(&self) -> RoomKey {
        loop {
            let first = self.alarms().by_time.first().map(|(due, _)| *due);
            match first {
                Some(due) if due <= Instant::now() => {
                    let mut alarms = self.alarms();
                    if let Some((_, room)) = alarms.by_time.pop_first() {
                        let failures = alarms.by_room.remove(&room).map_or(0, |(_, failures)| failures);
                        alarms.ringing.insert(room.clone(), failures);
                        return room;
                    }
                }
                Some(due) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(due) => {}
                        () = self.0.wake.notified() => {}
                    }
                }
                None => self.0.wake.notified().await,
            }
        }
    }

    fn alarms(&self) -> MutexGuard<'_, Alarms> {
        // Nothing that holds the lock can panic halfway through a change.
        self.0.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn db_key(room: &RoomKey) -> Vec<u8> {
    [ALARMS, &joined(&[room.party().as_bytes(), room.id().as_bytes()])].concat()
}

/// Milliseconds since 1970. The machine's owner or its time service can set this clock.
#[must_use]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::party::RoomId;

    const NOON_MS: u64 = 1_800_000_000_000;
    const HOUR: Duration = Duration::from_secs(3600);
    const DAY_MS: u64 = 24 * 3_600_000;
    const SOON: Duration = Duration::from_millis(200);

    static WALL_MS: AtomicU64 = AtomicU64::new(0);

    fn wall() -> u64 {
        WALL_MS.load(Ordering::Relaxed)
    }

    fn room(id: &str) -> RoomKey {
        RoomKey::new("clock", RoomId::new(id.to_owned())).unwrap()
    }

    async fn load(db: &Db) -> AlarmClock {
        AlarmClock::load(db.clone(), wall, |party, id| (party == "clock").then(|| room(id))).await.unwrap()
    }

    #[tokio::test]
    async fn alarms_are_not_late_when_the_wall_clock_jumps_by_a_day() {
        for (jumped_to, left_after_a_restart) in [(NOON_MS - DAY_MS, HOUR), (NOON_MS + DAY_MS, Duration::ZERO)] {
            let folder = tempfile::tempdir().unwrap();
            let db = Db::open(&folder.path().join("data")).unwrap();
            let [soon, far] = ["soon", "far"].map(room);
            WALL_MS.store(NOON_MS, Ordering::Relaxed);
            let clock = load(&db).await;
            let set = Instant::now();
            clock.set(&soon, SOON);
            clock.set(&far, HOUR);

            WALL_MS.store(jumped_to, Ordering::Relaxed);
            let rang = tokio::time::timeout(Duration::from_secs(20), clock.next()).await.expect("an alarm rings");
            assert_eq!(rang, soon);
            assert!(set.elapsed() >= SOON, "it rang after {:?}", set.elapsed());
            let left = clock.get(&far).unwrap();
            assert!(left <= HOUR && left + set.elapsed() >= HOUR, "{left:?} are left of {HOUR:?}");

            // The delay limits the wait. After a jump of the clock, the alarm runs early rather than never.
            let left = load(&db).await.get(&far).unwrap();
            assert!(left <= left_after_a_restart && left + set.elapsed() >= left_after_a_restart, "{left:?}");
            db.close(std::time::Duration::from_secs(20)).await;
        }
    }
}
