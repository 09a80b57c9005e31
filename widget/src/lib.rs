//! The widget: shows on every link of a host page how many people are viewing the linked page right now.
//!
//! Three steps, wired here from top to bottom:
//!
//! 1. [`links`] finds the links and which page each leads to,
//! 2. [`socket`] keeps a connection to the room of the host page and asks for the counts of those pages,
//! 3. [`annotate`] writes the counts on the links.
//!
//! The widget is a guest. It owns everything it registers through [`guard`]s, so that dropping it undoes it; it inserts no
//! nodes and patches nothing; and whatever fails becomes one warning on the console, never an exception in the page.

mod annotate;
mod config;
mod guard;
mod host_page;
mod links;
mod message;
mod socket;

use std::cell::{Cell, RefCell};

use js_sys::Reflect;
use wasm_bindgen::{JsCast, prelude::*};
use web_sys::{CloseEvent, Document, MessageEvent, console};

use annotate::Stylesheet;
use config::Config;
use guard::{Handler, Listener, Observer, Timer};
use host_page::{Change, HostPage};
use links::{Link, Links};
use message::read_counts;
use socket::Socket;

thread_local! {
    /// The one widget of this page. The browser's callbacks find it here, so none of them keeps it alive.
    static WIDGET: RefCell<Option<Widget>> = const { RefCell::new(None) };
    static WARNED: Cell<bool> = const { Cell::new(false) };
}

/// Starts the widget on the page of `document`, unless it runs already. `options` are those of `config.rs`; `home` is where
/// we were loaded from, if that was a server of ours.
#[wasm_bindgen]
pub fn start(document: Document, options: &JsValue, home: &str) {
    WIDGET.with(|slot| {
        if let Ok(mut slot) = slot.try_borrow_mut()
            && slot.is_none()
        {
            match Widget::new(document, options, home) {
                Ok(widget) => slot.insert(widget).begin(),
                Err(why) => warn(&[why]),
            }
        }
    });
}

/// Stops the widget and leaves the page as it was found.
#[wasm_bindgen]
pub fn stop() {
    // Dropped only after the slot is free again.
    let _widget = WIDGET.with(|slot| slot.try_borrow_mut().ok().and_then(|mut slot| slot.take()));
}

/// Lets the widget react to `event`. If the page calls us back while we are at work on it, the call is lost, not the page:
/// we look at everything again soon enough.
fn wake(react: Handler, event: JsValue) {
    WIDGET.with(|slot| {
        if let Ok(mut slot) = slot.try_borrow_mut()
            && let Some(widget) = slot.as_mut()
        {
            react(widget, event);
        }
    });
}

/// Writes our one warning. What follows it is a consequence, or noise.
fn warn(words: &[&str]) {
    if !WARNED.replace(true) {
        console::warn_1(&["connection-counter: ", &words.concat()].concat().into());
    }
}

struct Widget {
    document: Document,
    host: HostPage,
    links: Links,
    socket: Socket,
    /// The visitor went elsewhere; the page may come back from the back/forward cache.
    is_away: bool,
    /// Running while lower counts wait.
    hold: Option<Timer>,
    /// Running while messages wait.
    flush: Option<Timer>,
    _stylesheet: Stylesheet,
    _observer: Observer,
    _listeners: Vec<Listener>,
}

impl Widget {
    /// Has everything in place, but has not looked around yet.
    fn new(document: Document, options: &JsValue, home: &str) -> Result<Self, &'static str> {
        let config =
            Config::read(options, home, &document).ok_or("no server given, such as https://live.example.com")?;
        let host = HostPage::new(config.scope, &address(&document), canonical(&document).as_deref());
        let host = host.ok_or("only pages on the web have viewers")?;
        let observer = Observer::new(&document, &Links::observed(), |widget, records| {
            widget.links.follow(records.unchecked_ref(), &widget.host);
            widget.look();
        });
        let handlers = socket::Handlers {
            opened: |widget, _| widget.opened(),
            message: |widget, event| widget.received(event.unchecked_ref()),
            closed: |widget, event| widget.closed(event.unchecked_ref()),
            retry: |widget, _| widget.socket.connect(),
        };
        Ok(Self {
            host,
            links: Links::new(&config.links),
            socket: Socket::new(config.server, handlers),
            is_away: false,
            hold: None,
            flush: None,
            _listeners: listen(&document),
            _stylesheet: Stylesheet::adopt(&document).map_err(|_| "no stylesheet")?,
            _observer: observer.map_err(|_| "no observer")?,
            document,
        })
    }

    fn begin(&mut self) {
        self.examine_all();
        self.look();
    }

    fn examine_all(&mut self) {
        if let Some(root) = self.document.document_element() {
            self.links.examine_all(&root, &self.host);
        }
    }

    /// Sees where the page is by now, and goes there.
    fn look(&mut self) {
        if self.host.look(&address(&self.document), canonical(&self.document).as_deref()) == Change::Address {
            self.examine_all();
        }
        let is_here = !self.is_away && !get(&self.document, "prerendering").is_truthy();
        self.socket.join(self.host.id().filter(|_| is_here));
        self.flush();
    }

    fn set_away(&mut self, is_away: bool) {
        self.is_away = is_away;
        self.look();
    }

    fn opened(&mut self) {
        self.links.untell();
        if let Some(hold_ms) = self.socket.opened() {
            self.links.doubt();
            self.hold = Some(Timer::new(hold_ms, |widget, _| {
                widget.hold = None;
                widget.links.settle();
            }));
        }
        self.flush();
    }

    fn received(&mut self, event: &MessageEvent) {
        let hold_falls = self.hold.is_some();
        read_counts(&event.data(), |id, viewers| self.links.hear(id, viewers, hold_falls));
    }

    fn closed(&mut self, event: &CloseEvent) {
        self.hold = None;
        if !self.socket.closed(event.code()) {
            self.links.doubt();
            self.links.settle();
        }
        self.flush();
    }

    /// Tells the server what it does not know yet, as fast as it may be told.
    fn flush(&mut self) {
        self.flush = None;
        let Some(mut wait_ms) = self.socket.wait_ms() else { return self.links.tidy() };
        while wait_ms == 0.0 {
            let Some(message) = self.links.next_message() else { return };
            wait_ms = self.socket.send(&message);
        }
        self.flush = Some(Timer::new(wait_ms, |widget, _| widget.flush()));
    }
}

/// Listens for whatever moves the page: to another address, into the back/forward cache and out of it, or from being
/// prerendered into view.
fn listen(document: &Document) -> Vec<Listener> {
    let look: Handler = |widget, _| widget.look();
    let mut listeners = vec![Listener::new(document, "prerenderingchange", look)];
    if let Some(window) = document.default_view() {
        listeners.push(Listener::new(&window, "pagehide", |widget, _| widget.set_away(true)));
        listeners.push(Listener::new(&window, "pageshow", |widget, _| widget.set_away(false)));
        listeners.push(Listener::new(&window, "popstate", look));
        // Tells of `history.pushState` too. In browsers without it, the new page's changes to the document do.
        let navigation = get(&window, "navigation");
        if navigation.is_object() {
            listeners.push(Listener::new(navigation.unchecked_ref(), "currententrychange", look));
        }
    }
    listeners
}

/// Where the page is.
fn address(document: &Document) -> String {
    document.location().and_then(|location| location.href().ok()).unwrap_or_default()
}

/// Where the page says it should be, resolved by the browser.
fn canonical(document: &Document) -> Option<String> {
    let link = document.head()?.query_selector("link[rel~=canonical]").ok()??;
    link.unchecked_ref::<Link>().href().as_string()
}

/// A property that not every browser has.
fn get(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &name.into()).unwrap_or_default()
}
