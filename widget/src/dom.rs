//! All that crosses to the browser: the functions of `npm/dom.js`, whose `.d.ts` says more on each. Elements, roots and lists
//! cross as numbers, of which 0 is none. None of them throws.

use wasm_bindgen::prelude::*;

#[wasm_bindgen(js_namespace = dom)]
extern "C" {
    // Lists of elements, and the links, which have a slot each.
    /// A list of all that may be a link in a root.
    pub(crate) fn search(root: u32) -> u32;
    /// A list of the links that have a slot, all or those that are not in the page any more.
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
    /// Where it is: 0 no further from the viewport than `reach`, -1 above that, 1 below, 2 nowhere.
    pub(crate) fn place(list: u32, idx: u32, reach: f64) -> i32;
    /// What [`mean`] said of its `href` in its root, 0 if it is no link of ours, less if nothing was said.
    pub(crate) fn meaning(list: u32, idx: u32) -> i32;
    /// The absolute address of the `href` that was just unknown.
    pub(crate) fn address() -> String;
    /// Where that `href` leads.
    pub(crate) fn mean(key: u32);
    #[wasm_bindgen(js_name = forgetMeanings)]
    pub(crate) fn forget_meanings();

    // Documents and shadow roots.
    /// The root inside of an element that asks us to enter, once.
    pub(crate) fn inner(list: u32, idx: u32) -> u32;
    /// Observes a root and gives it our stylesheet; root 1 is the document.
    pub(crate) fn open(root: u32);
    #[wasm_bindgen(js_name = isGone)]
    pub(crate) fn is_gone(root: u32) -> bool;
    pub(crate) fn close(root: u32);
    /// Gives the stylesheet back to roots that have dropped it.
    #[wasm_bindgen(js_name = adoptAll)]
    pub(crate) fn adopt_all();

    // Annotating.
    #[wasm_bindgen(js_name = hasCount)]
    pub(crate) fn has_count(slot: u32) -> bool;
    /// Here the number is written on the link. Fewer than none take it away.
    pub(crate) fn write(slot: u32, viewers: f64);
    /// Writes again what someone removed.
    pub(crate) fn restore(slot: u32);
    /// Leaves the link as it was found.
    pub(crate) fn erase(slot: u32);
    /// In the next frame, looks for places for all numbers in sight.
    pub(crate) fn arrange();
    /// Dispatches the link's event.
    pub(crate) fn tell(slot: u32, viewers: f64);
    /// Whether the page's language is another than when last asked.
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
    #[wasm_bindgen(js_name = isPrerendering)]
    pub(crate) fn is_prerendering() -> bool;
    /// Three lines: `=` if the address replaced the last one, the address, that of the canonical link. Nothing if all is as it was.
    pub(crate) fn here() -> String;
    #[wasm_bindgen(js_name = newToken)]
    pub(crate) fn new_token() -> String;
    /// Opens the way to the other tabs, or closes it; answers whether there is one.
    pub(crate) fn channel(is_open: bool) -> bool;
    pub(crate) fn post(text: &str);

    // The socket, timers, the console.
    pub(crate) fn connect(address: &str) -> bool;
    pub(crate) fn send(text: &str);
    pub(crate) fn disconnect();
    /// Leaves nothing behind of what was disconnected.
    pub(crate) fn leave();
    /// `due` is to be called for this alarm once, in so many milliseconds, instead of what was set before. Fewer than none cancel.
    pub(crate) fn wait(alarm: u8, delay_ms: f64);
    pub(crate) fn warn(text: &str);
    /// Takes back everything: observers, listeners, timers.
    pub(crate) fn end();
    /// Milliseconds since the page was opened; does not jump with the wall clock.
    #[wasm_bindgen(js_name = nowMs)]
    pub(crate) fn now_ms() -> f64;
    /// From 0 up, below 1.
    pub(crate) fn random() -> f64;
}
