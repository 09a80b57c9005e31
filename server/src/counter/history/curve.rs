//! A curve: the highest counts of a page or a site, by the minute for a day and by the hour for 90 days.

use std::ops::RangeInclusive;

/// Values in a row: an hour of minutes, or two and a half days of hours. A row is stored as one value, and is written each
/// minute in which it changes, so it is short.
const ROW_VALUES: usize = 60;
/// Rows in addition to those that are shown. They hold counts of times when the clock was wrong, so that these replace nothing.
const SPARE_ROWS: usize = 3;

/// The time that each value of a curve stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::counter) enum Step {
    Hour,
    Minute,
}

impl Step {
    pub(super) const ALL: [Self; 2] = [Self::Minute, Self::Hour];

    pub(in crate::counter) fn ms(self) -> u64 {
        match self {
            Self::Hour => 3_600_000,
            Self::Minute => 60_000,
        }
    }

    /// How many values are shown: the hours of 90 days, or the minutes of one day.
    pub(in crate::counter) fn shown(self) -> usize {
        match self {
            Self::Hour => 90 * 24,
            Self::Minute => 24 * 60,
        }
    }

    /// How many rows a curve keeps: the shown ones, of which the first and the last are shown in part, and the additional ones.
    pub(super) fn rows(self) -> usize {
        self.shown() / ROW_VALUES + 1 + SPARE_ROWS
    }

    /// The row of a time, and the place of the time's value in the row.
    fn place(self, at_ms: u64) -> (u64, usize) {
        let number = at_ms / self.ms();
        (number / ROW_VALUES as u64, (number % ROW_VALUES as u64) as usize)
    }
}

/// The id of a row of a curve. The number counts rows since 1970.
pub(super) type RowId = (Step, u64);

/// The highest counts of one page, or of one site.
#[derive(Debug, Default)]
pub(super) struct Curve {
    /// The rows that have a count above 0, in order. A list takes less memory than a map, and most pages have two rows.
    rows: Vec<(RowId, Row)>,
    /// Whether a row is newer than what is stored.
    pub(super) is_unsaved: bool,
}

/// Values that are stored together.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// How many values before the first one of `highest` are 0.
    zeros: u8,
    /// The other values, up to the last one that is not 0.
    highest: Vec<u32>,
    /// Whether the row is newer than what is stored.
    pub(super) is_unsaved: bool,
}

impl Curve {
    /// Records this many viewers at this time. Returns the rows that were removed for it.
    pub(super) fn raise(&mut self, at_ms: u64, viewers: u32) -> Vec<RowId> {
        let mut gone = Vec::new();
        if viewers == 0 {
            return gone;
        }
        for step in Step::ALL {
            let (number, place) = step.place(at_ms);
            let Some(row) = self.row((step, number)) else { continue };
            if row.at(place) < viewers {
                row.set(place, viewers);
                row.is_unsaved = true;
                self.is_unsaved = true;
                gone.extend(self.bound(step, number));
            }
        }
        gone
    }

    /// The row with this id. It is added if there is none.
    fn row(&mut self, id: RowId) -> Option<&mut Row> {
        let at = self.find(id).unwrap_or_else(|at| {
            self.rows.insert(at, (id, Row::default()));
            at
        });
        self.rows.get_mut(at).map(|(_, row)| row)
    }

    /// Where the row with this id is, or where it would be.
    fn find(&self, id: RowId) -> Result<usize, usize> {
        self.rows.binary_search_by_key(&id, |(id, _)| *id)
    }

    /// The rows with these ids, in order.
    fn range(&self, ids: RangeInclusive<RowId>) -> impl Iterator<Item = &(RowId, Row)> {
        self.rows.iter().filter(move |(id, _)| ids.contains(id))
    }

    /// If there are too many rows, removes the one that is farthest from this one. After a wrong clock, some may be in the
    /// future.
    fn bound(&mut self, step: Step, number: u64) -> Option<RowId> {
        let rows = || self.range(of(step, 0..=u64::MAX)).map(|(id, _)| *id);
        // Returns unless there is one row too many.
        rows().nth(step.rows())?;
        let farthest = rows().max_by_key(|(_, other)| other.abs_diff(number))?;
        self.rows.remove(self.find(farthest).ok()?);
        Some(farthest)
    }

    /// Adds a stored row. Counts since the start are kept, too.
    pub(super) fn recall(&mut self, id: RowId, stored: &[u32]) {
        let Some(row) = self.row(id) else { return };
        for place in 0..ROW_VALUES {
            // Missing values count as 0.
            let stored = stored.get(place).copied().unwrap_or(0);
            row.is_unsaved |= row.at(place) > stored;
            if row.at(place) < stored {
                row.set(place, stored);
            }
        }
        let is_unsaved = row.is_unsaved;
        self.is_unsaved |= is_unsaved;
    }

    /// Removes rows that are too old to be shown at this time. Returns which.
    pub(super) fn forget_old(&mut self, at_ms: u64) -> Vec<RowId> {
        let is_old = |(step, number): &RowId| {
            let (oldest, _) = step.place(at_ms.saturating_sub((step.shown() as u64 - 1) * step.ms()));
            *number < oldest
        };
        self.rows.extract_if(.., |(id, _)| is_old(id)).map(|(id, _)| id).collect()
    }

    /// The values that are shown at this time, oldest first. The last one is the current minute or hour.
    pub(super) fn shown(&self, step: Step, at_ms: u64, values: usize) -> Vec<u32> {
        let newest = at_ms / step.ms();
        let oldest = (newest + 1).saturating_sub(values as u64);
        (oldest..=newest).map(|number| self.at(step, number)).collect()
    }

    /// The highest count since this hour.
    pub(super) fn highest_since(&self, hour: u64) -> u32 {
        let first = hour / ROW_VALUES as u64;
        let rows = self.range(of(Step::Hour, first..=u64::MAX));
        let values = rows.flat_map(|((_, number), row)| {
            let skipped = hour.saturating_sub(number * ROW_VALUES as u64);
            (skipped as usize..ROW_VALUES).map(|place| row.at(place))
        });
        values.max().unwrap_or(0)
    }

    fn at(&self, step: Step, number: u64) -> u32 {
        let (row, place) = step.place(number * step.ms());
        let found = self.find((step, row)).ok().and_then(|at| self.rows.get(at));
        found.map_or(0, |(_, row)| row.at(place))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = RowId> {
        self.rows.iter().map(|(id, _)| *id)
    }

    pub(super) fn unsaved(&mut self) -> impl Iterator<Item = (RowId, &mut Row)> {
        self.rows.iter_mut().filter(|(_, row)| row.is_unsaved).map(|(id, row)| (*id, row))
    }
}

impl Row {
    /// All values, up to the last one that is not 0.
    pub(super) fn values(&self) -> Vec<u32> {
        let zeros = std::iter::repeat_n(0, self.zeros.into());
        zeros.chain(self.highest.iter().copied()).collect()
    }

    fn at(&self, place: usize) -> u32 {
        let at = place.checked_sub(self.zeros.into());
        at.and_then(|at| self.highest.get(at)).copied().unwrap_or(0)
    }

    /// Sets a value, which is not 0.
    fn set(&mut self, place: usize, value: u32) {
        let before = if self.highest.is_empty() { place } else { self.zeros.into() };
        let zeros = before.min(place);
        self.highest.splice(..0, std::iter::repeat_n(0, before - zeros));
        self.highest.resize(self.highest.len().max(place + 1 - zeros), 0);
        if let Some(highest) = self.highest.get_mut(place - zeros) {
            *highest = value;
        }
        // A row has 60 values.
        self.zeros = u8::try_from(zeros).unwrap_or(0);
    }
}

/// The ids of these rows of a step.
fn of(step: Step, numbers: RangeInclusive<u64>) -> RangeInclusive<RowId> {
    (step, *numbers.start())..=(step, *numbers.end())
}
