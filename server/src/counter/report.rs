//! The answers to `GET` requests to a counter. They are cached and limited, so that no number of requests keeps the counter
//! from counting.

use std::{
    cmp::Reverse,
    collections::HashMap,
    time::{Duration, Instant},
};

use connection_counter_protocol::{CounterReport, DEFAULT_COUNTER_ROOM, PageCount, PageDetail, PageId};
use percent_encoding::percent_decode_str;

use super::{
    Counter, Tally,
    history::{Format, Wanted},
};
use crate::{
    Access, Error, Refusal,
    access::spell_site,
    gate,
    party::{Request, Response, Result, Room, http::StatusCode, query_value, text},
    yes_or_no,
};

/// How long an answer is kept. The same request gets the same answer in that time.
const LIFETIME: Duration = Duration::from_secs(1);
/// Answers that are kept, up to a megabyte each. Beyond this all are dropped. Few clients ask for anything but the plain
/// answer.
const MAX_KEPT: usize = 16;
/// Pages in an answer if the request names no number: about 80 KB.
const DEFAULT_PAGES: usize = 1_000;
/// Pages in an answer at most.
const MAX_PAGES: usize = 10_000;
/// Building answers takes at most one part in this many of a counter's time.
const BUILDING_DIVISOR: u32 = 10;
/// How far building answers may exceed that part, so that a few different requests at once are all answered.
const CREDIT: Duration = Duration::from_secs(5);

impl Counter {
    /// Answers a `GET`.
    pub(super) fn report(&mut self, room: &Room, request: &Request) -> Result<Response> {
        let access = room.setting::<Access>()?;
        let question = match Question::parse(request.uri().query().unwrap_or_default()) {
            Ok(question) => question.of_main_site(access),
            Err(sentence) => return Ok(text(StatusCode::BAD_REQUEST, sentence)),
        };
        if question.history.is_some() {
            return self.report_history(room, question);
        }
        if let Some(page) = query_value(request.uri(), "page") {
            return self.count(room, &page, question.here);
        }
        let here = question.here;
        let detail = |tally: &Tally| PageDetail {
            viewers: if here { tally.viewers } else { tally.total() },
            peak: tally.remembered.peak,
            peak_at_ms: tally.remembered.peak_at_ms,
            last_activity_ms: tally.remembered.last_activity_ms,
        };
        let pages = || self.pages.iter().map(|(id, tally)| (id, detail(tally)));
        self.reports.answer(question, room.now(), self.past.is_some(), pages)
    }

    /// Answers with the viewers of one page. The cost does not depend on the number of pages.
    fn count(&self, room: &Room, page: &str, here: bool) -> Result<Response> {
        let named = PageId::parse(page).map_err(Refusal::from)?;
        let id = room.setting::<Access>()?.main_page(&named).unwrap_or(named);
        let site = id.site().unwrap_or(DEFAULT_COUNTER_ROOM);
        if site != room.id() {
            let reason = format!("page={page}: this page is of {site}; ask /parties/counter/{site}");
            return Ok(text(StatusCode::BAD_REQUEST, reason));
        }
        let viewers = self.pages.get(&id).map_or(0, |tally| if here { tally.viewers } else { tally.total() });
        gate::public(&PageCount { id, viewers })
    }
}

/// What a `GET` asks for: `?detail`, `?limit=100`, `?prefix=example.org/blog/`, `?here`, or `?history`,
/// `?history&page=example.org/blog`, `?history&format=csv`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    /// Also list peaks, last activity, and pages without viewers.
    detail: bool,
    /// Only count viewers on this machine.
    here: bool,
    /// How many of the busiest pages to list.
    limit: usize,
    /// The prefix of the listed ids: as it was sent, and in the spelling of ids.
    prefixes: [String; 2],
    /// Answer with the history instead of the current counts.
    pub(super) history: Option<Wanted>,
}

impl Question {
    /// Reads a URL's query. The error says what is wrong with it. Unknown parameters are ignored.
    pub(super) fn parse(query: &str) -> std::result::Result<Self, String> {
        let mut question =
            Self { detail: false, here: false, limit: DEFAULT_PAGES, prefixes: Default::default(), history: None };
        let (mut asks_history, mut wanted) = (false, Wanted::default());
        for pair in query.split('&') {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("detail", text) => question.detail = wanted_at_all("detail", text)?,
                ("here", text) => question.here = wanted_at_all("here", text)?,
                ("limit", text) => {
                    let limit = text.parse().ok().filter(|limit| (1..=MAX_PAGES).contains(limit));
                    question.limit =
                        limit.ok_or_else(|| format!("limit={text}: give a number from 1 to {MAX_PAGES}"))?;
                }
                ("prefix", text) => {
                    let asked = percent_decode_str(text).decode_utf8_lossy().into_owned();
                    question.prefixes = [spelled(&asked), asked];
                }
                ("history", text) => asks_history = wanted_at_all("history", text)?,
                ("page", text) => {
                    let page = PageId::parse(&percent_decode_str(text).decode_utf8_lossy());
                    wanted.page = Some(page.map_err(|error| format!("page={text}: {error}"))?);
                }
                ("format", "json") => wanted.format = Format::Json,
                ("format", "csv") => wanted.format = Format::Csv,
                ("format", text) => return Err(format!("format={text}: give json or csv")),
                _ => {}
            }
        }
        question.history = asks_history.then_some(wanted);
        Ok(question)
    }

    /// The same question about the pages of the main name of a site, if it names them by another name of it.
    fn of_main_site(mut self, access: &Access) -> Self {
        if let Some(wanted) = &mut self.history {
            wanted.page = wanted.page.take().map(|page| access.main_page(&page).unwrap_or(page));
        }
        for prefix in &mut self.prefixes {
            let (site, path) = prefix.split_at(prefix.find('/').unwrap_or(prefix.len()));
            if let Some(main) = access.main_site(site) {
                *prefix = format!("{main}{path}");
            }
        }
        self
    }
}

/// Whether a parameter such as `?detail` or `?detail=no` asks for something.
fn wanted_at_all(name: &str, text: &str) -> std::result::Result<bool, String> {
    if text.is_empty() { Ok(true) } else { yes_or_no(text).map_err(|problem| format!("{name}: {problem}")) }
}

/// The prefix in the spelling of ids: `https://example.org/café/` becomes `example.org/caf%C3%A9/`.
fn spelled(prefix: &str) -> String {
    let is_web = |scheme: &str| ["", "http:", "https:"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
    let prefix = prefix.split_once("//").filter(|(scheme, _)| is_web(scheme)).map_or(prefix, |(_, prefix)| prefix);
    // Without a slash it may be a site, or the beginning of one.
    if !prefix.contains('/') {
        return spell_site(prefix).unwrap_or_else(|_| prefix.to_owned());
    }
    // The id of a folder has no last slash. In a prefix the slash says that no other characters may follow the name.
    let slash = if prefix.ends_with('/') { "/" } else { "" };
    match PageId::parse(prefix) {
        Ok(id) => format!("{}{slash}", id.as_str().trim_end_matches('/')),
        Err(_) => prefix.to_owned(),
    }
}

/// The answers of the last second.
#[derive(Default)]
pub(super) struct Reports {
    /// The answers, and when each was built.
    kept: HashMap<Question, (Instant, Response)>,
    /// When the work done so far is within the allowed part again.
    settled_at: Option<Instant>,
}

impl Reports {
    /// The kept answer, or a new one from `pages`. While the past is `still_reading`, details may be missing.
    ///
    /// # Errors
    /// Fails with [`Error::RoomBusy`] if many different requests have taken more than the allowed part of the time.
    pub(super) fn answer<'a, P>(
        &mut self,
        question: Question,
        now: Instant,
        still_reading: bool,
        pages: impl FnOnce() -> P,
    ) -> Result<Response>
    where
        P: Iterator<Item = (&'a PageId, PageDetail)>,
    {
        self.kept_or(question, now, |question| build(question, still_reading, pages()))
    }

    /// The kept answer, or a new one.
    ///
    /// # Errors
    /// Fails like [`answer`](Self::answer).
    pub(super) fn kept_or(
        &mut self,
        question: Question,
        now: Instant,
        build: impl FnOnce(&Question) -> Result<Response>,
    ) -> Result<Response> {
        self.kept.retain(|_, (built_at, _)| now.saturating_duration_since(*built_at) < LIFETIME);
        if let Some((_, response)) = self.kept.get(&question) {
            return Ok(response.clone());
        }
        if self.settled_at.is_some_and(|at| at > now + CREDIT) {
            return Err(Error::RoomBusy);
        }
        let start = Instant::now();
        let response = build(&question)?;
        self.charge(now, start.elapsed());
        if self.kept.len() >= MAX_KEPT {
            self.kept.clear();
        }
        self.kept.insert(question, (now, response.clone()));
        Ok(response)
    }

    fn charge(&mut self, now: Instant, work: Duration) {
        self.settled_at = Some(self.settled_at.map_or(now, |at| at.max(now)) + work * BUILDING_DIVISOR);
    }
}

fn build<'a>(
    question: &Question,
    still_reading: bool,
    pages: impl Iterator<Item = (&'a PageId, PageDetail)>,
) -> Result<Response> {
    let asked_for = |(id, page): &(&PageId, PageDetail)| {
        (question.detail || page.viewers > 0)
            && question.prefixes.iter().any(|prefix| id.as_str().starts_with(prefix.as_str()))
    };
    let mut listed: Vec<_> = pages.filter(asked_for).collect();
    let left_out = listed.len().saturating_sub(question.limit);
    if left_out > 0 {
        // This is much cheaper than sorting all of them. The answer is in the order of ids anyway.
        listed.select_nth_unstable_by_key(question.limit, |&(id, ref page)| {
            (Reverse((page.viewers, page.peak, page.last_activity_ms)), id)
        });
        listed.truncate(question.limit);
    }
    let listed = listed.into_iter().map(|(id, page)| (id.clone(), page));
    if question.detail {
        gate::public(&CounterReport { pages: listed.collect(), left_out, still_reading })
    } else {
        let pages = listed.map(|(id, page)| (id, page.viewers)).collect();
        gate::public(&CounterReport { pages, left_out, still_reading: false })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn page(number: u32, viewers: u32) -> (PageId, PageDetail) {
        let id = PageId::parse(&format!("example.org/{}/{number}", number % 2)).unwrap();
        (id, PageDetail { viewers, peak: viewers, ..PageDetail::default() })
    }

    fn asked(reports: &mut Reports, query: &str, now: Instant, pages: &[(PageId, PageDetail)]) -> Value {
        let pages = || pages.iter().map(|(id, page)| (id, page.clone()));
        let answer = reports.answer(Question::parse(query).unwrap(), now, false, pages).unwrap();
        serde_json::from_slice(answer.body()).unwrap()
    }

    fn answer(query: &str, pages: &[(PageId, PageDetail)]) -> Value {
        asked(&mut Reports::default(), query, Instant::now(), pages)
    }

    #[test]
    fn the_busiest_pages_are_listed_and_the_others_counted() {
        let pages: Vec<_> = (0..2000).map(|number| page(number, number)).collect();
        let plain = answer("", &pages);
        assert_eq!(plain["pages"].as_object().unwrap().len(), 1000);
        assert_eq!((&plain["pages"]["example.org/0/1000"], &plain["leftOut"]), (&json!(1000), &json!(999)));
        assert_eq!(
            answer("limit=2&prefix=example.org%2F0", &pages),
            json!({ "pages": { "example.org/0/1996": 1996, "example.org/0/1998": 1998 }, "leftOut": 997 })
        );
        assert_eq!(answer("prefix=example.org/1/1999", &pages), json!({ "pages": { "example.org/1/1999": 1999 } }));
    }

    #[test]
    fn a_prefix_matches_pages_in_any_spelling() {
        let pages =
            [(PageId::parse("example.org/café/menu").unwrap(), PageDetail { viewers: 1, ..PageDetail::default() })];
        for prefix in [
            "example.org/caf%C3%A9/",
            "example.org/caf%25C3%25A9/",
            "example.org/caf%25c3%25a9/",
            "example.org/café",
            "EXAMPLE.org/café/",
            "https://example.org/café/",
            "http://example.org/caf%25C3%25A9",
            "example.org%2F",
            "example.org/caf",
            "exam",
            "EXAMPLE.ORG",
            "example.org:443",
            "HTTPS://example.org/",
            "//example.org/",
            "",
        ] {
            assert_eq!(answer(&format!("prefix={prefix}"), &pages)["pages"].as_object().unwrap().len(), 1, "{prefix}");
        }
        for prefix in ["example.org/cafe/", "example.org/caf/", "example.org/caf%C3%A9s", "other.org"] {
            assert_eq!(answer(&format!("prefix={prefix}"), &pages), json!({ "pages": {} }), "{prefix}");
        }
    }

    #[test]
    fn details_say_that_stored_values_are_still_read() {
        let pages = [page(1, 0)];
        let answer = |query: &str| {
            let pages = || pages.iter().map(|(id, page)| (id, page.clone()));
            let question = Question::parse(query).unwrap();
            let answer = Reports::default().answer(question, Instant::now(), true, pages).unwrap();
            serde_json::from_slice::<Value>(answer.body()).unwrap()["stillReading"].clone()
        };
        assert_eq!([answer("detail"), answer("")], [json!(true), Value::Null]);
    }

    #[test]
    fn pages_without_viewers_are_listed_only_with_detail() {
        let pages = [page(1, 0), page(2, 1)];
        assert_eq!(answer("", &pages), json!({ "pages": { "example.org/0/2": 1 } }));
        assert_eq!(answer("detail", &pages)["pages"].as_object().unwrap().len(), 2);
        assert_eq!(answer("detail&limit=1", &pages)["pages"]["example.org/0/2"]["viewers"], 1);
    }

    #[test]
    fn an_answer_is_kept_for_a_second() {
        let (mut reports, now) = (Reports::default(), Instant::now());
        let before = asked(&mut reports, "", now, &[page(1, 1)]);
        assert_eq!(asked(&mut reports, "", now + LIFETIME / 2, &[page(1, 2)]), before);
        assert_ne!(asked(&mut reports, "limit=5", now + LIFETIME / 2, &[page(1, 2)]), before);
        assert_ne!(asked(&mut reports, "", now + LIFETIME, &[page(1, 2)]), before);
    }

    #[test]
    fn different_requests_take_a_limited_part_of_the_time() {
        let (mut reports, now) = (Reports::default(), Instant::now());
        asked(&mut reports, "", now, &[]);
        reports.charge(now, CREDIT / BUILDING_DIVISOR + Duration::from_millis(1));
        asked(&mut reports, "", now, &[]);
        let another = reports.answer(Question::parse("detail").unwrap(), now, false, std::iter::empty);
        assert!(matches!(another, Err(Error::RoomBusy)), "{another:?}");
        asked(&mut reports, "detail", now + CREDIT, &[]);
    }

    #[test]
    fn a_parameter_asks_for_something_unless_it_says_no() {
        let asked = |query: &str| Question::parse(query).unwrap();
        for (plain, yes, no) in [("detail", "detail=1", "detail=0"), ("here", "here=true", "here=false")] {
            assert_eq!((asked(plain), asked(no)), (asked(yes), asked("")), "{plain}");
        }
        assert_eq!((asked("history").history.is_some(), asked("history=no").history), (true, None));
        let sentence = Question::parse("here=perhaps").unwrap_err();
        assert!(sentence.starts_with("here: \"perhaps\""), "{sentence}");
    }

    #[test]
    fn errors_name_the_invalid_limit() {
        for limit in ["0", "10001", "-1", "many", ""] {
            let sentence = Question::parse(&format!("detail&limit={limit}")).unwrap_err();
            assert!(sentence.contains(&format!("limit={limit}:")), "{sentence}");
        }
    }
}
