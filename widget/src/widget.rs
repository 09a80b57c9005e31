//! The widget as a whole: what it does about each event.

use crate::annotate::Annotations;
use crate::dom::{self, now_ms};
use crate::host_page::{HostPage, Place};
use crate::links::{Links, Roots};
use crate::pages::Pages;
use crate::rules::{Rules, split_before};
use crate::socket::Socket;
use crate::subscriptions::Subscriptions;
use crate::tab::{self, Tab};
use crate::timers::{Timers, alarm};

/// After this long without a connection, numbers are gone rather than wrong.
const STALE_AFTER_MS: f64 = 60_000.0;
/// The network hears of another address this often, however often a page changes its own.
const MOVE_EVERY_MS: f64 = 1_000.0;
/// How often to look whether the page has dropped our stylesheet, which no event tells: soon, for one glance at a list.
const STYLE_EVERY_MS: f64 = 2_000.0;

/// All that the widget knows.
pub(crate) struct Widget {
    pub(crate) host: HostPage,
    pub(crate) pages: Pages,
    pub(crate) links: Links,
    pub(crate) roots: Roots,
    pub(crate) annotations: Annotations,
    pub(crate) subscriptions: Subscriptions,
    tab: Tab,
    socket: Socket,
    pub(crate) timers: Timers,
    /// Numbers are shown that the server may not confirm.
    is_settling: bool,
    /// When the network last heard of an address.
    moved_ms: f64,
    /// What is to be done when the widget is put away.
    pub(crate) effects: Vec<Effect>,
}

/// What has happened, as the browser or the page says.
pub(crate) enum Event {
    /// It is time to begin.
    Start,
    /// It is time to end.
    Stop,
    /// An alarm rang.
    Due(u8),
    /// The page changed: a list of elements that came or changed; something was removed; everything may lead elsewhere.
    Changed(u32, bool, bool),
    /// A frame loaded; a list of what may be links in it.
    Loaded(u32),
    /// Something scrolled.
    Scrolled,
    /// Someone removed the number from the link in this slot.
    Lost(u32),
    /// A frame with new numbers took so many milliseconds.
    Measured(f64),
    /// A subscription, and the address of the page that it wants to know about.
    Attach(u32, String),
    /// A subscription ended.
    Detach(u32),
    /// An event of the browser's by its name, and whether the tab is out of sight.
    Tab(String, bool),
    /// What another tab says.
    Token(String),
    /// The room let us in.
    Opened,
    /// What the server said.
    Heard(String),
    /// The connection is gone, with this code and reason.
    Closed(u16, String),
}

/// What calls the page's own code, and so is done when the widget is put away: the page may call us back.
pub(crate) enum Effect {
    /// Write some numbers.
    Write {
        is_fresh: bool,
        most: u32,
    },
    /// Write what someone removed from the link in this slot.
    Restore(u32),
    Notify {
        number: u32,
        viewers: f64,
    },
    /// Every address may mean another page.
    Moved,
    Stop(Box<Widget>),
}

impl Widget {
    pub(crate) fn new(rooms: &str, rules: Rules, annotations: Annotations, tab: Tab) -> Self {
        Self {
            host: HostPage::new(rules),
            pages: Pages::default(),
            links: Links::default(),
            roots: Roots::default(),
            annotations,
            subscriptions: Subscriptions::default(),
            tab,
            socket: Socket::new(rooms),
            timers: Timers::new(),
            is_settling: false,
            moved_ms: f64::NEG_INFINITY,
            effects: Vec::new(),
        }
    }

    /// Does something about an event.
    pub(crate) fn handle(&mut self, event: Event) {
        match event {
            Event::Start => self.start(),
            // Whoever hands out events takes care of it.
            Event::Stop => {}
            Event::Due(alarm) => self.due(alarm),
            Event::Changed(list, has_lost, is_elsewhere) => self.changed(list, has_lost, is_elsewhere),
            Event::Loaded(list) => self.loaded(list),
            Event::Scrolled => self.scrolled(),
            Event::Lost(slot) => self.lost(slot),
            Event::Measured(took_ms) => self.annotations.measured(took_ms),
            Event::Attach(number, address) => self.attach(number, &address),
            Event::Detach(number) => self.detach(number),
            Event::Tab(name, is_hidden) => {
                if self.tab.hear(&name, is_hidden) {
                    self.socket.probe(true);
                }
                self.locate();
            }
            Event::Token(token) => {
                self.tab.hear_token(&token);
                self.locate();
            }
            Event::Opened => self.opened(),
            Event::Heard(lines) => {
                self.socket.heard();
                self.pages.hear(&lines, self.is_settling);
            }
            Event::Closed(code, reason) => self.closed(code, &reason),
        }
        if self.pages.has_changed() {
            self.notify_changed();
            self.annotate_changed();
            self.pages.forget_changes();
        }
    }

    fn start(&mut self) {
        dom::speaks_another();
        self.roots.open(crate::links::DOCUMENT);
        dom::listen();
        dom::wait(alarm::PROBE, tab::PROBE_EVERY_MS);
        dom::wait(alarm::STYLE, STYLE_EVERY_MS);
        self.locate();
    }

    fn due(&mut self, alarm: u8) {
        self.timers.rang(alarm);
        match alarm {
            alarm::FLUSH => self.flush(),
            alarm::RETRY => self.socket.connect(),
            alarm::SETTLE => {
                self.is_settling = false;
                self.pages.settle();
            }
            // The server does not answer: its connection only looks like one.
            alarm::ANSWER => self.closed(connection_counter_protocol::close::GOING_AWAY, ""),
            alarm::FIND => self.find(),
            alarm::SURVEY => self.survey(),
            alarm::WRITE => self.begin_writing(),
            alarm::PROBE => {
                self.socket.probe(false);
                dom::wait(alarm::PROBE, tab::PROBE_EVERY_MS);
            }
            alarm::STYLE => {
                dom::adopt_all();
                dom::wait(alarm::STYLE, if dom::is_hidden() { tab::PROBE_EVERY_MS } else { STYLE_EVERY_MS });
            }
            alarm::PLACE => {
                dom::measure();
                dom::arrange();
            }
            alarm::HIDE => self.tab.stays_hidden(),
            alarm::STAY => self.tab.stays(),
            alarm::TOKEN => self.tab.agree(),
            _ => {}
        }
        if matches!(alarm, alarm::HIDE | alarm::STAY | alarm::TOKEN | alarm::MOVE) {
            self.locate();
        }
    }

    /// Sees where the page is and whether its viewer is here, and goes to the room for that.
    pub(crate) fn locate(&mut self) {
        let is_here = self.tab.is_here();
        let here = dom::here();
        let is_elsewhere = !here.is_empty() && {
            let (how, rest) = split_before(&here, b'\n');
            let (address, canonical) = split_before(rest.get(1..).unwrap_or_default(), b'\n');
            let canonical = canonical.get(1..).unwrap_or_default();
            self.host.arrive(Place { address, canonical, is_replaced: !how.is_empty() })
        };
        self.join(is_here);
        self.flush();
        if is_elsewhere {
            self.renew();
            self.effects.push(Effect::Moved);
        }
    }

    fn join(&mut self, is_here: bool) {
        let room = self.host.id().filter(|_| is_here).map(|page| self.socket.room_of(page, &self.tab.suffix()));
        let now_ms = now_ms();
        if self.socket.is_in(room.as_deref()) {
            return;
        }
        let rest_ms = self.moved_ms + MOVE_EVERY_MS - now_ms;
        if room.is_some() {
            if rest_ms > 0.0 {
                self.timers.set_sooner(alarm::MOVE, rest_ms);
                return;
            }
            self.moved_ms = now_ms;
        }
        if self.socket.join(room) {
            self.outdate_later();
        }
    }

    fn opened(&mut self) {
        self.pages.tell_all_again();
        self.is_settling = false;
        dom::wait(alarm::SETTLE, -1.0);
        if let Some(hold_ms) = self.socket.opened() {
            self.outdate(hold_ms);
        }
        self.flush();
    }

    fn closed(&mut self, code: u16, reason: &str) {
        match self.socket.closed(code, reason) {
            Some(true) => self.outdate_later(),
            Some(false) => self.outdate(0.0),
            None => {}
        }
    }

    /// The connection is gone: what it told is believed for a while.
    fn outdate_later(&mut self) {
        if !self.is_settling {
            self.outdate(STALE_AFTER_MS);
        }
    }

    /// From now on only what the server says again is true, and after `hold_ms` nothing else is shown.
    fn outdate(&mut self, hold_ms: f64) {
        self.pages.outdate();
        self.is_settling = true;
        dom::wait(alarm::SETTLE, hold_ms);
    }

    /// Tells the server what it does not know yet, as fast as it may be told.
    pub(crate) fn flush(&mut self) {
        while self.socket.wait_ms() == Some(0.0) {
            let Some(message) = self.pages.next_message() else { return };
            self.socket.send(&message);
        }
        match self.socket.wait_ms() {
            Some(wait_ms) => dom::wait(alarm::FLUSH, wait_ms),
            None => self.pages.forget_unwanted(),
        }
    }

    /// Leaves the page as it was found, and the server.
    pub(crate) fn stop(mut self) {
        dom::end();
        for slot in self.links.slots() {
            dom::erase(slot);
        }
        self.roots.close_all();
        for number in self.subscriptions.known() {
            dom::notify(number, crate::count::UNKNOWN);
        }
    }
}
