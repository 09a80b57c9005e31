//! Listeners, timers and observers that undo themselves when dropped, so that nothing of ours outlives the widget.

use js_sys::Function;
use wasm_bindgen::{JsCast, prelude::*};
use web_sys::{EventTarget, MutationObserver, MutationObserverInit, Node};

use crate::{Widget, wake};

/// What the browser wakes the widget for. A plain function: it captures nothing, so it can keep nothing alive.
pub(crate) type Handler = fn(&mut Widget, JsValue);

/// A handler in the form the browser can hold; calls end when it is dropped.
struct Callback(Closure<dyn Fn(JsValue)>);

impl Callback {
    fn new(handler: Handler) -> Self {
        Self(Closure::new(move |event| wake(handler, event)))
    }

    fn as_function(&self) -> &Function {
        self.0.as_ref().unchecked_ref()
    }
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &Function, delay_ms: f64) -> JsValue;
    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(timer: &JsValue);
}

/// An event listener.
#[must_use]
pub(crate) struct Listener {
    target: EventTarget,
    event: &'static str,
    callback: Callback,
}

impl Listener {
    /// Calls `handler` with every `event` of `target`.
    pub(crate) fn new(target: &EventTarget, event: &'static str, handler: Handler) -> Self {
        let callback = Callback::new(handler);
        // Fails only if the target is none, and then there is nothing to hear.
        let _ = target.add_event_listener_with_callback(event, callback.as_function());
        Self { target: target.clone(), event, callback }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.target.remove_event_listener_with_callback(self.event, self.callback.as_function());
    }
}

/// One call in the future.
#[must_use]
pub(crate) struct Timer {
    id: JsValue,
    _callback: Callback,
}

impl Timer {
    /// Calls `handler` once, after `delay_ms` milliseconds.
    pub(crate) fn new(delay_ms: f64, handler: Handler) -> Self {
        let callback = Callback::new(handler);
        Self { id: set_timeout(callback.as_function(), delay_ms), _callback: callback }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        clear_timeout(&self.id);
    }
}

/// A mutation observer.
#[must_use]
pub(crate) struct Observer {
    observer: MutationObserver,
    _callback: Callback,
}

impl Observer {
    /// Calls `handler` with batches of what `options` asks to be told about `node`.
    pub(crate) fn new(node: &Node, options: &MutationObserverInit, handler: Handler) -> Result<Self, JsValue> {
        let callback = Callback::new(handler);
        let observer = MutationObserver::new(callback.as_function())?;
        observer.observe_with_options(node, options)?;
        Ok(Self { observer, _callback: callback })
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.observer.disconnect();
    }
}
