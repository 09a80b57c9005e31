//! A crowd of links: on a page with links to very many pages, those far from the viewport are left alone.

use crate::dom::{self, now_ms, random};
use crate::timers::{Timers, alarm};

/// With more pages than this, only links near the viewport matter: few pages have so many, and so few fit in one message.
const CROWD: usize = 200;
/// How far from the viewport a link comes to be near, and how far one is no longer, in heights of the viewport.
const NEAR: f64 = 0.5;
const FAR: f64 = 1.5;
/// How soon after it scrolled, and how often anyway, to look which links of a crowd are near: menus open without a word to us.
const AFTER_SCROLL_MS: f64 = 100.0;
const EVERY_MS: f64 = 1_000.0;
/// So many times as long as looking took, there is rest: a tenth of the time for a page that scrolls, a fiftieth otherwise.
const REST: f64 = 10.0;
const LONG_REST: f64 = 50.0;
/// A computer that slept meanwhile makes it look longer than it was.
const LONGEST_REST_MS: f64 = 10_000.0;
/// At most so many links are looked at together, between two looks at the clock.
const RUN: f64 = 32.0;
/// Fewer are each looked at.
const SHORT_RUN: u32 = 3;

/// Whether there are so many, and when to look again which are near.
#[derive(Default)]
pub(crate) struct Crowd {
    /// Once a crowd, it stays one.
    is_one: bool,
    /// We are looking which are near.
    pub(crate) is_surveying: bool,
    rest_until_ms: f64,
}

/// How many elements to look at together. Of any length, so that each time others come first and last.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 16 to 32")]
pub(crate) fn run_length() -> u32 {
    ((RUN * (1.0 + random())) / 2.0).ceil() as u32
}

impl Crowd {
    pub(crate) fn is_one(&self) -> bool {
        self.is_one
    }

    /// Whether it would be one with links to so many pages, and was not yet.
    pub(crate) fn begins(&self, pages: usize) -> bool {
        !self.is_one && pages > CROWD
    }

    pub(crate) fn begin(&mut self, timers: &mut Timers) {
        self.is_one = true;
        self.survey_later(timers);
    }

    /// Whether an element is near enough to matter. One that already does may be further away.
    pub(crate) fn is_near(&self, list: u32, idx: u32, matters: bool) -> bool {
        !self.is_one || dom::place(list, idx, if matters { FAR } else { NEAR }) == 0
    }

    /// Whether some elements in a row are probably all far: where the first, the last and another are, on the same side, nearly
    /// always all are. The others will be found by and by: each time these are different ones.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is below the number of elements")]
    pub(crate) fn are_far(&self, list: u32, start: u32, end: u32) -> bool {
        if !self.is_one || end - start <= SHORT_RUN {
            return false;
        }
        let place = dom::place(list, start, NEAR);
        let another = start + (random() * f64::from(end - start)) as u32;
        place != 0 && dom::place(list, end - 1, NEAR) == place && dom::place(list, another, NEAR) == place
    }

    /// Everything was looked at, which took so long.
    pub(crate) fn surveyed(&mut self, spent_ms: f64, timers: &mut Timers) {
        if std::mem::take(&mut self.is_surveying) {
            self.rest_until_ms = now_ms() + (REST * spent_ms).min(LONGEST_REST_MS);
            timers.set_sooner(alarm::SURVEY, (LONG_REST * spent_ms).clamp(EVERY_MS, LONGEST_REST_MS));
        }
    }

    /// How long not to look again.
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
