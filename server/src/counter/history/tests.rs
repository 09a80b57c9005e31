//! Tests of the history, with a clock that they set.

use std::convert::Infallible;

use serde_json::{Value, json};

use super::*;

/// 2027-01-15, 08:00 UTC.
const START_MS: u64 = 1_800_000_000_000;
const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

fn at(wall_ms: u64) -> Moment {
    Moment { wall_ms, sure_ms: wall_ms }
}

fn page(number: usize) -> PageId {
    PageId::parse(&format!("example.org/{number}")).unwrap()
}

fn asked(history: &History, id: Option<&PageId>, wall_ms: u64) -> Value {
    let wanted = Wanted { page: id.cloned(), format: Format::Json };
    serde_json::from_slice(history.answer("example.org", &wanted, wall_ms, false).unwrap().body()).unwrap()
}

/// All values above 0 of a span, each with its start.
fn shown(history: &History, id: Option<&PageId>, span: &str, wall_ms: u64) -> Vec<(u64, u64)> {
    let answer = &asked(history, id, wall_ms)[span];
    let number = |value: &Value| value.as_u64().unwrap();
    let starts = (number(&answer["startMs"])..).step_by(number(&answer["stepMs"]) as usize);
    let values = answer["highest"].as_array().unwrap().iter().map(number);
    starts.zip(values).filter(|(_, highest)| *highest > 0).collect()
}

/// All rows that are passed on to be stored.
fn saved(history: &mut History) -> Vec<(String, Vec<u32>)> {
    let mut rows = Vec::new();
    let put = |some: &[(&str, Vec<u32>)]| {
        rows.extend(some.iter().map(|(key, values)| ((*key).to_owned(), values.to_vec())));
        Ok::<_, Infallible>(true)
    };
    history.save(128, put).unwrap();
    rows
}

#[test]
fn each_minute_and_hour_has_its_highest_count() {
    let (mut history, a, b) = (History::default(), page(1), page(2));
    history.changed(at(START_MS), &a, 0, 3);
    history.changed(at(START_MS + 1_000), &b, 0, 70_000);
    history.changed(at(START_MS + 2_000), &a, 3, 1);
    history.changed(at(START_MS + 3_000), &b, 70_000, 0);
    // The 3 who leave in the next minute were still there when it began.
    history.changed(at(START_MS + 59_000), &a, 1, 4);
    history.changed(at(START_MS + MINUTE_MS), &a, 4, 2);
    let now = START_MS + MINUTE_MS;
    assert_eq!(shown(&history, None, "minutes", now), [(START_MS, 70_003), (START_MS + MINUTE_MS, 4)]);
    assert_eq!(shown(&history, Some(&a), "minutes", now), [(START_MS, 4), (START_MS + MINUTE_MS, 4)]);
    assert_eq!(shown(&history, Some(&b), "minutes", now), [(START_MS, 70_000)]);
    assert_eq!(shown(&history, None, "hours", now), [(START_MS, 70_003)]);
}

#[test]
fn viewers_who_stay_are_counted_in_every_minute() {
    let (mut history, a) = (History::default(), page(1));
    history.changed(at(START_MS), &a, 0, 2);
    for minute in 1..=61 {
        history.carry(at(START_MS + minute * MINUTE_MS), |_| 2);
    }
    let now = START_MS + 61 * MINUTE_MS;
    let minutes: Vec<_> = (0..=61).map(|minute| (START_MS + minute * MINUTE_MS, 2)).collect();
    for id in [None, Some(&a)] {
        assert_eq!(shown(&history, id, "minutes", now), minutes);
        assert_eq!(shown(&history, id, "hours", now), [(START_MS, 2), (START_MS + HOUR_MS, 2)]);
    }
    assert!(history.has_viewers());
    history.changed(at(now), &a, 2, 0);
    assert!(!history.has_viewers());
}

#[test]
fn a_row_has_room_for_earlier_minutes_after_the_clock_was_set_back() {
    let (mut history, a) = (History::default(), page(1));
    for (minute, viewers) in [(30, 5), (10, 4), (55, 3), (30, 2)] {
        history.changed(at(START_MS + minute * MINUTE_MS), &a, 0, viewers);
    }
    let minutes = shown(&history, Some(&a), "minutes", START_MS + HOUR_MS);
    assert_eq!(minutes, [(10, 4), (30, 5), (55, 3)].map(|(minute, viewers)| (START_MS + minute * MINUTE_MS, viewers)));
    let stored = saved(&mut history);
    let (_, row) = stored.iter().find(|(key, _)| key.contains("past:m:") && key.ends_with("/1")).unwrap();
    assert_eq!((row.len(), row[10], row[30], row[55]), (56, 4, 5, 3), "{row:?}");
}

#[test]
fn the_minutes_of_one_day_and_the_hours_of_90_days_are_shown() {
    let (mut history, a) = (History::default(), page(1));
    history.changed(at(START_MS), &a, 0, 1);
    let minutes = |wall_ms| shown(&history, None, "minutes", wall_ms).len();
    assert_eq!([minutes(START_MS + DAY_MS - 1), minutes(START_MS + DAY_MS)], [1, 0]);
    let hours = |wall_ms| shown(&history, Some(&a), "hours", wall_ms).len();
    assert_eq!([hours(START_MS + 90 * DAY_MS - 1), hours(START_MS + 90 * DAY_MS)], [1, 0]);
    let answer = asked(&history, None, START_MS);
    assert_eq!(answer["minutes"]["highest"].as_array().unwrap().len(), 1_440);
    assert_eq!(answer["hours"]["highest"].as_array().unwrap().len(), 2_160);
    assert_eq!(answer["minutes"]["startMs"], START_MS - DAY_MS + MINUTE_MS);
}

#[test]
fn rows_that_are_too_old_to_be_shown_are_deleted() {
    let (mut history, a) = (History::default(), page(1));
    history.changed(at(START_MS), &a, 0, 1);
    let stored = saved(&mut history);
    history.forget_old(at(START_MS + DAY_MS));
    assert_eq!(history.gone().len(), 0, "a row is deleted only when none of it is shown");
    history.forget_old(at(START_MS + DAY_MS + HOUR_MS));
    assert_eq!(history.gone().len(), 2, "the minutes of the site and of the page");
    history.forget_old(at(START_MS + 93 * DAY_MS));
    let gone = history.gone();
    assert!(stored.iter().all(|(key, _)| gone.contains(key)) && gone.len() == stored.len(), "{gone:?}");
    assert!(history.pages.is_empty());
    history.deleted(usize::MAX);
    assert!(history.is_empty());
}

#[test]
fn a_jump_of_the_clock_loses_no_values() {
    let (mut history, a) = (History::default(), page(1));
    let mut viewers = 0;
    let mut count = |history: &mut History, wall_ms: u64, sure_ms: u64| {
        viewers += 1;
        history.changed(Moment { wall_ms, sure_ms }, &a, viewers - 1, viewers);
        history.forget_old(Moment { wall_ms, sure_ms });
    };
    for hour in 0..30 {
        count(&mut history, START_MS + hour * HOUR_MS, START_MS + hour * HOUR_MS);
    }
    let now = START_MS + 29 * HOUR_MS;
    let before = asked(&history, Some(&a), now);
    // A year ahead, back to 1970, two hours back, and the right time again.
    count(&mut history, now + 365 * DAY_MS, now);
    count(&mut history, 5_000, 5_000);
    count(&mut history, now - 2 * HOUR_MS, now - 2 * HOUR_MS);
    count(&mut history, now + MINUTE_MS, now);
    let mut expected = before;
    expected["minutes"]["startMs"] = json!(now + MINUTE_MS - DAY_MS + MINUTE_MS);
    let minutes = expected["minutes"]["highest"].as_array_mut().unwrap();
    minutes.remove(0);
    minutes.push(json!(34));
    // After the clock was set back, there were more viewers than at that time before.
    minutes[1_440 - 2 - 120] = json!(33);
    expected["hours"]["highest"][2_159] = json!(34);
    expected["hours"]["highest"][2_157] = json!(33);
    assert_eq!(asked(&history, Some(&a), now + MINUTE_MS), expected);
}

#[test]
fn the_number_of_rows_is_limited_however_the_clock_jumps() {
    let (mut history, a) = (History::default(), page(1));
    let most = Step::ALL.map(Step::rows).iter().sum::<usize>();
    for leap in 0..1_000 {
        history.changed(at(leap * 100 * DAY_MS), &a, 0, 1);
    }
    let rows = history.pages[&a].rows().count();
    assert_eq!(rows, most);
    assert_eq!(history.gone().len(), 2 * (2_000 - most));
    // The rows of the future are replaced by those of the real time.
    for hour in 0..100 * 24 {
        history.changed(at(START_MS + hour * HOUR_MS), &a, 0, 1);
    }
    let now = START_MS + (100 * 24 - 1) * HOUR_MS;
    assert_eq!(shown(&history, Some(&a), "hours", now).len(), 2_160);
    assert_eq!(shown(&history, Some(&a), "minutes", now).len(), 24);
}

#[test]
fn only_the_busiest_pages_have_a_curve() {
    let mut history = History::default();
    for number in 0..MAX_PAGES {
        history.changed(at(START_MS), &page(number), 0, if number == 7 { 2 } else { 3 });
    }
    saved(&mut history);
    let has = |history: &History, number| history.pages.contains_key(&page(number));
    // Twice as many as the least busy page had is not enough.
    history.changed(at(START_MS), &page(5_000), 0, 4);
    assert!(!has(&history, 5_000) && history.gone().is_empty());
    history.changed(at(START_MS), &page(5_000), 4, 5);
    assert!(has(&history, 5_000) && !has(&history, 7));
    assert_eq!(history.gone().len(), 2, "its rows are deleted, too");
    // Other pages change nothing, however many they are.
    for number in 10_000..60_000 {
        history.changed(at(START_MS), &page(number), 0, 1);
    }
    assert_eq!((history.pages.len(), history.gone().len()), (MAX_PAGES, 2));
    // A page without viewers for a day is the least busy.
    history.changed(at(START_MS + 23 * HOUR_MS), &page(6_000), 0, 1);
    assert!(!has(&history, 6_000));
    history.changed(at(START_MS + DAY_MS), &page(6_000), 0, 1);
    assert!(has(&history, 6_000));
}

#[test]
fn pages_that_become_busier_are_not_replaced() {
    let mut history = History::default();
    for number in 0..MAX_PAGES {
        history.changed(at(START_MS), &page(number), 0, 3);
    }
    let mut replaces = |other, viewers, left_out: &[usize]| {
        history.changed(at(START_MS), &page(other), 0, viewers);
        let gone = |number: &usize| !history.pages.contains_key(&page(*number));
        assert!(!gone(&other) && left_out.iter().all(gone), "{other}");
        for number in (1..MAX_PAGES).filter(|number| *number != 5) {
            history.changed(at(START_MS), &page(number), 3, 20);
        }
    };
    replaces(5_000, 7, &[0]);
    replaces(5_001, 9, &[0, 5]);
    // Now the page that came first is the least busy.
    replaces(5_002, 15, &[0, 5, 5_000]);
}

#[test]
fn stored_and_new_counts_are_combined() {
    let (mut before, a) = (History::default(), page(1));
    before.changed(at(START_MS), &a, 0, 9);
    before.changed(at(START_MS + MINUTE_MS), &a, 9, 5);
    let stored = saved(&mut before);
    let of_minutes = stored.iter().filter(|(key, _)| key.starts_with("past:m:"));
    assert!(of_minutes.clone().count() == 2 && of_minutes.clone().all(|(_, values)| *values == [9, 9]), "{stored:?}");
    let mut history = History::default();
    history.changed(at(START_MS + MINUTE_MS), &a, 0, 12);
    for (key, values) in &stored {
        assert!(history.recall(key, values));
    }
    assert!(!history.recall("page:example.org/1", &[1]));
    history.recalled(at(START_MS));
    let now = START_MS + MINUTE_MS;
    assert_eq!(shown(&history, Some(&a), "minutes", now), [(START_MS, 9), (now, 12)]);
    assert_eq!(shown(&history, None, "hours", now), [(START_MS, 12)]);
    let again = saved(&mut history);
    assert!(again.len() == stored.len() && again.iter().all(|row| !stored.contains(row)), "{again:?}");
    assert_eq!(saved(&mut history), []);
}

#[test]
fn busy_pages_keep_their_curves_after_a_restart() {
    let mut before = History::default();
    for number in 0..MAX_PAGES {
        before.changed(at(START_MS), &page(number), 0, 2);
    }
    let stored = saved(&mut before);
    let mut history = History::default();
    for number in 5_000..5_010 {
        history.changed(at(START_MS), &page(number), 0, 1);
    }
    stored.iter().for_each(|(key, values)| assert!(history.recall(key, values)));
    history.recalled(at(START_MS));
    assert_eq!(history.pages.len(), MAX_PAGES);
    assert!((0..MAX_PAGES).all(|number| history.pages.contains_key(&page(number))));
}

#[test]
fn nothing_is_stored_while_nothing_changes() {
    let (mut history, a) = (History::default(), page(1));
    history.changed(at(START_MS), &a, 0, 2);
    assert!(history.is_unsaved());
    assert_eq!(saved(&mut history).len(), 4);
    for second in 0..60 {
        let now = at(START_MS + second * 1_000);
        history.carry(now, |_| 2);
        history.changed(now, &a, 2, 1);
        history.changed(now, &a, 1, 2);
    }
    assert!(!history.is_unsaved());
    history.carry(at(START_MS + MINUTE_MS), |_| 2);
    assert_eq!(saved(&mut history).len(), 2, "the minutes, not the hours");
}

#[test]
fn rows_that_the_disk_refuses_are_saved_later() {
    let (mut history, a) = (History::default(), page(1));
    history.changed(at(START_MS), &a, 0, 2);
    let mut calls = 0;
    let refuse = |_: &[(&str, Vec<u32>)]| {
        calls += 1;
        Ok::<_, Infallible>(calls == 1)
    };
    history.save(3, refuse).unwrap();
    assert!(history.is_unsaved());
    assert_eq!((calls, saved(&mut history).len()), (2, 1));
}

#[test]
fn csv_has_a_line_for_each_value() {
    let (mut history, a) = (History::default(), page(1));
    history.changed(at(START_MS + 61_000), &a, 0, 7);
    let wanted = Wanted { page: Some(a), format: Format::Csv };
    let answer = history.answer("example.org", &wanted, START_MS + 61_000, false).unwrap();
    assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8; header=present");
    let csv = std::str::from_utf8(answer.body()).unwrap();
    assert_eq!(csv.lines().count(), 1 + 1_440 + 2_160);
    assert!(csv.starts_with("start,seconds,highest\r\n2026-10-17T09:00:00Z,3600,0\r\n"), "{}", &csv[..80]);
    for line in ["2027-01-15T08:00:00Z,3600,7\r\n", "2027-01-15T08:00:00Z,60,0\r\n2027-01-15T08:01:00Z,60,7\r\n"] {
        assert!(csv.contains(line), "{line}");
    }
    let unknown = Wanted { page: Some(page(2)), format: Format::Csv };
    let answer = history.answer("example.org", &unknown, START_MS, false).unwrap();
    assert_eq!(answer.status(), 404);
}
