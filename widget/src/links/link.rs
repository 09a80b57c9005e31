//! What is known of a link.

use crate::count::UNKNOWN;
use crate::pages::NONE;
use crate::place::NOWHERE;
use crate::queue::Queues;

/// A link that leads to a watched page, or that did and still has its number.
pub(crate) struct Link {
    /// The key of the page that it leads to, or [`NONE`].
    pub(crate) page: u32,
    /// The count of the last event that it dispatched.
    pub(crate) told: f64,
    /// What it carries of ours.
    pub(crate) carried: Carried,
    /// How many characters its number has room for.
    pub(crate) room: u32,
    /// Whether it is in the viewport.
    pub(crate) is_sighted: bool,
    /// Whether one could see it when it was last looked at.
    pub(crate) is_seen: bool,
    /// Whether it has, or had, a number of ours.
    pub(crate) is_written: bool,
    /// The queues in which it waits.
    pub(crate) queues: Queues,
    /// When we last wrote on it.
    pub(crate) written_ms: f64,
    /// Until when we remember that someone removed its number.
    pub(crate) contested_ms: f64,
    /// How long to leave it without its number then.
    pub(crate) rest_ms: f64,
}

/// What a link carries of ours: the count, and the place of its number.
#[derive(Clone, Copy)]
pub(crate) struct Carried {
    /// [`UNKNOWN`] if there is no number.
    pub(crate) count: f64,
    pub(crate) place: i32,
}

pub(crate) const BLANK: Carried = Carried { count: UNKNOWN, place: NOWHERE };

impl Link {
    pub(crate) fn is_blank(&self) -> bool {
        self.carried.count < 0.0
    }

    /// A link without a page and a number.
    pub(super) const NEW: Self = Self {
        page: NONE,
        told: UNKNOWN,
        carried: BLANK,
        room: 0,
        is_sighted: false,
        is_seen: false,
        is_written: false,
        queues: 0,
        written_ms: f64::NEG_INFINITY,
        contested_ms: 0.0,
        rest_ms: 0.0,
    };
}
