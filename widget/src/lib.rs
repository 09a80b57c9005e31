//! The widget: shows on every link of a host page how many people are viewing the linked page right now.
//!
//! It has a head and hands. The head is this crate, as WebAssembly: which page an address is ([`host_page`]), which pages
//! to ask for ([`pages`]), when to connect and come back ([`socket`]), and which number to believe ([`count`]). The hands are
//! the JavaScript in `npm`: they find links, watch them come and go, and write numbers on them, thousands at a time, which
//! is work of the browser's own that every crossing between the two languages would only slow down.
//!
//! ```text
//! links ──[find]──▶ pages ──▶ socket ──▶ server
//! links ◀──[show]── count ◀───────────────┘
//! ```
//!
//! Whatever fails becomes one warning on the console, never an exception in the page.

mod count;
mod host_page;
mod message;
mod pages;
mod rules;
mod socket;

use std::cell::RefCell;

use wasm_bindgen::prelude::*;
use web_sys::WebSocket;

use connection_counter_protocol::ParameterNames;
use host_page::{HostPage, Place};
use pages::Pages;
use rules::Rules;
use socket::Socket;

/// After this long without a connection, numbers are gone rather than wrong.
const STALE_AFTER_MS: f64 = 60_000.0;

/// The one that comes with the standard library weighs 4 KB more, and its speed would go unnoticed here.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();

thread_local! {
    /// The one widget of this page.
    static WIDGET: RefCell<Option<Widget>> = const { RefCell::new(None) };
}

#[wasm_bindgen]
extern "C" {
    /// The half of the widget that touches the page.
    pub type Hands;
    /// The key of the page with this id: always the same one, until the page is forgotten; never given twice.
    #[wasm_bindgen(method, js_name = keyOf)]
    fn key_of(this: &Hands, id: &str) -> i32;
    /// The page is no longer wanted by anyone.
    #[wasm_bindgen(method)]
    fn forget(this: &Hands, key: i32);
    /// Counts to show, in pairs: the key of a page, and its viewers; fewer than none means that nobody knows.
    #[wasm_bindgen(method)]
    fn show(this: &Hands, counts: &[f64]);
    /// Opens a WebSocket. From now on `opened`, `hear` and `closed` are called for this one, and for no other.
    #[wasm_bindgen(method, catch)]
    fn open(this: &Hands, address: &str) -> Result<WebSocket, JsValue>;
    /// `due` is to be called for this alarm once, in so many milliseconds; it replaces the one set before. Fewer than
    /// none cancel it.
    #[wasm_bindgen(method)]
    fn wait(this: &Hands, alarm: u8, delay_ms: f64);
    /// A warning for the console: why there is no connection.
    #[wasm_bindgen(method)]
    fn warn(this: &Hands, text: &str);
}

/// What the head waits for, as a number because an enumeration would bring an object along.
mod alarm {
    /// Messages may be sent again.
    pub(crate) const FLUSH: u8 = 0;
    /// It is time to connect again.
    pub(crate) const RETRY: u8 = 1;
    /// Numbers that the server has not confirmed are to be dropped.
    pub(crate) const SETTLE: u8 = 2;
    /// The server should have answered by now.
    pub(crate) const ANSWER: u8 = 3;
}

/// Starts the widget's head. `rooms` is the start of every room's address, such as `wss://live.example.com/parties/page/`.
/// `all_sites`, `hash_routes`, `query` (`keep`, or the parameters that matter, with commas) and `heeds_canonical` are the
/// options of those names.
#[wasm_bindgen]
pub fn start(hands: Hands, rooms: &str, all_sites: bool, hash_routes: bool, query: &str, heeds_canonical: bool) {
    let only = (query != "keep").then(|| ParameterNames::new(query));
    let widget = Widget {
        host: HostPage::new(Rules { all_sites, hash_routes, only, heeds_canonical }),
        pages: Pages::default(),
        socket: Socket::new(rooms),
        is_settling: false,
        hands,
    };
    WIDGET.set(Some(widget));
}

/// Stops the head: it leaves the server and forgets everything.
#[wasm_bindgen]
pub fn stop() {
    // Dropped only after the slot is free again.
    let _widget = WIDGET.take();
}

/// Takes in where the host page is now, see [`Place`]; what to add to its room's address; and whether its viewer is there at
/// all. Answers whether links may mean other pages than before.
#[wasm_bindgen]
pub fn look(address: &str, canonical: &str, is_replaced: bool, suffix: &str, is_here: bool) -> bool {
    let mut changed = false;
    with(&mut |widget| {
        changed = widget.host.look(Place { address, canonical, is_replaced });
        let room = widget.host.id().filter(|_| is_here);
        if widget.socket.join(room, suffix, &widget.hands) {
            widget.doubt_soon();
        }
        widget.flush();
    });
    changed
}

/// The key of the page at an absolute address, or of the host page for an empty one; less than none if it is no page that
/// is counted here. A `link` within the host page leads to no page.
#[wasm_bindgen]
pub fn find(address: &str, is_link: bool) -> i32 {
    let mut key = pages::NONE;
    with(&mut |widget| {
        let id = match address {
            "" => widget.host.id().cloned(),
            _ => widget.host.page_at(address, is_link),
        };
        if let Some(id) = id {
            key = widget.hands.key_of(id.as_str());
            widget.pages.note(key, id);
        }
    });
    key
}

/// One more, or one less, wants to know about the page: a link, an element, a subscription.
#[wasm_bindgen]
pub fn want(key: i32, more: i32) {
    with(&mut |widget| widget.pages.want(key, more));
}

/// Tells the server what is new.
#[wasm_bindgen]
pub fn tell() {
    with(&mut Widget::flush);
}

/// Makes sure that the connection is still one: a computer that slept, or changed networks, is not told. `is_back` says
/// that the viewer just returned.
#[wasm_bindgen]
pub fn probe(is_back: bool) {
    with(&mut |widget| widget.socket.probe(is_back, &widget.hands));
}

/// The room let us in.
#[wasm_bindgen]
pub fn opened() {
    with(&mut |widget| {
        widget.pages.untell();
        widget.stop_settling();
        if let Some(hold_ms) = widget.socket.opened() {
            widget.doubt(hold_ms);
        }
        widget.flush();
    });
}

/// The server sent something: counts, in pairs of the key of a page and its viewers.
#[wasm_bindgen]
pub fn hear(counts: &[f64]) {
    with(&mut |widget| {
        widget.socket.heard(&widget.hands);
        widget.pages.hear(counts, widget.is_settling);
    });
}

/// The connection is gone, or never came to be, for a reason in the words of the server or the browser, if there are any.
#[wasm_bindgen]
pub fn closed(code: u16, reason: &str) {
    with(&mut |widget| widget.closed(code, reason));
}

/// What the head waited for has come.
#[wasm_bindgen]
pub fn due(alarm: u8) {
    with(&mut |widget| match alarm {
        alarm::FLUSH => widget.flush(),
        alarm::RETRY => widget.socket.connect(&widget.hands),
        alarm::SETTLE => {
            widget.is_settling = false;
            widget.pages.settle();
        }
        // The server does not answer: its connection only looks like one.
        alarm::ANSWER => widget.closed(connection_counter_protocol::close::GOING_AWAY, ""),
        _ => {}
    });
}

/// Works on the widget, if there is one, and afterwards has the hands show what changed. If the page calls us back while
/// we are at work, that call is lost, not the page: we look at everything again soon enough.
// Not generic over the work: each copy of it would be downloaded.
fn with(work: &mut dyn FnMut(&mut Widget)) {
    let news = WIDGET.with(|slot| {
        let mut slot = slot.try_borrow_mut().ok()?;
        let widget = slot.as_mut()?;
        work(widget);
        let counts = widget.pages.take_news();
        (!counts.is_empty()).then(|| (Hands::from(JsValue::from(&widget.hands)), counts))
    });
    if let Some((hands, counts)) = news {
        hands.show(&counts);
    }
}

/// The texts, one after the other.
// `concat` and `format` are made for more, and weigh it.
fn join(texts: &[&str]) -> String {
    let mut joined = String::new();
    for text in texts {
        joined.push_str(text);
    }
    joined
}

struct Widget {
    hands: Hands,
    host: HostPage,
    pages: Pages,
    socket: Socket,
    /// Numbers are shown that the server may not confirm.
    is_settling: bool,
}

impl Widget {
    fn closed(&mut self, code: u16, reason: &str) {
        match self.socket.closed(code, reason, &self.hands) {
            Some(true) => self.doubt_soon(),
            Some(false) => self.doubt(0.0),
            None => {}
        }
    }

    /// The connection is gone: what it told is believed for a while.
    fn doubt_soon(&mut self) {
        if !self.is_settling {
            self.doubt(STALE_AFTER_MS);
        }
    }

    /// From now on only what the server says again is true, and after `hold_ms` nothing else is shown.
    fn doubt(&mut self, hold_ms: f64) {
        self.pages.doubt();
        self.is_settling = true;
        self.hands.wait(alarm::SETTLE, hold_ms);
    }

    fn stop_settling(&mut self) {
        self.is_settling = false;
        self.hands.wait(alarm::SETTLE, -1.0);
    }

    /// Tells the server what it does not know yet, as fast as it may be told.
    fn flush(&mut self) {
        while self.socket.wait_ms() == Some(0.0) {
            let Some(message) = self.pages.next_message(&self.hands) else { return };
            self.socket.send(&message);
        }
        match self.socket.wait_ms() {
            Some(wait_ms) => self.hands.wait(alarm::FLUSH, wait_ms),
            None => self.pages.forget_unwanted(&self.hands),
        }
    }
}
