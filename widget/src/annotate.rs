//! Step 3, annotate: writes numbers on links, a few at a time, and not more often than a reader can follow.
//!
//! Writing calls the page's own code (custom elements, observers, listeners), so the widget must be free in that time:
//! [`Widget::write_some`] decides what to write, and effects write it.

use crate::dom::{self, now_ms};
use crate::links::BLANK;
use crate::pages::NONE;
use crate::queue::{DUE, FRESH, Queue, Queues, enqueue};
use crate::{event::Effect, timers::alarm, widget::Widget};

/// The shortest and the longest time between two rounds of writing.
const SHORTEST_MS: f64 = 250.0;
const LONGEST_MS: f64 = 5_000.0;
/// Between these two, the time is this many times as long as the last round took. So writing takes a fortieth of the time.
const REST: f64 = 40.0;
/// How long a frame with new numbers may take. After a longer frame the next one gets half as many links, and after one of less
/// than half the time twice as many. With very few links, the frame itself would cost more than the links.
const FRAME_MS: f64 = 32.0;
const FEWEST_LINKS: u32 = 25;
const MOST_LINKS: u32 = 400;
/// After this time, one frame, the browser has had its turn.
const TURN_MS: f64 = 16.0;
/// If a number is removed within this time, less than a frame, the page reacts to our writing.
const ANSWER_MS: f64 = 8.0;
/// How long a removed number is remembered: a reaction to our writing, and any other removal. A page may morph four times a
/// second.
const ANSWER_COUNTS_MS: f64 = 1_000.0;
const REMOVAL_COUNTS_MS: f64 = 250.0;
/// When this much is remembered, the widget stops: after five reactions, or twenty removals at once.
const PATIENCE_MS: f64 = 5_000.0;
/// After that, for nearly as long, a new number is tried only once.
const TRUCE_MS: f64 = 60_000.0;
/// Morphs come in bursts, as from an answer that is streamed. So after this time the number is tried again, and if it is removed
/// again, after twice that, and so on.
const FIRST_REST_MS: f64 = 8_000.0;

/// How many characters a number has room for at least, so that one that becomes 10 stays where it is.
const LEAST_ROOM: u32 = 2;

/// The time at which a link was written whose page had its will. Until the next number, all that the page writes there is its own.
const GIVEN_IN: f64 = f64::INFINITY;

/// The numbers to write, and when.
pub(crate) struct Annotations {
    /// Links show no number below this.
    pub(crate) min: f64,
    /// Links to the page that the reader is on show how many others there are.
    pub(crate) omits_self: bool,
    /// The links to write in the next round, and those of the current round.
    due: Queue,
    round: Queue,
    /// Links without a number. A new element must not appear without the number that the old one had.
    fresh: Queue,
    /// How many numbers to write in one frame.
    most: u32,
    /// When the current round began, and the current frame.
    begun_ms: f64,
    frame_begun_ms: f64,
    spent_ms: f64,
    is_measuring: bool,
    /// How long the last frame with new numbers took.
    frame_ms: f64,
}

impl Annotations {
    pub(crate) const fn new() -> Self {
        Self {
            min: 0.0,
            omits_self: false,
            due: Queue::new(),
            round: Queue::new(),
            fresh: Queue::new(),
            most: FEWEST_LINKS,
            begun_ms: -LONGEST_MS,
            frame_begun_ms: 0.0,
            spent_ms: 0.0,
            is_measuring: false,
            frame_ms: 0.0,
        }
    }

    /// A frame took this long, maybe one with new numbers.
    pub(crate) fn measured(&mut self, took_ms: f64) {
        if !std::mem::take(&mut self.is_measuring) {
            return;
        }
        self.frame_ms = took_ms;
        self.spent_ms += took_ms;
        if took_ms > FRAME_MS {
            self.most = (self.most / 2).max(FEWEST_LINKS);
        } else if took_ms < FRAME_MS / 2.0 {
            self.most = (self.most * 2).min(MOST_LINKS);
        }
    }
}

impl Widget {
    /// Writes on the link soon. A link that has no number and needs none is left alone.
    pub(crate) fn annotate(&mut self, slot: u32) {
        let Some(link) = self.links.get(slot) else { return };
        if link.is_written {
            if enqueue(link, slot, DUE, &mut self.annotations.due) {
                self.plan_writing();
            }
        } else if self.pages.viewers(link.page).max(link.told) >= 0.0
            && enqueue(link, slot, FRESH, &mut self.annotations.fresh)
        {
            self.timers.set_sooner(alarm::WRITE, 0.0);
        }
    }

    /// Writes on all links.
    pub(crate) fn annotate_all(&mut self) {
        for slot in self.links.slots() {
            self.annotate(slot);
        }
    }

    /// Writes on all links to pages whose count has changed.
    pub(crate) fn annotate_changed(&mut self) {
        for slot in self.links.slots() {
            if self.links.get(slot).is_some_and(|link| self.pages.is_changed(link.page)) {
                self.annotate(slot);
            }
        }
    }

    /// Writes on new links before anyone sees them.
    pub(crate) fn hurry(&mut self) {
        if !self.annotations.fresh.is_empty() {
            self.write_some();
        }
    }

    /// Writes some numbers: on new links, or those of a round, which may begin.
    pub(crate) fn write_some(&mut self) {
        let annotations = &mut self.annotations;
        let is_fresh = !annotations.fresh.is_empty();
        annotations.frame_begun_ms = now_ms();
        if !is_fresh && annotations.round.is_empty() {
            std::mem::swap(&mut annotations.round, &mut annotations.due);
            annotations.begun_ms = annotations.frame_begun_ms;
            annotations.spent_ms = 0.0;
        }
        let mut is_any = false;
        for _ in 0..annotations.most {
            let queue = if is_fresh { &mut self.annotations.fresh } else { &mut self.annotations.round };
            let Some(slot) = queue.take() else { break };
            self.write(slot, if is_fresh { FRESH } else { DUE });
            is_any = true;
        }
        if is_any {
            self.effects.push(Effect::Written);
        } else {
            self.plan_writing();
        }
    }

    /// Writes the number of a link, which has left a queue.
    fn write(&mut self, slot: u32, left: Queues) {
        let Some(link) = self.links.get(slot) else { return };
        link.queues &= !left;
        let mut viewers = self.pages.viewers(link.page);
        let is_own = self.host.id().is_some_and(|id| self.pages.is_at(link.page, id));
        if self.annotations.omits_self && is_own && viewers > 0.0 {
            viewers -= 1.0;
        }
        let told = std::mem::replace(&mut link.told, viewers);
        let is_last = link.page == NONE;
        link.is_written = true;
        link.written_ms = now_ms();
        if viewers >= self.annotations.min {
            self.put(slot, viewers);
        } else if !link.is_blank() {
            self.erase(slot);
        }
        if is_last {
            self.effects.push(Effect::Discard(slot));
        } else if told != viewers {
            self.effects.push(Effect::Tell(slot, viewers));
        }
    }

    /// Puts a number on a link, once its text is there.
    fn put(&mut self, slot: u32, viewers: f64) {
        let length = dom::text(slot, viewers);
        let Some(link) = self.links.get(slot) else { return };
        if length == 0 {
            return;
        }
        link.carried.count = viewers;
        let room = length.max(LEAST_ROOM);
        self.effects.push(Effect::Carry(slot));
        if room > std::mem::replace(&mut link.room, room) {
            self.arrange(slot);
        }
    }

    fn erase(&mut self, slot: u32) {
        if let Some(link) = self.links.get(slot) {
            (link.carried, link.room) = (BLANK, 0);
            self.effects.push(Effect::Carry(slot));
        }
    }

    /// Some numbers were written.
    pub(crate) fn written(&mut self) {
        self.annotations.spent_ms += now_ms() - self.annotations.frame_begun_ms;
        if !std::mem::replace(&mut self.annotations.is_measuring, true) {
            dom::measure();
        }
        self.plan_writing();
        self.plan_turn();
    }

    /// Sets the timer for the numbers that are left.
    pub(crate) fn plan_writing(&mut self) {
        let annotations = &self.annotations;
        if !annotations.fresh.is_empty() || !annotations.round.is_empty() {
            self.timers.set_sooner(alarm::WRITE, TURN_MS);
        } else if !annotations.due.is_empty() {
            let rest_ms = (REST * annotations.spent_ms).clamp(SHORTEST_MS, LONGEST_MS);
            self.timers.set_sooner(alarm::WRITE, (annotations.begun_ms + rest_ms - now_ms()).max(0.0));
        }
    }

    /// What is next to the numbers may have moved. Looks for new places soon.
    pub(crate) fn arrange_later(&mut self) {
        self.timers.set_sooner(alarm::PLACE, (REST * self.annotations.frame_ms).clamp(SHORTEST_MS, LONGEST_MS));
    }

    /// Tries the numbers again that nobody has had a chance to remove for a while. A link is contested for [`TRUCE_MS`] after we have
    /// given in, so that tells when.
    pub(crate) fn retry(&mut self) {
        for slot in self.links.slots() {
            if self.links.get(slot).is_some_and(|link| {
                link.written_ms == GIVEN_IN && now_ms() - (link.contested_ms - TRUCE_MS) > link.rest_ms
            }) {
                self.annotate(slot);
            }
        }
    }

    /// Someone removed the number of a link. Libraries that morph a page into another do so by accident, so the number
    /// is written again. If the page removes it again and again, it stays removed until the count changes, or the page has been quiet
    /// for a while. In answer to our writing, only the former.
    pub(crate) fn lost(&mut self, slot: u32, attribute: u32) {
        let Some(link) = self.links.get(slot) else { return };
        if link.written_ms == GIVEN_IN || !dom::is_old(slot, attribute, link.carried.count, link.carried.place) {
            return;
        }
        let now_ms = now_ms();
        let is_answer = now_ms - link.written_ms < ANSWER_MS;
        let counts_ms = if is_answer { ANSWER_COUNTS_MS } else { REMOVAL_COUNTS_MS };
        link.contested_ms = link.contested_ms.max(now_ms) + counts_ms;
        if link.contested_ms - now_ms <= PATIENCE_MS {
            link.written_ms = now_ms;
            self.effects.push(Effect::Carry(slot));
        } else {
            link.contested_ms = now_ms + TRUCE_MS;
            link.rest_ms = if is_answer { f64::INFINITY } else { (link.rest_ms * 2.0).max(FIRST_REST_MS) };
            link.written_ms = GIVEN_IN;
            self.erase(slot);
        }
    }
}
