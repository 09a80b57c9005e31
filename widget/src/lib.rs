//! The widget: shows on every link of a host page how many people are viewing the linked page right now.
//!
//! ```text
//! 1 find      links ──▶ host_page, rules ──▶ pages        which elements are links, and which page each leads to
//! 2 connect             pages ──▶ message ──▶ socket      which pages the server is asked about, in which room
//! 3 annotate  links ◀── annotate ◀── count ◀── socket     which number is written on each, and when
//! ```
//!
//! [`mod@tab`] knows whether the viewer is here, [`subscriptions`] who else wants numbers, [`timers`] what we wait for.
//!
//! The browser is reached through [`dom`] alone, whose functions decide nothing and throw nothing. Numbers are written by `write`
//! there. Only numbers and texts cross. With `web-sys`, objects would: each costs the browser a place in a table, the page's
//! readers 5 KB more, and whatever a page throws would leave the widget half done. The options are read and checked in
//! JavaScript (`npm/options.js`), because a page passes functions and lists among them; they arrive as arguments of [`start`].
//!
//! What happens is an [`Event`], handled one after the other by [`Widget`]. Whatever calls the page's own code is an [`Effect`],
//! and is done when the widget is put away: the page may call us back, stop us, or throw, and finds nothing half done.

mod annotate;
mod count;
mod dom;
mod host_page;
mod links;
mod message;
mod pages;
mod rules;
mod socket;
mod subscriptions;
mod tab;
mod timers;
mod widget;

use std::cell::RefCell;

use connection_counter_protocol::ParameterNames;
use wasm_bindgen::prelude::*;

use annotate::{Annotations, Stroke};
use count::UNKNOWN;
use rules::Rules;
use tab::Tab;
use widget::{Effect, Event, Widget};

/// The one that comes with the standard library weighs 4 KB more, and its speed would go unnoticed here.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: lol_alloc::LockedAllocator<lol_alloc::FreeListAllocator> =
    lol_alloc::LockedAllocator::new(lol_alloc::FreeListAllocator::new());

thread_local! {
    /// The one widget of this page.
    static WIDGET: RefCell<Option<Box<Widget>>> = const { RefCell::new(None) };
    /// What has happened and is not handled yet.
    static EVENTS: RefCell<Vec<Event>> = const { RefCell::new(Vec::new()) };
}

/// Starts the widget. `rooms` is the start of every room's address, such as `wss://live.example.com/live?page=`; the others
/// are the options of those names, `query` being `keep`, or the parameters that matter, with commas.
#[expect(clippy::too_many_arguments, reason = "an object would bring code along to read it")]
#[wasm_bindgen]
pub fn start(
    rooms: &str,
    query: &str,
    all_sites: bool,
    hash_routes: bool,
    heeds_canonical: bool,
    min: f64,
    hidden_after_s: f64,
    merge_tabs: bool,
    observe: bool,
    omits_self: bool,
) {
    let only = (query != "keep").then(|| ParameterNames::new(query));
    let rules = Rules { all_sites, hash_routes, only, heeds_canonical };
    let tab = Tab::new(hidden_after_s, merge_tabs, observe);
    EVENTS.set(Vec::new());
    WIDGET.set(Some(Box::new(Widget::new(rooms, rules, Annotations::new(min, omits_self), tab))));
    send(Event::Start);
}

/// Stops the widget: it leaves the page as it was found, and the server.
#[wasm_bindgen]
pub fn stop() {
    send(Event::Stop);
}

/// The viewers of the page at an absolute address, of the host page for an empty one; fewer than none if nobody knows.
#[wasm_bindgen]
pub fn count(address: &str) -> f64 {
    let mut viewers = UNKNOWN;
    with(&mut |widget| {
        let id = if address.is_empty() { widget.host.id().cloned() } else { widget.host.page_at(address, false) };
        viewers = id.map_or(UNKNOWN, |id| widget.pages.viewers_of(&id));
    });
    viewers
}

/// All viewers of all pages that anyone here wants to know about.
#[wasm_bindgen]
pub fn total() -> f64 {
    let mut total = 0.0;
    with(&mut |widget| total = widget.pages.total());
    total
}

/// A subscription wants to know about the page at an address.
#[wasm_bindgen]
pub fn attach(subscription: u32, address: String) {
    send(Event::Attach(subscription, address));
}

/// A subscription ended.
#[wasm_bindgen]
pub fn detach(subscription: u32) {
    send(Event::Detach(subscription));
}

/// The page changed: a list of elements that came or changed; something was removed; everything may lead elsewhere.
#[wasm_bindgen]
pub fn changed(list: u32, has_lost: bool, is_elsewhere: bool) {
    send(Event::Changed(list, has_lost, is_elsewhere));
}

/// A frame loaded; a list of what may be links in it.
#[wasm_bindgen]
pub fn loaded(list: u32) {
    send(Event::Loaded(list));
}

/// Something scrolled.
#[wasm_bindgen]
pub fn scrolled() {
    send(Event::Scrolled);
}

/// Someone removed the number from the link in this slot.
#[wasm_bindgen]
pub fn lost(slot: u32) {
    send(Event::Lost(slot));
}

/// A frame with new numbers took so many milliseconds.
#[wasm_bindgen]
pub fn measured(took_ms: f64) {
    send(Event::Measured(took_ms));
}

/// An event of the browser's by its name, and whether the tab is out of sight.
#[wasm_bindgen]
pub fn tab(event: String, is_hidden: bool) {
    send(Event::Tab(event, is_hidden));
}

/// What another tab says.
#[wasm_bindgen(js_name = heardToken)]
pub fn heard_token(text: String) {
    send(Event::Token(text));
}

/// The room let us in.
#[wasm_bindgen]
pub fn opened() {
    send(Event::Opened);
}

/// The server sent something: for each page a line with its viewers, a blank, and its id.
#[wasm_bindgen]
pub fn heard(lines: String) {
    send(Event::Heard(lines));
}

/// The connection is gone, or never came to be, for a reason in the words of the server or the browser, if there are any.
#[wasm_bindgen]
pub fn closed(code: u16, reason: String) {
    send(Event::Closed(code, reason));
}

/// An alarm rang.
#[wasm_bindgen]
pub fn due(alarm: u8) {
    send(Event::Due(alarm));
}

/// Handles an event, and what came in the meantime. If the page calls while we ask the browser something, its event waits for
/// whoever asks; if it calls while we write on it, the widget is free.
fn send(event: Event) {
    EVENTS.with_borrow_mut(|events| events.push(event));
    while let Some(effects) = handle_next() {
        effects.into_iter().for_each(take_effect);
    }
}

fn handle_next() -> Option<Vec<Effect>> {
    WIDGET.with(|slot| {
        let mut slot = slot.try_borrow_mut().ok()?;
        let event = EVENTS.with_borrow_mut(|events| (!events.is_empty()).then(|| events.remove(0)))?;
        if matches!(event, Event::Stop) {
            return Some(slot.take().map(Effect::Stop).into_iter().collect());
        }
        let Some(widget) = slot.as_mut() else { return Some(Vec::new()) };
        widget.handle(event);
        Some(std::mem::take(&mut widget.effects))
    })
}

fn take_effect(effect: Effect) {
    match effect {
        Effect::Write { is_fresh, most } => write_some(is_fresh, most),
        Effect::Restore(slot) => dom::restore(slot),
        Effect::Notify { number, viewers } => dom::notify(number, viewers),
        Effect::Moved => dom::moved(),
        Effect::Stop(widget) => widget.stop(),
    }
}

/// Writes some numbers on links, with the widget put away.
fn write_some(is_fresh: bool, most: u32) {
    let begun_ms = dom::now_ms();
    let mut written = 0;
    while written < most {
        let mut next = None;
        with(&mut |widget| next = widget.next_stroke(is_fresh));
        let Some(Stroke { slot, shown, told, is_last }) = next else { break };
        if is_last {
            dom::erase(slot);
            dom::discard(slot);
        } else {
            dom::write(slot, shown);
        }
        if let Some(viewers) = told {
            dom::tell(slot, viewers);
        }
        written += 1;
    }
    with(&mut |widget| {
        if written > 0 {
            widget.written(dom::now_ms() - begun_ms);
        }
        widget.plan_writing();
    });
}

/// Works on the widget, if there is one and it is free.
// Not generic over the work: each copy of it would be downloaded.
fn with(work: &mut dyn FnMut(&mut Widget)) {
    WIDGET.with(|slot| {
        if let Ok(mut slot) = slot.try_borrow_mut()
            && let Some(widget) = slot.as_mut()
        {
            work(widget);
        }
    });
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
