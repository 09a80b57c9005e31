//! The number of a page: what the server said last, and what is shown.

/// What nobody knows.
pub(crate) const UNKNOWN: f64 = -1.0;

/// Viewers of one page. A number is one that JavaScript counts exactly, or [`UNKNOWN`].
#[derive(Debug)]
pub(crate) struct Count {
    latest: f64,
    shown: f64,
}

impl Default for Count {
    fn default() -> Self {
        Self { latest: UNKNOWN, shown: UNKNOWN }
    }
}

impl Count {
    /// Takes the server's word, and answers with what to show, if that changed. With `hold_falls`, lower numbers wait for
    /// [`Self::settle`].
    pub(crate) fn hear(&mut self, viewers: f64, hold_falls: bool) -> Option<f64> {
        self.latest = viewers;
        if hold_falls && viewers < self.shown { None } else { self.settle() }
    }

    /// Forgets the server's word but not what is shown.
    pub(crate) fn doubt(&mut self) {
        self.latest = UNKNOWN;
    }

    /// Shows the server's word, even if it is lower.
    pub(crate) fn settle(&mut self) -> Option<f64> {
        let changed = self.latest != self.shown;
        self.shown = self.latest;
        changed.then_some(self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(viewers: f64) -> Count {
        Count { latest: viewers, shown: viewers }
    }

    #[test]
    fn changes_show_at_once() {
        let mut count = Count::default();
        assert_eq!(count.hear(0.0, false), Some(0.0));
        assert_eq!(count.hear(5.0, false), Some(5.0));
        assert_eq!(count.hear(2.0, false), Some(2.0));
        assert_eq!(count.hear(2.0, false), None);
    }

    #[test]
    fn held_falls_wait_but_rises_do_not() {
        let mut count = shown(3.0);
        assert_eq!(count.hear(1.0, true), None);
        assert_eq!(count.hear(4.0, true), Some(4.0));
        assert_eq!(count.hear(2.0, true), None);
        assert_eq!(count.settle(), Some(2.0));
    }

    #[test]
    fn held_fall_that_rose_again_was_never_seen() {
        let mut count = shown(3.0);
        count.doubt();
        assert_eq!(count.hear(0.0, true), None);
        assert_eq!(count.hear(3.0, true), None);
        assert_eq!(count.settle(), None);
    }

    #[test]
    fn what_is_not_said_again_is_unknown() {
        let mut count = shown(3.0);
        count.doubt();
        assert_eq!(count.settle(), Some(UNKNOWN));
    }
}
