//! How often each user may speak.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Messages that one user may send within [`WINDOW`]: enough for a quick exchange, too few to drown it.
const MESSAGES: usize = 5;
const WINDOW: Duration = Duration::from_secs(10);

/// When each user spoke, as far back as [`WINDOW`]. By user, so that a second connection is no second allowance.
#[derive(Default)]
pub(crate) struct Pace(HashMap<String, Vec<Instant>>);

impl Pace {
    /// Whether the user may speak now, which then counts as done.
    pub(crate) fn allows(&mut self, user: &str, now: Instant) -> bool {
        self.0.retain(|_, spoke| {
            spoke.retain(|time| now - *time < WINDOW);
            !spoke.is_empty()
        });
        let spoke = self.0.entry(user.to_owned()).or_default();
        let allowed = spoke.len() < MESSAGES;
        if allowed {
            spoke.push(now);
        }
        allowed
    }
}
