//! Log lines for the operator, limited to one a minute for each kind: the first is written at once, later ones with how often
//! it happened.
//!
//! The log belongs to the whole process, so each notice is a `static` beside the code that gives it.

use std::{
    convert::Infallible,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Time between two lines of one kind. It is short enough to see that the problem goes on, and long enough to read other lines.
const INTERVAL: Duration = Duration::from_secs(60);

/// Every notice that was given, so that [`flush_for_ever`] can write what was held back.
static GIVEN: Mutex<Vec<&'static Notice>> = Mutex::new(Vec::new());

/// The last line of each kind, and how often it has happened. The newest line is at the end.
pub(crate) fn last_of_each() -> Vec<(String, u64)> {
    let mut told: Vec<_> = lock(&GIVEN).iter().filter_map(|notice| lock(&notice.pace).told()).collect();
    told.sort_unstable_by_key(|(at, ..)| *at);
    told.into_iter().map(|(_, sentence, times)| (sentence, times)).collect()
}

/// One kind of problem.
///
/// ```
/// use connection_counter_runtime::notice::Notice;
///
/// static NO_TOKEN: Notice = Notice::warning();
///
/// NO_TOKEN.give(|| "a request came without a token; clients send it in `Authorization: Bearer`".to_owned());
/// ```
#[derive(Debug)]
pub struct Notice {
    /// The problem is a fault of the server, which the operator cannot change.
    is_fault: bool,
    /// What was written, and what was held back.
    pace: Mutex<Pace>,
}

impl Notice {
    /// A problem that the operator can solve. It is logged as a warning.
    #[must_use]
    pub const fn warning() -> Self {
        Self { is_fault: false, pace: Mutex::new(Pace::new()) }
    }

    /// A problem that is a fault of this program. It is logged as an error.
    #[must_use]
    pub const fn fault() -> Self {
        Self { is_fault: true, pace: Mutex::new(Pace::new()) }
    }

    /// Reports that the problem happened. `sentence` says what happened, why, and which flag or header changes it. It contains no
    /// query and no reader's address. It is called only if the sentence is needed.
    pub fn give(&'static self, sentence: impl FnOnce() -> String) {
        let now = Instant::now();
        let (line, is_first) = {
            let mut pace = lock(&self.pace);
            let is_first = pace.told_at.is_none();
            (pace.happened(now, sentence), is_first)
        };
        if is_first {
            lock(&GIVEN).push(self);
        }
        self.write(line);
    }

    fn write(&self, line: Option<String>) {
        match line {
            Some(line) if self.is_fault => tracing::error!("{line}"),
            Some(line) => tracing::warn!("{line}"),
            None => {}
        }
    }
}

/// Writes the lines that were held back for a minute, for as long as the server runs.
pub(crate) async fn flush_for_ever() -> Infallible {
    loop {
        tokio::time::sleep(INTERVAL / 4).await;
        let now = Instant::now();
        let given = lock(&GIVEN).clone();
        for notice in given {
            let line = lock(&notice.pace).held_back(now);
            notice.write(line);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that holds the lock can panic halfway through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When a kind was last written to the log, and what has happened since.
#[derive(Debug)]
struct Pace {
    /// When a line was last written.
    told_at: Option<Instant>,
    /// How often it has happened since then.
    since: u32,
    /// The first sentence that was held back since then.
    example: Option<String>,
    /// The sentence of the last line.
    last: String,
    /// How often it has happened in all.
    times: u64,
}

impl Pace {
    const fn new() -> Self {
        Self { told_at: None, since: 0, example: None, last: String::new(), times: 0 }
    }

    /// Records that it happened. Returns the line to write, if it is time for one.
    fn happened(&mut self, now: Instant, sentence: impl FnOnce() -> String) -> Option<String> {
        self.times = self.times.saturating_add(1);
        if self.is_resting(now) {
            self.since = self.since.saturating_add(1);
            self.example.get_or_insert_with(sentence);
            return None;
        }
        let sentence = sentence();
        Some(self.tell(now, sentence, self.since))
    }

    /// The line for what was held back, if a minute has passed.
    fn held_back(&mut self, now: Instant) -> Option<String> {
        if self.is_resting(now) {
            return None;
        }
        let example = self.example.take()?;
        Some(self.tell(now, example, self.since - 1))
    }

    /// The line for a sentence. `more` is how many others it stands for.
    fn tell(&mut self, now: Instant, sentence: String, more: u32) -> String {
        let line = format!("{sentence}{}", More(more));
        *self = Self { told_at: Some(now), last: sentence, times: self.times, ..Self::new() };
        line
    }

    /// When a line was last written, its sentence, and how often it has happened. `None` if no line was written.
    fn told(&self) -> Option<(Instant, String, u64)> {
        Some((self.told_at?, self.last.clone(), self.times))
    }

    fn is_resting(&self, now: Instant) -> bool {
        self.told_at.is_some_and(|at| now.saturating_duration_since(at) < INTERVAL)
    }
}

/// How many more there were than the one in the line.
struct More(u32);

impl fmt::Display for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            more => write!(f, " ({more} more of this kind since the last line)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_logged_at_once_and_then_once_a_minute() {
        let (mut pace, start) = (Pace::new(), Instant::now());
        let mut happens = |seconds, text: &str| pace.happened(start + Duration::from_secs(seconds), || text.to_owned());
        assert_eq!(happens(0, "a").as_deref(), Some("a"));
        assert_eq!(happens(1, "b"), None);
        assert_eq!(happens(59, "c"), None);
        assert_eq!(happens(60, "d").as_deref(), Some("d (2 more of this kind since the last line)"));
        assert_eq!(happens(200, "e").as_deref(), Some("e"));
    }

    #[test]
    fn held_back_notices_are_logged_after_a_minute_even_if_none_follow() {
        let (mut pace, start) = (Pace::new(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        pace.happened(start, || "a".to_owned());
        pace.happened(at(1), || "b".to_owned());
        pace.happened(at(2), || "c".to_owned());
        assert_eq!(pace.held_back(at(59)), None);
        assert_eq!(pace.held_back(at(60)).as_deref(), Some("b (1 more of this kind since the last line)"));
        assert_eq!(pace.held_back(at(120)), None);
    }

    #[test]
    fn the_last_line_and_the_total_number_are_remembered() {
        let (mut pace, start) = (Pace::new(), Instant::now());
        assert!(pace.told().is_none());
        for (second, sentence) in [(0, "a"), (1, "b"), (60, "c"), (61, "d")] {
            pace.happened(start + Duration::from_secs(second), || sentence.to_owned());
        }
        assert_eq!(pace.told(), Some((start + Duration::from_secs(60), "c".to_owned(), 4)));
    }

    #[test]
    fn sentences_are_made_only_when_they_are_needed() {
        let (mut pace, start) = (Pace::new(), Instant::now());
        pace.happened(start, || "a".to_owned());
        pace.happened(start, || "b".to_owned());
        pace.happened(start, || unreachable!("one example is enough"));
    }
}
