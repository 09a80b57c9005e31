//! When places for numbers are looked for: some at a time, and never while the browser is about to draw.
//!
//! A turn has three steps: some numbers are taken off, places for them are found while nothing changes, and what the browser made
//! of them is checked before it draws. So it works out the layout only three times.

use crate::dom::{self, now_ms};
use crate::event::Effect;
use crate::place::{self, LATER, NOWHERE, Siblings};
use crate::queue::{ARRANGE, Queue, enqueue};
use crate::timers::alarm;
use crate::widget::Widget;

/// How many links one turn looks at, and how long it may take, layout aside. After a turn is a rest of so many times as long.
const BATCH: usize = 32;
const TURN_MS: f64 = 16.0;
const REST: f64 = 4.0;
/// How long until a link is looked at again whose place could not be found just now.
const LATER_MS: f64 = 300.0;
/// How long after the pointer or the focus has moved, or the page has changed, links are looked at. The page may do something about it
/// first.
const CHECK_MS: f64 = 200.0;

/// A link in a turn.
struct Turn {
    slot: u32,
    /// The place that its number had before.
    before: i32,
    /// How much there is to scroll to around it without its number.
    extent: f32,
}

/// The links to look at.
pub(crate) struct Arrangement {
    due: Queue,
    /// Those of this turn.
    turn: Vec<Turn>,
    /// How many links a turn looks at.
    most: usize,
    begun_ms: f64,
    rest_ms: f64,
    /// A turn comes after the next frame.
    pub(crate) is_due: bool,
    /// The link that was looked at last.
    checked: u32,
    /// How many more characters show while the pointer or the focus is on a link.
    pub(crate) words: f32,
}

impl Arrangement {
    pub(crate) const fn new() -> Self {
        Self {
            due: Queue::new(),
            turn: Vec::new(),
            most: BATCH,
            begun_ms: 0.0,
            rest_ms: 0.0,
            is_due: false,
            checked: 0,
            words: 0.0,
        }
    }
}

impl Widget {
    /// Has the number of a link placed again.
    pub(crate) fn arrange(&mut self, slot: u32) {
        if let Some(link) = self.links.get(slot)
            && link.is_sighted
            && !link.is_blank()
        {
            enqueue(link, slot, ARRANGE, &mut self.arrangement.due);
        }
    }

    pub(crate) fn arrange_all(&mut self) {
        for slot in self.links.slots() {
            self.arrange(slot);
        }
        self.plan_turn();
    }

    /// A link has come into the viewport, or has left it.
    pub(crate) fn sighted(&mut self, slot: u32, is_sighted: bool) {
        let Some(link) = self.links.get(slot) else { return };
        if link.is_sighted == is_sighted {
            return;
        }
        link.is_sighted = is_sighted;
        self.move_to(slot, NOWHERE);
        self.arrange(slot);
        self.plan_turn();
    }

    /// Sets the timer for the links that are due.
    pub(crate) fn plan_turn(&mut self) {
        let is_busy = self.arrangement.is_due || !self.arrangement.turn.is_empty();
        if !is_busy && !self.arrangement.due.is_empty() {
            let rest_until_ms = self.arrangement.begun_ms + self.arrangement.rest_ms;
            self.timers.set_sooner(alarm::TURN, (rest_until_ms - now_ms()).max(0.0));
        }
    }

    /// Takes some numbers off.
    pub(crate) fn begin_turn(&mut self) {
        self.arrangement.begun_ms = now_ms();
        self.arrangement.rest_ms = 0.0;
        while self.arrangement.turn.len() < self.arrangement.most
            && let Some(slot) = self.arrangement.due.take()
        {
            let Some(link) = self.links.get(slot) else { continue };
            link.queues &= !ARRANGE;
            let before = self.move_to(slot, NOWHERE);
            self.arrangement.turn.push(Turn { slot, before, extent: 0.0 });
        }
        self.effects.push(Effect::FindPlaces);
    }

    /// Has a number drawn somewhere else. Returns where it was.
    fn move_to(&mut self, slot: u32, after: i32) -> i32 {
        let Some(link) = self.links.get(slot) else { return NOWHERE };
        if link.is_blank() || link.carried.place == after {
            return after;
        }
        let before = std::mem::replace(&mut link.carried.place, after);
        self.effects.push(Effect::Carry(slot));
        before
    }

    /// Only reads, and puts numbers where there is room.
    pub(crate) fn find_places(&mut self) {
        dom::fresh();
        let end_ms = now_ms() + TURN_MS;
        let mut siblings = Siblings::new();
        for mut turn in std::mem::take(&mut self.arrangement.turn) {
            let slot = turn.slot;
            let room = self.links.get(slot).map_or(0, |link| link.room);
            let is_late = now_ms() > end_ms;
            let place = match room {
                _ if is_late => LATER,
                0 => NOWHERE,
                _ => place::find(slot, room, self.arrangement.words, &mut siblings),
            };
            if place != LATER {
                turn.extent = place::extent(slot);
                self.move_to(slot, place);
                self.arrangement.turn.push(turn);
                continue;
            }
            // Those that there is no time for stay where they are, and due.
            self.move_to(slot, turn.before);
            self.arrange(slot);
            if !is_late {
                self.arrangement.rest_ms = LATER_MS;
            }
        }
        self.effects.push(Effect::Check);
    }

    /// Takes numbers off again that the page's rules draw otherwise than we meant. Nobody has seen them.
    pub(crate) fn check_places(&mut self) {
        dom::fresh();
        let turns = std::mem::take(&mut self.arrangement.turn);
        // A rule for all pseudo-elements may make numbers larger. From then on we look which one hangs out.
        let is_larger = turns.iter().any(|turn| turn.extent != place::extent(turn.slot));
        for Turn { slot, .. } in &turns {
            if is_larger {
                self.move_to(*slot, NOWHERE);
                if turns.len() > 1 {
                    self.arrange(*slot);
                }
            }
            self.check(*slot);
        }
        if is_larger {
            self.arrangement.most = 1;
        }
        self.arrangement.rest_ms += (1.0 + REST) * (now_ms() - self.arrangement.begun_ms);
        self.plan_turn();
    }

    /// Takes a link's number off if the page uses its pseudo-element now, and notes whether one can see the link.
    pub(crate) fn check(&mut self, slot: u32) {
        let Some(link) = self.links.get(slot) else { return };
        if link.is_blank() {
            return;
        }
        link.is_seen = place::is_seen(slot);
        if !place::is_ours(slot) {
            self.move_to(slot, NOWHERE);
        }
    }

    pub(crate) fn check_later(&mut self) {
        self.timers.set_sooner(alarm::CHECK, CHECK_MS);
    }

    /// Looks whether any link has come in sight or has gone.
    pub(crate) fn check_sight(&mut self) {
        let mut end_ms = 0.0;
        let slots = self.links.slots().end;
        for _ in 0..slots {
            let slot = (self.arrangement.checked + 1) % slots;
            self.arrangement.checked = slot;
            if let Some(link) = self.links.get(slot)
                && link.is_sighted
                && !link.is_blank()
            {
                if end_ms == 0.0 {
                    dom::fresh();
                    end_ms = now_ms() + TURN_MS;
                }
                if place::is_seen(slot) != link.is_seen {
                    return self.scrolled();
                }
                // The others are looked at later.
                if now_ms() > end_ms {
                    return self.check_later();
                }
            }
        }
    }
}
