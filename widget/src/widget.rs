//! The widget as a whole: how it handles each event.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::annotate::Annotations;
use crate::arrange::Arrangement;
use crate::dom::{self, now_ms};
use crate::event::{Effect, Effects, Event};
use crate::host_page::{HostPage, Place};
use crate::join;
use crate::links::{BLANK, Links, Roots};
use crate::pages::Pages;
use crate::rules::split_around;
use crate::socket::Socket;
use crate::subscriptions::Subscriptions;
use crate::tab::{self, Tab};
use crate::timers::{Timers, alarm};

/// After this long without a connection, numbers are removed, because they may be wrong.
const STALE_AFTER_MS: f64 = 60_000.0;
/// The shortest time between two changes of the room, however often a page changes its address.
const MOVE_EVERY_MS: f64 = 1_000.0;
/// How often to check whether the page has removed our stylesheet, because no event reports that. A check is cheap.
const STYLE_EVERY_MS: f64 = 2_000.0;

/// From when on the room may be changed, as the bits of a number of milliseconds. It outlives a widget, because a page may stop and
/// start widgets all the time.
static MAY_MOVE_MS: AtomicU64 = AtomicU64::new(0);

/// The whole state of the widget.
// It is laid out in this order: what is used most is at its start, where offsets take a byte.
#[repr(C)]
pub(crate) struct Widget {
    pub(crate) pages: Pages,
    pub(crate) subscriptions: Subscriptions,
    /// What runs when the widget is free again.
    pub(crate) effects: Effects,
    /// Whether some shown numbers still wait for the server to confirm them.
    is_settling: bool,
    pub(crate) arrangement: Arrangement,
    pub(crate) links: Links,
    pub(crate) roots: Roots,
    pub(crate) annotations: Annotations,
    pub(crate) tab: Tab,
    pub(crate) socket: Socket,
    pub(crate) host: HostPage,
    pub(crate) timers: Timers,
}

impl Widget {
    /// A widget that has not started, with no options.
    pub(crate) const NEW: Self = Self {
        host: HostPage::new(),
        pages: Pages::new(),
        links: Links::new(),
        roots: Roots::new(),
        annotations: Annotations::new(),
        arrangement: Arrangement::new(),
        subscriptions: Subscriptions::new(),
        tab: Tab::new(),
        socket: Socket::new(),
        timers: Timers::new(),
        is_settling: false,
        effects: Effects(Vec::new()),
    };

    /// Handles an event.
    pub(crate) fn handle(&mut self, event: Event) {
        match event {
            Event::Start => self.start(),
            Event::Stop => self.effects.push(Effect::Stop),
            Event::Due(alarm) => self.due(alarm),
            Event::Changed(list, has_lost, is_elsewhere) => self.changed(list, has_lost, is_elsewhere),
            Event::Loaded(list) => self.loaded(list),
            Event::Scrolled => self.scrolled(),
            Event::Lost(slot, attribute) => self.lost(slot, attribute),
            Event::Pointed(slot) => {
                if self.links.get(slot).is_some() {
                    dom::fresh();
                    self.check(slot);
                }
                self.check_later();
            }
            Event::Sighted(slot, is_sighted) => self.sighted(slot, is_sighted),
            Event::Worded => self.annotate_all(),
            Event::Measured(took_ms) => {
                self.annotations.measured(took_ms);
                if std::mem::take(&mut self.arrangement.is_due) {
                    self.begin_turn();
                }
            }
            Event::Written => self.written(),
            Event::FindPlaces => self.find_places(),
            Event::Check => self.check_places(),
            Event::Attach(number, address) => self.attach(number, &address),
            Event::Detach(number) => self.detach(number),
            Event::Tab(event, is_hidden) => {
                if self.tab.hear(event, is_hidden) {
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
            // The server does not answer, so the connection is dead.
            alarm::ANSWER => self.closed(connection_counter_protocol::close::GOING_AWAY, ""),
            alarm::FIND => self.find(),
            alarm::SURVEY => self.survey(),
            alarm::WRITE => self.write_some(),
            alarm::PROBE => {
                self.socket.probe(false);
                dom::wait(alarm::PROBE, tab::PROBE_EVERY_MS);
            }
            alarm::STYLE => {
                dom::adopt_all();
                self.retry();
                self.check_later();
                dom::wait(alarm::STYLE, if dom::is_hidden() { tab::PROBE_EVERY_MS } else { STYLE_EVERY_MS });
            }
            alarm::PLACE => self.arrange_all(),
            // After a frame the layout is known. Hidden tabs have none.
            alarm::TURN => {
                self.arrangement.is_due = true;
                dom::measure();
            }
            alarm::CHECK => self.check_sight(),
            alarm::HIDE => self.tab.stays_hidden(),
            alarm::STAY => self.tab.stays(),
            alarm::TOKEN => self.tab.agree(),
            _ => {}
        }
        if matches!(alarm, alarm::HIDE | alarm::STAY | alarm::TOKEN | alarm::MOVE) {
            self.locate();
        }
    }

    /// Checks which page this is and whether its viewer is here, and moves to the right room.
    pub(crate) fn locate(&mut self) {
        let is_here = self.tab.is_here();
        let here = dom::here();
        let is_elsewhere = !here.is_empty() && {
            let (how, rest) = split_around(&here, b'\n');
            let (address, canonical) = split_around(rest, b'\n');
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
        let room = match self.host.id() {
            Some(page) if is_here => {
                let [name, value] = self.tab.suffix();
                join(&[page.as_str(), " ", name, value])
            }
            _ => String::new(),
        };
        let now_ms = now_ms();
        if self.socket.is_in(&room) {
            return;
        }
        let rest_ms = f64::from_bits(MAY_MOVE_MS.load(Relaxed)) - now_ms;
        if !room.is_empty() {
            if rest_ms > 0.0 {
                self.timers.set_sooner(alarm::MOVE, rest_ms);
                return;
            }
            MAY_MOVE_MS.store((now_ms + MOVE_EVERY_MS).to_bits(), Relaxed);
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

    /// The connection is gone. Its counts stay for a while.
    fn outdate_later(&mut self) {
        if !self.is_settling {
            self.outdate(STALE_AFTER_MS);
        }
    }

    /// From now on only counts that the server sends again are right. After `hold_ms` all others are removed.
    fn outdate(&mut self, hold_ms: f64) {
        self.pages.outdate();
        self.is_settling = true;
        dom::wait(alarm::SETTLE, hold_ms);
    }

    /// Sends the server what it does not know yet, as fast as the rate allows.
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

    /// Restores the page, and leaves the server.
    pub(crate) fn stop(&mut self) {
        for slot in self.links.slots() {
            if let Some(link) = self.links.get(slot)
                // Some writing may have been left out, because the page stopped us at an earlier link.
                && (link.is_written || !link.is_blank())
            {
                dom::carry(slot, BLANK.count, BLANK.place);
            }
        }
        dom::end();
        self.roots.close_all();
        for number in self.subscriptions.known() {
            dom::notify(number, crate::count::UNKNOWN);
        }
    }
}
