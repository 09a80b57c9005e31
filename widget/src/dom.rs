//! The functions of `npm/dom.js`, which are the only way to the browser. Its `.d.ts` describes each. Elements, roots and lists
//! are passed as numbers. 0 means none. None of the functions throws.

use wasm_bindgen::prelude::*;

/// A program.
pub(crate) const PROGRAM: u32 = 1;
/// A person whose browser asks sites not to track them.
pub(crate) const PRIVATE: u32 = 2;

#[wasm_bindgen(js_namespace = dom)]
extern "C" {
    // The options. These two are called before [`start`](crate::start).
    /// Takes a line for each option: its name, a blank, and its default.
    pub(crate) fn defaults(lines: &str);
    /// Compares the value of an option with a pattern. Returns what its first parentheses capture, as a number: 0 if that is empty. Not
    /// a number if they capture nothing. Below 0 if the value does not match.
    pub(crate) fn choice(pattern: &str) -> f64;

    // Lists of elements, and the links. Each link has a slot.
    /// A list of all elements in a root that may be links.
    pub(crate) fn search(root: u32) -> u32;
    /// A list of the links that have a slot: all, or those that are no longer in the page.
    pub(crate) fn known(is_gone: bool) -> u32;
    pub(crate) fn length(list: u32) -> u32;
    pub(crate) fn release(list: u32);
    /// The slot of an element in a list.
    pub(crate) fn slot(list: u32, idx: u32) -> u32;
    /// Gives the element a slot.
    pub(crate) fn keep(list: u32, idx: u32) -> u32;
    /// Frees the slot.
    pub(crate) fn discard(slot: u32);
    #[wasm_bindgen(js_name = isThere)]
    pub(crate) fn is_there(slot: u32) -> bool;

    // What an element is.
    /// The element's position: 0 if it is at most `reach` from the viewport, -1 above that, 1 below, 2 if it is not drawn.
    pub(crate) fn place(list: u32, idx: u32, reach: f64) -> i32;
    /// The key that [`mean`] gave to this `href` in this root. 0 if it leads to no page, and less if it has no key yet.
    pub(crate) fn meaning(list: u32, idx: u32) -> i32;
    /// The absolute address of the `href` that had no key.
    pub(crate) fn address() -> String;
    /// Gives that `href` a key.
    pub(crate) fn mean(key: u32);
    #[wasm_bindgen(js_name = forgetMeanings)]
    pub(crate) fn forget_meanings();

    // Documents and shadow roots.
    /// The root inside an element that asks us to enter. It is returned once.
    pub(crate) fn inner(list: u32, idx: u32) -> u32;
    /// Observes a root and adds our stylesheet. Root 1 is the document.
    pub(crate) fn open(root: u32);
    #[wasm_bindgen(js_name = isGone)]
    pub(crate) fn is_gone(root: u32) -> bool;
    pub(crate) fn close(root: u32);
    /// Adds the stylesheet again to roots that have dropped it.
    #[wasm_bindgen(js_name = adoptAll)]
    pub(crate) fn adopt_all();

    // Annotating.
    /// Makes the text for a count, and returns its length, where characters beyond ASCII count twice. 0 if it comes later.
    pub(crate) fn text(slot: u32, viewers: f64) -> u32;
    /// Whether an attribute of ours says something else than it should, and nothing of the page's.
    #[wasm_bindgen(js_name = isOld)]
    pub(crate) fn is_old(slot: u32, attribute: u32, count: f64, place: i32) -> bool;
    /// Writes the attributes of ours that are old. Without a count, none stays.
    pub(crate) fn carry(slot: u32, count: f64, place: i32);
    /// Has the browser work out the layout. Until the next call nothing moves.
    pub(crate) fn fresh();
    /// The number of a link among the elements that [`fact`] and its like are asked about.
    pub(crate) fn link(slot: u32) -> u32;
    /// One of the numbers that are known of an element, of a kind. Not a number after the last one.
    pub(crate) fn fact(kind: u32, node: u32, idx: u32) -> f32;
    /// The element that the pointer would meet there, in the root of an element.
    pub(crate) fn at(node: u32, x: f32, y: f32) -> u32;
    /// Where another element is, as `compareDocumentPosition` says it.
    pub(crate) fn relation(node: u32, other: u32) -> u32;
    /// Dispatches the link's event.
    pub(crate) fn tell(slot: u32, viewers: f64);
    /// Whether the page's language has changed since the last call.
    #[wasm_bindgen(js_name = speaksAnother)]
    pub(crate) fn speaks_another() -> bool;
    /// Measures how long the next frame takes, and calls `measured`.
    pub(crate) fn measure();

    // The page's own code.
    pub(crate) fn notify(subscription: u32, viewers: f64);
    pub(crate) fn moved();

    // The tab.
    pub(crate) fn listen();
    #[wasm_bindgen(js_name = isHidden)]
    pub(crate) fn is_hidden() -> bool;
    /// Who reads: [`PRIVATE`], or a [`PROGRAM`] that controls the browser or has such a user agent, or 0.
    pub(crate) fn reader(agents: &str) -> u32;
    #[wasm_bindgen(js_name = isPrerendering)]
    pub(crate) fn is_prerendering() -> bool;
    /// Three lines: `=` if the address replaced the last one, the address, and the address of the canonical link. Empty if
    /// nothing has changed.
    pub(crate) fn here() -> String;
    #[wasm_bindgen(js_name = newToken)]
    pub(crate) fn new_token() -> String;
    /// Opens or closes the channel to the other tabs. Returns whether there is one.
    pub(crate) fn channel(is_open: bool) -> bool;
    pub(crate) fn post(text: &str);

    // The socket, timers, the console.
    /// Connects to a room: a page id and a suffix, with a blank between them. Warns and returns `false` if that is not possible.
    pub(crate) fn connect(room: &str) -> bool;
    pub(crate) fn send(text: &str);
    pub(crate) fn disconnect();
    /// Removes everything that a closed connection has left in the page.
    pub(crate) fn leave();
    /// Calls `due` for this alarm once, after this many milliseconds, and replaces the earlier call. A number below 0 cancels
    /// it.
    pub(crate) fn wait(alarm: u8, delay_ms: f64);
    /// Warns that the server refuses this page, for this reason.
    pub(crate) fn refused(reason: &str);
    /// Removes all observers, listeners and timers.
    pub(crate) fn end();
    /// Milliseconds since the page was opened. It does not jump with the wall clock.
    #[wasm_bindgen(js_name = nowMs)]
    pub(crate) fn now_ms() -> f64;
    /// A random number from 0 up, below 1.
    pub(crate) fn random() -> f64;
}
