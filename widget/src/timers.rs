//! The timers of the widget. An alarm is a number, because it is passed to the browser.

use crate::dom;

pub(crate) mod alarm {
    //! The alarms.

    /// Messages may be sent again.
    pub(crate) const FLUSH: u8 = 0;
    /// Connect again.
    pub(crate) const RETRY: u8 = 1;
    /// Drop the numbers that the server has not confirmed.
    pub(crate) const SETTLE: u8 = 2;
    /// The server should have answered.
    pub(crate) const ANSWER: u8 = 3;
    /// Check links.
    pub(crate) const FIND: u8 = 4;
    /// Check whether links were removed or have come near.
    pub(crate) const SURVEY: u8 = 5;
    /// Write numbers.
    pub(crate) const WRITE: u8 = 6;
    /// The tab has been hidden for long.
    pub(crate) const HIDE: u8 = 7;
    /// A viewer who started to leave is still here.
    pub(crate) const STAY: u8 = 8;
    /// Check whether the connection still works.
    pub(crate) const PROBE: u8 = 9;
    /// The other tabs should have answered.
    pub(crate) const TOKEN: u8 = 10;
    /// The room may be changed again.
    pub(crate) const MOVE: u8 = 11;
    /// Check whether the page has dropped our stylesheet.
    pub(crate) const STYLE: u8 = 12;
    /// Numbers may have to be somewhere else.
    pub(crate) const PLACE: u8 = 13;
    /// Look for places for some numbers.
    pub(crate) const TURN: u8 = 14;
    /// Links may have come in sight, or have gone.
    pub(crate) const CHECK: u8 = 15;
    /// How many there are.
    pub(crate) const COUNT: usize = 16;
}

/// When the alarms are due that several parts of the widget set.
pub(crate) struct Timers {
    at_ms: [f64; alarm::COUNT],
}

impl Timers {
    pub(crate) const fn new() -> Self {
        Self { at_ms: [f64::INFINITY; alarm::COUNT] }
    }

    /// Sets an alarm, unless it is due sooner already.
    pub(crate) fn set_sooner(&mut self, alarm: u8, delay_ms: f64) {
        let due_ms = dom::now_ms() + delay_ms;
        if let Some(at_ms) = self.at_ms.get_mut(usize::from(alarm)).filter(|at_ms| due_ms < **at_ms) {
            *at_ms = due_ms;
            dom::wait(alarm, delay_ms);
        }
    }

    /// The alarm fired.
    pub(crate) fn rang(&mut self, alarm: u8) {
        if let Some(at_ms) = self.at_ms.get_mut(usize::from(alarm)) {
            *at_ms = f64::INFINITY;
        }
    }
}
