//! What happens to the widget, and what it does to the page about it.

/// An event of the browser or the page.
pub(crate) enum Event {
    /// Start.
    Start,
    /// Stop.
    Stop,
    /// A timer fired.
    Due(u8),
    /// The page changed: a list of added and changed elements, whether something was removed, and whether all links may lead to
    /// other pages.
    Changed(u32, bool, bool),
    /// A frame was loaded, with a list of elements in it that may be links.
    Loaded(u32),
    /// Something scrolled.
    Scrolled,
    /// An attribute of ours on the link in this slot was written or removed.
    Lost(u32, u32),
    /// The pointer or the focus moved, maybe to the link in this slot.
    Pointed(u32),
    /// The link in this slot came into the viewport, or has left it.
    Sighted(u32, bool),
    /// The texts have come that some numbers wait for.
    Worded,
    /// The next frame took this many milliseconds.
    Measured(f64),
    /// These three come after the effects of those names.
    Written,
    FindPlaces,
    Check,
    /// A subscription, and the address of the page that it watches.
    Attach(u32, String),
    /// A subscription ended.
    Detach(u32),
    /// An event of the browser, and whether the tab is hidden.
    Tab(u8, bool),
    /// A message of another tab.
    Token(String),
    /// The connection is open.
    Opened,
    /// Counts of the server.
    Heard(String),
    /// The connection ended, with this code and reason.
    Closed(u16, String),
}

/// Work that calls the page's own code, or comes after such work. It runs when the widget is free, because the page may call us.
#[derive(Clone, Copy)]
pub(crate) enum Effect {
    /// Make the link in this slot carry what it should.
    Carry(u32),
    /// Free its slot.
    Discard(u32),
    /// Dispatch its event.
    Tell(u32, f64),
    /// Some numbers were written.
    Written,
    /// Some numbers were taken off.
    FindPlaces,
    /// Some numbers were put somewhere else.
    Check,
    /// Tell a subscription, by its number.
    Notify(u32, f64),
    /// All addresses may lead to other pages.
    Moved,
    /// Take the widget away.
    Stop,
}

/// The effects of one event.
pub(crate) struct Effects(pub(crate) Vec<Effect>);

impl Effects {
    // Not inlined, because readers would download a copy for each use.
    #[inline(never)]
    pub(crate) fn push(&mut self, effect: Effect) {
        self.0.push(effect);
    }
}
