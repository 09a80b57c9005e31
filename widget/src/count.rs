//! The count of a page: the last one from the server, and the one that is shown.

/// A count that is not known.
pub(crate) const UNKNOWN: f64 = -1.0;

/// The viewers of one page. Each number is a whole number that JavaScript represents exactly, or [`UNKNOWN`].
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
    /// The count that is shown.
    pub(crate) fn shown(&self) -> f64 {
        self.shown
    }

    /// Takes a count from the server. Returns whether the shown count has changed. With `hold_falls`, lower counts wait for
    /// [`Self::settle`].
    pub(crate) fn hear(&mut self, viewers: f64, hold_falls: bool) -> bool {
        self.latest = viewers;
        !(hold_falls && viewers < self.shown) && self.settle()
    }

    /// Forgets the server's count, but not the shown one.
    pub(crate) fn outdate(&mut self) {
        self.latest = UNKNOWN;
    }

    /// Shows the server's count, even if it is lower. Returns whether that changed anything.
    pub(crate) fn settle(&mut self) -> bool {
        let changed = self.latest != self.shown;
        self.shown = self.latest;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(viewers: f64) -> Count {
        Count { latest: viewers, shown: viewers }
    }

    #[test]
    fn changes_are_shown_at_once() {
        let mut count = Count::default();
        assert!(count.hear(0.0, false));
        assert_eq!(count.shown(), 0.0);
        assert!(count.hear(5.0, false));
        assert_eq!(count.shown(), 5.0);
        assert!(count.hear(2.0, false));
        assert_eq!(count.shown(), 2.0);
        assert!(!count.hear(2.0, false));
    }

    #[test]
    fn while_falls_are_held_only_higher_counts_are_shown_at_once() {
        let mut count = shown(3.0);
        assert!(!count.hear(1.0, true));
        assert!(count.hear(4.0, true));
        assert_eq!(count.shown(), 4.0);
        assert!(!count.hear(2.0, true));
        assert!(count.settle());
        assert_eq!(count.shown(), 2.0);
    }

    #[test]
    fn a_held_fall_that_rises_again_is_never_shown() {
        let mut count = shown(3.0);
        count.outdate();
        assert!(!count.hear(0.0, true));
        assert!(!count.hear(3.0, true));
        assert!(!count.settle());
    }

    #[test]
    fn a_count_that_the_server_does_not_repeat_becomes_unknown() {
        let mut count = shown(3.0);
        count.outdate();
        assert!(count.settle());
        assert_eq!(count.shown(), UNKNOWN);
    }
}
