//! What the widget waits for. An alarm is a number because it crosses to the browser.

use crate::dom;

pub(crate) mod alarm {
    //! The alarms there are.

    /// Messages may be sent again.
    pub(crate) const FLUSH: u8 = 0;
    /// It is time to connect again.
    pub(crate) const RETRY: u8 = 1;
    /// Numbers that the server has not confirmed are to be dropped.
    pub(crate) const SETTLE: u8 = 2;
    /// The server should have answered by now.
    pub(crate) const ANSWER: u8 = 3;
    /// There are links to look at.
    pub(crate) const FIND: u8 = 4;
    /// Links may have gone, or come near.
    pub(crate) const SURVEY: u8 = 5;
    /// There are numbers to write.
    pub(crate) const WRITE: u8 = 6;
    /// The tab has been out of sight for long.
    pub(crate) const HIDE: u8 = 7;
    /// Who set out to leave is still here.
    pub(crate) const STAY: u8 = 8;
    /// The connection may have broken without a word.
    pub(crate) const PROBE: u8 = 9;
    /// The other tabs should have answered by now.
    pub(crate) const TOKEN: u8 = 10;
    /// The network may hear of another address.
    pub(crate) const MOVE: u8 = 11;
    /// The page may have dropped our stylesheet.
    pub(crate) const STYLE: u8 = 12;
    /// Numbers may have to be somewhere else.
    pub(crate) const PLACE: u8 = 13;
    /// How many there are.
    pub(crate) const COUNT: usize = 14;
}

/// When the alarms that several may set are due.
pub(crate) struct Timers {
    at_ms: [f64; alarm::COUNT],
}

impl Timers {
    pub(crate) fn new() -> Self {
        Self { at_ms: [f64::INFINITY; alarm::COUNT] }
    }

    /// Rings in so many milliseconds, unless that is planned for sooner already.
    pub(crate) fn set_sooner(&mut self, alarm: u8, delay_ms: f64) {
        let due_ms = dom::now_ms() + delay_ms;
        if let Some(at_ms) = self.at_ms.get_mut(usize::from(alarm)).filter(|at_ms| due_ms < **at_ms) {
            *at_ms = due_ms;
            dom::wait(alarm, delay_ms);
        }
    }

    /// The alarm rang.
    pub(crate) fn rang(&mut self, alarm: u8) {
        if let Some(at_ms) = self.at_ms.get_mut(usize::from(alarm)) {
            *at_ms = f64::INFINITY;
        }
    }
}
