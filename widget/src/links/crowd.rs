//! A crowd of links: on a page with links to very many pages, links far from the viewport get no counts.

use crate::dom::{self, now_ms, random};
use crate::pages::Pages;
use crate::timers::{Timers, alarm};

/// If links lead to more pages than this, only links near the viewport get counts. Few pages have so many, and this many fit
/// into one message.
const CROWD: usize = 200;
/// Distances from the viewport, in heights of the viewport, at which a link becomes near, and at which it is no longer near.
const NEAR: f64 = 0.5;
const FAR: f64 = 1.5;
/// How soon after scrolling, and how often otherwise, to check which links are near. Menus can open without an event.
const AFTER_SCROLL_MS: f64 = 100.0;
const EVERY_MS: f64 = 1_000.0;
/// The wait after a check, as a multiple of its duration. So checks take at most a tenth of the time while the page scrolls,
/// and an eightieth otherwise.
const REST: f64 = 10.0;
const LONG_REST: f64 = 80.0;
/// The longest wait. If the computer slept during a check, it seems longer than it was.
const LONGEST_REST_MS: f64 = 10_000.0;
/// How many links are checked together at least, before the clock is read again. At most there are nearly twice as many.
const LEAST_RUN: u32 = 16;
/// With this many or fewer, each link is checked.
const SHORT_RUN: u32 = 3;

/// Whether the page has a crowd, and when to check again which links are near.
pub(crate) struct Crowd {
    /// Whether the page has a crowd. Once it has one, that stays.
    is_one: bool,
    /// A check of which links are near is running.
    pub(crate) is_surveying: bool,
    rest_until_ms: f64,
    /// The list and the end of the last elements in a row that were all far, and on which side they are.
    far: (u32, u32, i32),
}

/// How many elements to check together. The number is random, so that each time other elements are first and last.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 15")]
pub(crate) fn run_length() -> u32 {
    LEAST_RUN + (random() * f64::from(LEAST_RUN)) as u32
}

impl Crowd {
    pub(crate) const fn new() -> Self {
        Self { is_one: false, is_surveying: false, rest_until_ms: 0.0, far: (0, 0, 0) }
    }

    pub(crate) fn is_one(&self) -> bool {
        self.is_one
    }

    /// Whether links to so many pages begin a crowd. False if there is one already.
    pub(crate) fn begins(&self, pages: &Pages) -> bool {
        !self.is_one && pages.wanted() > CROWD
    }

    pub(crate) fn begin(&mut self, timers: &mut Timers) {
        self.is_one = true;
        self.survey_later(timers);
    }

    /// Whether an element is near enough for a count. A link with a count may be further away.
    pub(crate) fn is_near(&self, list: u32, idx: u32, matters: bool) -> bool {
        !self.is_one || dom::place(list, idx, if matters { FAR } else { NEAR }) == 0
    }

    /// Whether some elements in a row are probably all far from the viewport. If the first, the last and a random one are far
    /// on the same side, nearly always all are. The exceptions are found later, because other elements are picked each time.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is below the number of elements")]
    pub(crate) fn are_far(&mut self, list: u32, start: u32, end: u32) -> bool {
        if !self.is_one || end - start <= SHORT_RUN {
            return false;
        }
        // The first is taken to be where the one before it is.
        let (far_list, far_end, side) = self.far;
        let place = if (far_list, far_end) == (list, start) { side } else { dom::place(list, start, NEAR) };
        let another = start + (random() * f64::from(end - start)) as u32;
        let is_far = place != 0 && dom::place(list, end - 1, NEAR) == place && dom::place(list, another, NEAR) == place;
        self.far = if is_far { (list, end, place) } else { (0, 0, 0) };
        is_far
    }

    /// All links were checked, which took this long.
    pub(crate) fn surveyed(&mut self, spent_ms: f64, timers: &mut Timers) {
        if std::mem::take(&mut self.is_surveying) {
            self.rest_until_ms = now_ms() + (REST * spent_ms).min(LONGEST_REST_MS);
            timers.set_sooner(alarm::SURVEY, (LONG_REST * spent_ms).clamp(EVERY_MS, LONGEST_REST_MS));
        }
    }

    /// How long to wait before the next check.
    pub(crate) fn rest_ms(&self) -> f64 {
        self.rest_until_ms - now_ms()
    }

    pub(crate) fn scrolled(&self, timers: &mut Timers) {
        if self.is_one {
            timers.set_sooner(alarm::SURVEY, self.rest_ms().max(AFTER_SCROLL_MS));
        }
    }

    pub(crate) fn survey_later(&self, timers: &mut Timers) {
        timers.set_sooner(alarm::SURVEY, EVERY_MS);
    }
}
