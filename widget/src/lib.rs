//! The widget. Every link of a host page shows how many people are viewing the linked page right now.
//!
//! ```text
//! 1 find      links ──▶ host_page, rules ──▶ pages        which elements are links, and which page each leads to
//! 2 connect             pages ──▶ message ──▶ socket      which pages the server is asked about, in which room
//! 3 annotate  links ◀── annotate ◀── count ◀── socket     which number is written on each, and when
//!             links ◀── arrange ◀── place ◀── facts       where on the link it is drawn
//! ```
//!
//! [`mod@tab`] knows whether the viewer is here, [`subscriptions`] who else wants counts, and [`timers`] what we wait for.
//!
//! The widget reaches the browser only through [`dom`], whose functions decide nothing and never throw. `carry` there writes the
//! numbers, and a style sheet draws them. Only numbers and texts are passed. `web-sys` would pass objects: each would take an entry
//! in a table of the browser, readers would download 5 KB more, and an exception of the page would stop the widget in the middle of
//! its work. [`mod@options`] decides which of the owner's options are right.
//!
//! [`Widget`] handles one [`Event`] after another. Everything that calls the page's own code is an [`Effect`], which runs when
//! the widget is free again. So the page may call us, stop us, or throw, and the widget's work is never half done.

mod annotate;
mod arrange;
mod count;
mod dom;
mod event;
mod facts;
mod host_page;
mod links;
mod message;
mod options;
mod pages;
mod place;
mod queue;
mod rules;
mod socket;
mod subscriptions;
mod tab;
mod timers;
mod widget;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use connection_counter_protocol::ParameterNames;
use wasm_bindgen::prelude::*;

use count::UNKNOWN;
use event::{Effect, Event};
use links::BLANK;
use options::{Name, is_other, number};
use rules::Rules;
use widget::Widget;

/// The allocator of the standard library would add 4 KB, and nobody would notice that it is faster.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: lol_alloc::LockedAllocator<lol_alloc::FreeListAllocator> =
    lol_alloc::LockedAllocator::new(lol_alloc::FreeListAllocator::new());

/// The one widget of this page.
static WIDGET: Mutex<Option<Box<Widget>>> = Mutex::new(None);
/// Events that are not handled yet.
static EVENTS: Mutex<Vec<Event>> = Mutex::new(Vec::new());
/// How many widgets have been stopped.
static STOPS: AtomicU32 = AtomicU32::new(0);

/// Tells the names and the defaults of all options.
#[wasm_bindgen(js_name = tellDefaults)]
pub fn tell_defaults() {
    dom::defaults(options::DEFAULTS);
}

/// Takes a value for one of the options, by its index. Returns whether there is such an option, and its value is right.
#[wasm_bindgen]
pub fn take(option: usize) -> bool {
    options::take(option)
}

/// Starts the widget with the options that were taken. `query` is the one of that name: `keep`, `drop`, or the parameters that matter,
/// separated by commas. `words` is how many more characters show while the pointer or the focus is on a link, or 0.
#[wasm_bindgen]
pub fn start(query: String, words: f32) {
    let (observes, is_hidden) = (options::observes(), dom::is_hidden());
    let Ok(mut slot) = WIDGET.try_lock() else { return };
    let widget = slot.insert(Box::new(Widget::NEW));
    let only = (query != "keep").then(|| ParameterNames::new(if query == "drop" { "" } else { &query }));
    widget.host.rules = Rules {
        all_sites: is_other(Name::Scope),
        hash_routes: is_other(Name::Hash),
        only,
        heeds_canonical: !is_other(Name::Canonical),
    };
    widget.annotations.min = number(Name::Min);
    widget.arrangement.words = words;
    widget.annotations.omits_self = is_other(Name::Itself) && !observes;
    widget.tab.hidden_after_ms = number(Name::HiddenAfter) * 1_000.0;
    widget.tab.merges = is_other(Name::MergeTabs);
    widget.tab.observes = observes;
    widget.tab.is_hidden = is_hidden;
    drop(slot);
    send(Event::Start);
}

/// Stops the widget. It restores the page and leaves the server.
#[wasm_bindgen]
pub fn stop() {
    send(Event::Stop);
}

/// The viewers of the page at an absolute address, or of the host page if it is empty. A number below 0 means that the count is
/// not known.
#[wasm_bindgen]
pub fn count(address: &str) -> f64 {
    let mut viewers = UNKNOWN;
    with(&mut |widget| {
        viewers = widget.host.page_named(address).map_or(UNKNOWN, |id| widget.pages.viewers_of(&id));
    });
    viewers
}

/// The sum of the viewers of all pages that are watched here.
#[wasm_bindgen]
pub fn total() -> f64 {
    let mut total = 0.0;
    with(&mut |widget| total = widget.pages.total());
    total
}

/// A subscription watches the page at an address.
#[wasm_bindgen]
pub fn attach(subscription: u32, address: String) {
    send(Event::Attach(subscription, address));
}

/// A subscription ended.
#[wasm_bindgen]
pub fn detach(subscription: u32) {
    send(Event::Detach(subscription));
}

/// The page changed. `list` has the elements that were added or changed. Something may have been removed, or all links may lead
/// to other pages.
#[wasm_bindgen]
pub fn changed(list: u32, has_lost: bool, is_elsewhere: bool) {
    send(Event::Changed(list, has_lost, is_elsewhere));
}

/// A frame was loaded. `list` has the elements in it that may be links.
#[wasm_bindgen]
pub fn loaded(list: u32) {
    send(Event::Loaded(list));
}

/// Something scrolled.
#[wasm_bindgen]
pub fn scrolled() {
    send(Event::Scrolled);
}

/// An attribute of ours, on the link in this slot, was written or removed.
#[wasm_bindgen]
pub fn lost(slot: u32, attribute: u32) {
    send(Event::Lost(slot, attribute));
}

/// The link in this slot came into the viewport, or has left it.
#[wasm_bindgen]
pub fn sighted(slot: u32, is_sighted: bool) {
    send(Event::Sighted(slot, is_sighted));
}

/// The pointer or the focus moved, maybe to the link in this slot.
#[wasm_bindgen]
pub fn pointed(slot: u32) {
    send(Event::Pointed(slot));
}

/// The texts have come that some numbers wait for.
#[wasm_bindgen]
pub fn worded() {
    send(Event::Worded);
}

/// The next frame took this many milliseconds.
#[wasm_bindgen]
pub fn measured(took_ms: f64) {
    send(Event::Measured(took_ms));
}

/// An event of the browser (see [`mod@tab::event`]), and whether the tab is hidden.
#[wasm_bindgen]
pub fn tab(event: u8, is_hidden: bool) {
    send(Event::Tab(event, is_hidden));
}

/// A message of another tab.
#[wasm_bindgen(js_name = heardToken)]
pub fn heard_token(text: String) {
    send(Event::Token(text));
}

/// The connection is open.
#[wasm_bindgen]
pub fn opened() {
    send(Event::Opened);
}

/// The server sent counts: for each page a line with its viewers, a blank, and its id.
#[wasm_bindgen]
pub fn heard(lines: String) {
    send(Event::Heard(lines));
}

/// The connection ended or could not be opened. The reason is a text of the server or the browser, or empty.
#[wasm_bindgen]
pub fn closed(code: u16, reason: String) {
    send(Event::Closed(code, reason));
}

/// A timer fired.
#[wasm_bindgen]
pub fn due(alarm: u8) {
    send(Event::Due(alarm));
}

/// Handles an event, and those that arrived in the meantime. If the page calls us while we ask the browser something, its event
/// waits. If it calls us while we write on the page, the widget is free. If it stops us then, nothing more is done.
fn send(event: Event) {
    if let Ok(mut events) = EVENTS.try_lock() {
        events.push(event);
    }
    while let Some(effects) = handle_next() {
        let stops = STOPS.load(Relaxed);
        for effect in effects {
            if STOPS.load(Relaxed) == stops {
                take_effect(effect);
            }
        }
    }
}

fn handle_next() -> Option<Vec<Effect>> {
    let mut slot = WIDGET.try_lock().ok()?;
    let mut events = EVENTS.try_lock().ok()?;
    let event = (!events.is_empty()).then(|| events.remove(0))?;
    drop(events);
    let Some(widget) = slot.as_mut() else { return Some(Vec::new()) };
    widget.handle(event);
    Some(std::mem::take(&mut widget.effects.0))
}

fn take_effect(effect: Effect) {
    match effect {
        Effect::Carry(slot) => {
            let mut carried = BLANK;
            with(&mut |widget| carried = widget.links.get(slot).map_or(BLANK, |link| link.carried));
            dom::carry(slot, carried.count, carried.place);
        }
        Effect::Discard(slot) => with(&mut |widget| widget.links.discard(slot)),
        Effect::Tell(slot, viewers) => dom::tell(slot, viewers),
        Effect::Written => send(Event::Written),
        Effect::FindPlaces => send(Event::FindPlaces),
        Effect::Check => send(Event::Check),
        Effect::Notify(number, viewers) => dom::notify(number, viewers),
        Effect::Moved => dom::moved(),
        Effect::Stop => {
            let stopped = WIDGET.try_lock().ok().and_then(|mut slot| slot.take());
            if let Some(mut widget) = stopped {
                STOPS.fetch_add(1, Relaxed);
                widget.stop();
            }
        }
    }
}

/// Runs `work` on the widget, if there is one and it is free.
// It is not generic, because readers would download a copy for each use.
fn with(work: &mut dyn FnMut(&mut Widget)) {
    if let Ok(mut slot) = WIDGET.try_lock()
        && let Some(widget) = slot.as_mut()
    {
        work(widget);
    }
}

/// Joins the texts.
// `concat` and `format` can do more, and would add more code.
fn join(texts: &[&str]) -> String {
    let mut joined = String::new();
    for text in texts {
        joined.push_str(text);
    }
    joined
}
