//! Tells pages the counts that they watch: at once if they have waited long enough, and otherwise with a later tick.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use connection_counter_protocol::{PageId, PageRequest};

use super::{Counter, Tally};
use crate::{
    Settings,
    pace::RETRY,
    party::{Request, Result, Room, post},
};

/// Messages to pages after which other rooms get their turn.
const BREATH: usize = 256;

/// The messages to subscribers, by the pages that they are about.
type Bodies = HashMap<BTreeSet<PageId>, Request>;

impl Counter {
    /// Tells these subscribers their news if it is time. After a quiet time this is at once. The others are told with a later
    /// tick.
    pub(super) async fn tell(&mut self, room: &mut Room, subscribers: Vec<PageId>) -> Result {
        let everyone = self.subscribers.len();
        let shortest = room.setting::<Settings>()?.update_interval;
        let interval = self.budget.interval_after(room.now(), subscribers.len(), everyone, shortest);
        // Nearly always all of them need the same message, so it is encoded once.
        let mut bodies = HashMap::new();
        for some in subscribers.chunks(BREATH) {
            let start = room.processor_time();
            let told = self.tell_some(room, some, interval, &mut bodies)?;
            self.budget.spent(room.now(), room.processor_time().saturating_sub(start), told, everyone);
            if some.len() == BREATH {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Tells some subscribers, each again only after `interval`. Returns how many were told.
    fn tell_some(
        &mut self,
        room: &mut Room,
        subscribers: &[PageId],
        interval: Duration,
        bodies: &mut Bodies,
    ) -> Result<u32> {
        let (mut told, now) = (0, room.now());
        for subscriber in subscribers {
            let wait = self.tell_one(room, subscriber, interval, bodies)?;
            told += u32::from(wait.is_none());
            if let Some(wait) = wait
                && let Some(state) = self.subscribers.get_mut(subscriber)
                && !std::mem::replace(&mut state.waits, true)
            {
                self.waiting.insert((now + wait, subscriber.clone()));
                self.tick_by(room, wait);
            }
        }
        Ok(told)
    }

    /// Tells one subscriber its news. Returns how long to wait if it is too early.
    fn tell_one(
        &mut self,
        room: &Room,
        subscriber: &PageId,
        interval: Duration,
        bodies: &mut Bodies,
    ) -> Result<Option<Duration>> {
        let Some(state) = self.subscribers.get_mut(subscriber).filter(|state| !state.news.is_empty()) else {
            return Ok(None);
        };
        let now = room.now();
        let recovering = self.recovering_until.map(|until| until.saturating_duration_since(now));
        let wait = state.pace.wait(now, room.is_rush() && !state.asked).max(recovering.unwrap_or_default());
        if !wait.is_zero() {
            return Ok(Some(wait));
        }
        let request = match bodies.get(&state.news) {
            Some(request) => request.clone(),
            None => {
                let viewers = |id: &PageId| self.pages.get(id).map_or(0, Tally::total);
                let connections = state.news.iter().map(|id| (id.clone(), viewers(id))).collect();
                let update = PageRequest::Update { connections, sequence: Some(room.next_sequence()) };
                let mut request = post(&update)?;
                request.extensions_mut().insert(self.budget.bill().clone());
                bodies.entry(state.news.clone()).or_insert(request).clone()
            }
        };
        match state.page.send(request) {
            Ok(()) => {
                state.news.clear();
                state.asked = false;
                state.pace.sent(now, interval);
                Ok(None)
            }
            // It gets the newest counts when it can take them.
            Err(error) => {
                tracing::debug!(%subscriber, %error, "a page could not be told");
                Ok(Some(RETRY))
            }
        }
    }

    /// Asks for a tick after this time, unless one is due sooner.
    pub(super) fn tick_by(&mut self, room: &mut Room, wait: Duration) {
        let at = room.now() + wait;
        if self.tick_at.is_none_or(|sooner| at < sooner) {
            self.tick_at = Some(at);
            room.tick_in(wait);
        }
    }
}
