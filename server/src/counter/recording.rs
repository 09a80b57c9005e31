//! When the counter's history records the next minute, and when it is saved.

use std::time::{Duration, Instant};

use connection_counter_protocol::{DEFAULT_COUNTER_ROOM, PageId};

use super::{
    Counter,
    history::{Moment, Step},
    report::Question,
    tally::Tally,
};
use crate::{
    Access, Storage,
    party::{Response, Result, Room, unix_ms},
    stored,
};

/// The shortest time between two saves. Changes in between are saved together. Stopping or killing the server loses that much
/// of the history. The first change after a quiet time is saved at once.
const SAVE_INTERVAL: Duration = Duration::from_secs(2);

/// When the history records and saves.
#[derive(Debug, Default)]
pub(super) struct Recording {
    /// When the room started, by the wall clock and by a clock that is never set. `None` before that.
    started: Option<(u64, Instant)>,
    /// When the next minute begins. `None` while there are no viewers.
    minute_at: Option<Instant>,
    /// When something was last saved.
    saved_at: Option<Instant>,
}

impl Recording {
    pub(super) fn start(now: Instant) -> Self {
        Self { started: Some((unix_ms(), now)), ..Self::default() }
    }

    pub(super) fn moment(&self, now: Instant) -> Moment {
        let wall_ms = unix_ms();
        let sure_ms = self.started.map_or(wall_ms, |(started_ms, started)| {
            let passed = now.saturating_duration_since(started).as_millis();
            started_ms.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
        });
        Moment { wall_ms, sure_ms: sure_ms.min(wall_ms) }
    }
}

impl Counter {
    /// Records that the viewers of a page have changed.
    pub(super) fn record(&mut self, room: &mut Room, id: &PageId, before: u32, after: u32) -> Result {
        let now = self.recording.moment(room.now());
        self.history.changed(now, id, before, after);
        self.go_on_recording(room)
    }

    /// Does everything that is due.
    pub(super) fn record_due(&mut self, room: &mut Room) -> Result {
        let now = room.now();
        if self.recording.minute_at.is_some_and(|at| at <= now) {
            self.recording.minute_at = None;
            let Self { history, pages, .. } = self;
            history.carry(self.recording.moment(now), |id| pages.get(id).map_or(0, Tally::total));
        }
        self.go_on_recording(room)
    }

    /// Saves what has changed, and asks for a tick for what is due later.
    fn go_on_recording(&mut self, room: &mut Room) -> Result {
        let now = room.now();
        let recording = &mut self.recording;
        if self.history.is_unsaved() && recording.saved_at.is_none_or(|saved_at| saved_at + SAVE_INTERVAL <= now) {
            recording.saved_at = Some(now);
            self.save_history(room)?;
        }
        let recording = &mut self.recording;
        let save_at = recording.saved_at.filter(|_| self.history.is_unsaved()).map(|saved_at| saved_at + SAVE_INTERVAL);
        if recording.minute_at.is_none() && self.history.has_viewers() {
            let minute_ms = Step::Minute.ms();
            recording.minute_at = Some(now + Duration::from_millis(minute_ms - unix_ms() % minute_ms));
        }
        // Without viewers no minute has to begin. An immediate tick replaces the minute's tick, because the room stays in
        // memory while one is due.
        if !self.history.has_viewers() && self.recording.minute_at.take().is_some() {
            self.tick_by(room, Duration::ZERO);
        }
        let recording = &self.recording;
        if let Some(at) = save_at.into_iter().chain(recording.minute_at).min() {
            self.tick_by(room, at.saturating_duration_since(now));
        }
        Ok(())
    }

    /// Saves what has changed. It waits until everything is read, because it could be less than what is stored.
    pub(super) fn save_history(&mut self, room: &Room) -> Result {
        if self.past.is_some() {
            return Ok(());
        }
        while !self.history.gone().is_empty() {
            let some: Vec<&str> = self.history.gone().iter().take(Storage::MAX_BATCH).map(String::as_str).collect();
            let keys = some.len();
            if !stored(room.storage().delete_many(&some))? {
                return Ok(());
            }
            self.history.deleted(keys);
        }
        self.history.save(Storage::MAX_BATCH, |rows| stored(room.storage().put_many(rows)))
    }

    /// Forgets what is too old. On an open server, or below a `*.`, anyone can make up a site. The history of such a site goes
    /// with its last page, so that nobody can fill the disk.
    pub(super) fn forget_history(&mut self, room: &Room) -> Result {
        let site = room.id();
        let is_made_up = site != DEFAULT_COUNTER_ROOM && !room.setting::<Access>()?.names(site);
        if is_made_up && self.pages.is_empty() {
            self.history.forget_all();
        } else {
            self.history.forget_old(self.recording.moment(room.now()));
        }
        self.save_history(room)
    }

    pub(super) fn report_history(&mut self, room: &Room, question: Question) -> Result<Response> {
        let wall_ms = unix_ms();
        let Self { reports, history, past, .. } = self;
        reports.kept_or(question, room.now(), |question| {
            let wanted = question.history.clone().unwrap_or_default();
            history.answer(room.id(), &wanted, wall_ms, past.is_some())
        })
    }
}
