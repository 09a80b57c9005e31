//! Whether the tab's viewer is here. A page in the back/forward cache, a page that is being prerendered, and a tab that has
//! been hidden for a while have no viewer. Tabs that are one viewer agree on a token.

use crate::{dom, timers::alarm};

/// How often to check the connection: often enough after a sleep of the computer, and seldom enough for a server.
pub(crate) const PROBE_EVERY_MS: f64 = 45_000.0;
/// A viewer who starts to leave and is still here after this time stays. They downloaded something, or were asked and changed
/// their mind. Few pages take longer to answer. A reader on the way to such a page is counted until it answers, and this page
/// is not kept.
const STAYS_AFTER_MS: f64 = 2_000.0;
/// The longest time that a browser's timer can wait, 24.8 days. A longer timer would fire at once.
const LONGEST_TIMER_MS: f64 = 2_147_483_647.0;
/// How long to wait for an answer of another tab.
const ANSWER_WITHIN_MS: f64 = 100.0;

/// The browser's events, as `npm/tab.js` numbers them. After any other one, only the address may be new.
pub(crate) mod event {
    pub(crate) const PAGE_HIDE: u8 = 1;
    pub(crate) const BEFORE_UNLOAD: u8 = 2;
    pub(crate) const OFFLINE: u8 = 3;
    /// The page came back from the cache, or the browser is online again.
    pub(crate) const BACK: u8 = 4;
    pub(crate) const VISIBILITY_CHANGE: u8 = 5;
}

/// The state of this tab.
pub(crate) struct Tab {
    pub(crate) hidden_after_ms: f64,
    pub(crate) merges: bool,
    pub(crate) observes: bool,
    is_away: bool,
    is_offline: bool,
    pub(crate) is_hidden: bool,
    /// How much longer it may be hidden.
    hidden_left_ms: f64,
    /// The token of this viewer's tabs, which is the oldest of theirs. It is not stored, and lasts as long as one of the tabs.
    token: String,
    is_agreed: bool,
    has_channel: bool,
}

impl Tab {
    pub(crate) const fn new() -> Self {
        Self {
            hidden_after_ms: 0.0,
            merges: false,
            observes: false,
            is_away: false,
            is_offline: false,
            is_hidden: false,
            hidden_left_ms: 0.0,
            token: String::new(),
            is_agreed: false,
            has_channel: false,
        }
    }

    /// Handles an event of the browser. Returns whether the viewer has come back.
    pub(crate) fn hear(&mut self, event: u8, is_hidden: bool) -> bool {
        match event {
            // The page is replaced, or moves to the back/forward cache. That cache keeps no page with an open WebSocket.
            event::PAGE_HIDE => self.is_away = true,
            // Firefox decides at this event. `npm/socket.js` says why, and what else it needs.
            event::BEFORE_UNLOAD => {
                self.is_away = true;
                dom::wait(alarm::STAY, STAYS_AFTER_MS);
            }
            event::OFFLINE => self.is_offline = true,
            event::BACK => {
                self.is_away = false;
                self.is_offline = false;
                return true;
            }
            event::VISIBILITY_CHANGE if is_hidden => {
                self.hidden_left_ms = self.hidden_after_ms;
                self.wait_hidden();
            }
            event::VISIBILITY_CHANGE => {
                dom::wait(alarm::HIDE, -1.0);
                self.is_hidden = false;
                return true;
            }
            _ => {}
        }
        false
    }

    fn wait_hidden(&mut self) {
        let wait_ms = self.hidden_left_ms.min(LONGEST_TIMER_MS);
        self.hidden_left_ms -= wait_ms;
        dom::wait(alarm::HIDE, wait_ms);
    }

    /// The tab was hidden for as long as a timer can wait.
    pub(crate) fn stays_hidden(&mut self) {
        if self.hidden_left_ms > 0.0 {
            self.wait_hidden();
        } else {
            self.is_hidden = true;
        }
    }

    /// A viewer who started to leave is still here.
    pub(crate) fn stays(&mut self) {
        self.is_away = false;
    }

    /// Whether the viewer is here. If tabs are merged, asks the other tabs for their token first.
    pub(crate) fn is_here(&mut self) -> bool {
        let is_here = !self.is_away && !self.is_offline && !self.is_hidden && !dom::is_prerendering();
        if self.merges && self.has_channel != is_here {
            self.has_channel = is_here;
            if is_here {
                self.ask_tabs();
            } else {
                dom::channel(false);
                dom::wait(alarm::TOKEN, -1.0);
            }
        }
        is_here && (!self.merges || self.is_agreed)
    }

    fn ask_tabs(&mut self) {
        if self.token.is_empty() {
            self.token = dom::new_token();
        }
        if dom::channel(true) {
            dom::post(&self.token);
            dom::wait(alarm::TOKEN, ANSWER_WITHIN_MS);
        } else {
            // This tab cannot reach the other tabs, so it is counted alone.
            self.is_agreed = true;
        }
    }

    /// The other tabs have not answered, so they have no older token.
    pub(crate) fn agree(&mut self) {
        self.is_agreed = true;
        dom::wait(alarm::TOKEN, -1.0);
    }

    /// Another tab has this token.
    pub(crate) fn hear_token(&mut self, token: &str) {
        if token == self.token {
            return;
        }
        if *token < *self.token {
            self.token = token.into();
            self.agree();
        } else {
            // That tab may not have been there when this one asked. So it is told, even while this one still waits for answers.
            dom::post(&self.token);
        }
    }

    /// The parameter for the room's address, in two parts.
    pub(crate) fn suffix(&self) -> [&str; 2] {
        if self.observes {
            ["&observe", ""]
        } else if self.merges && self.is_agreed {
            ["&viewer=", &self.token]
        } else {
            ["", ""]
        }
    }
}
