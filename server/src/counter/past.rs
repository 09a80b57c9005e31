//! What a counter has stored: it reads it in small steps between other events, saves changes, and forgets old pages.

use std::time::Duration;

use connection_counter_protocol::PageId;
use serde::{Deserialize, Serialize};

use super::{Counter, Tally};
use crate::{
    Progress, Settings,
    notice::Notice,
    pace::RETRY,
    party::{Result, Room, unix_ms},
    stored,
};

/// How long the first event waits for the stored values. It is enough for most sites, and no one notices it.
pub(super) const PATIENCE_AT_START: Duration = Duration::from_millis(100);
/// How long each later event waits, if there are many values or the disk is slow.
pub(super) const PATIENCE: Duration = Duration::from_millis(10);
/// Wait before reading again after an error.
const READ_RETRY: Duration = Duration::from_secs(5);
/// Bytes of memory that a page takes at most, in addition to its id.
const PAGE_BYTES: usize = 400;
/// When a site's pages take too many bytes, one in this many of the allowed bytes is freed at once, because freeing means
/// searching all pages.
const FREED_DIVISOR: usize = 8;
/// The prefix of the keys of pages.
const PAGES: &str = "page:";
/// The prefix of all keys. Keys of pages come first.
pub(super) const ALL: &str = "";

/// A stored value.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    /// A row of the history.
    Row(Vec<u32>),
    /// The stored values of a page.
    Page(Remembered),
}

/// What remains true of a page after a restart.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Remembered {
    /// The highest count that it ever had.
    pub(super) peak: u32,
    /// When that was, in milliseconds since 1970.
    pub(super) peak_at_ms: u64,
    /// When its viewers last changed, in milliseconds since 1970. 0 if they never did.
    pub(super) last_activity_ms: u64,
}

impl Counter {
    /// Reads stored values for as long as `patience` allows. Counting must not wait for them.
    pub(super) async fn read_past(&mut self, room: &mut Room, patience: Duration) -> Result {
        let until = room.now() + patience;
        while let Some((reading, due)) = &mut self.past {
            let now = room.now();
            if *due > now {
                let wait = *due - now;
                self.tick_by(room, wait);
                return Ok(());
            }
            let wait = match reading.next(until.saturating_duration_since(now)).await {
                Ok(Progress::Rows(rows)) => {
                    self.recall(room, rows)?;
                    continue;
                }
                Ok(Progress::End) => {
                    self.past = None;
                    self.save(room)?;
                    self.history.recalled(self.recording.moment(room.now()));
                    self.save_history(room)?;
                    return if std::mem::take(&mut self.clean_up_due) { self.clean_up(room) } else { Ok(()) };
                }
                Ok(Progress::NotYet) => RETRY,
                Err(error) => {
                    static UNREAD: Notice = Notice::fault();
                    let site = room.id();
                    UNREAD.give(|| {
                        format!("peaks of {site} could not be read; counting goes on, and they are read again: {error}")
                    });
                    READ_RETRY
                }
            };
            *due = room.now() + wait;
        }
        Ok(())
    }

    /// Adds stored values. What has happened since the start is kept, too.
    fn recall(&mut self, room: &mut Room, rows: Vec<(String, Stored)>) -> Result {
        let pages_per_site = room.setting::<Settings>()?.limits.pages_per_site;
        for (key, stored) in rows {
            let past = match stored {
                Stored::Row(values) => {
                    self.history.recall(&key, &values);
                    continue;
                }
                Stored::Page(past) => past,
            };
            let Some(Ok(id)) = key.strip_prefix(PAGES).map(PageId::parse) else { continue };
            if self.pages.len() >= pages_per_site && !self.pages.contains_key(&id) {
                continue;
            }
            let remembered = &mut self.page(room, &id)?.remembered;
            if past.peak >= remembered.peak {
                (remembered.peak, remembered.peak_at_ms) = (past.peak, past.peak_at_ms);
            }
            remembered.last_activity_ms = remembered.last_activity_ms.max(past.last_activity_ms);
        }
        Ok(())
    }

    /// Stores what has changed.
    fn save(&mut self, room: &Room) -> Result {
        for (id, tally) in self.pages.iter_mut().filter(|(_, tally)| tally.unsaved) {
            tally.unsaved = !stored(room.storage().put(&page_key(id), &tally.remembered))?;
            if tally.unsaved {
                // The others wait for the next clean-up.
                break;
            }
        }
        Ok(())
    }

    /// If all pages together take too many bytes, forgets pages that no one views and no one links to, those viewed longest ago
    /// first.
    pub(super) fn free_memory(&mut self, room: &Room) -> Result {
        let most = room.setting::<Settings>()?.limits.bytes_per_site;
        if self.bytes <= most.max(self.crowded) {
            return Ok(());
        }
        let idle = self.pages.iter().filter(|(_, tally)| tally.total() == 0 && tally.subscribers.is_empty());
        let mut idle: Vec<_> = idle.map(|(id, tally)| (tally.remembered.last_activity_ms, id.clone())).collect();
        idle.sort_unstable();
        let freed = most / FREED_DIVISOR;
        for (_, id) in idle {
            if self.bytes <= most - freed {
                break;
            }
            self.remove(&id);
            stored(room.storage().delete(&page_key(&id)))?;
        }
        // If the remaining pages are in use, searching again for each new page would find nothing.
        self.crowded = self.bytes + freed;
        Ok(())
    }

    /// Removes a page.
    pub(super) fn remove(&mut self, id: &PageId) {
        if let Some(tally) = self.pages.remove(id) {
            self.bytes -= page_bytes(id);
            if let Some(feed) = &mut self.feed {
                feed.forget(id, tally.key);
            }
        }
    }

    /// Forgets pages that no one views, no one links to, and no one has viewed for a long time.
    pub(super) fn clean_up(&mut self, room: &Room) -> Result {
        self.save(room)?;
        let forget_after = u64::try_from(room.setting::<Settings>()?.forget_after.as_millis()).unwrap_or(u64::MAX);
        let before = unix_ms().saturating_sub(forget_after);
        let inactive = |tally: &Tally| {
            tally.total() == 0 && tally.subscribers.is_empty() && tally.remembered.last_activity_ms <= before
        };
        for (id, tally) in self.pages.extract_if(|_, tally| inactive(tally)) {
            self.bytes -= page_bytes(&id);
            stored(room.storage().delete(&page_key(&id)))?;
            if let Some(feed) = &mut self.feed {
                feed.forget(&id, tally.key);
            }
        }
        // Pages that were in use at the last search may not be any more.
        self.crowded = 0;
        self.free_memory(room)?;
        self.pages.shrink_to(2 * self.pages.len());
        self.forget_history(room)?;
        if !self.pages.is_empty() || !self.history.is_empty() {
            room.set_alarm(room.setting::<Settings>()?.cleanup_interval);
        }
        Ok(())
    }
}

/// Bytes of memory that a page takes.
pub(super) fn page_bytes(id: &PageId) -> usize {
    PAGE_BYTES + id.as_str().len()
}

pub(super) fn page_key(id: &PageId) -> String {
    format!("{PAGES}{id}")
}
