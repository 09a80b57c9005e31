//! The answer to `GET /parties/counter/<site>?history`: JSON for programs, CSV for spreadsheets.

use std::{
    fmt::Write,
    time::{Duration, UNIX_EPOCH},
};

use connection_counter_protocol::PageId;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::{Curve, History, MAX_PAGES, Step};
use crate::{
    gate,
    party::{Response, Result, cors, text},
};

/// The format of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::counter) enum Format {
    #[default]
    Json,
    Csv,
}

/// Which history a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::counter) struct Wanted {
    /// The page. `None` for the whole site.
    pub(in crate::counter) page: Option<PageId>,
    pub(in crate::counter) format: Format,
}

/// The answer as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    site: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<&'a PageId>,
    minutes: Span,
    hours: Span,
    /// More values will follow. The server has just started, and still reads what is stored.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    still_reading: bool,
}

/// A series of values.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    /// When the first value begins, in milliseconds since 1970.
    start_ms: u64,
    /// Milliseconds for each value.
    step_ms: u64,
    /// The highest number of viewers at once in each.
    highest: Vec<u32>,
}

impl Span {
    fn new(curve: &Curve, step: Step, wall_ms: u64) -> Self {
        let highest = curve.shown(step, wall_ms, step.shown());
        let newest_ms = wall_ms - wall_ms % step.ms();
        let start_ms = newest_ms.saturating_sub(highest.len().saturating_sub(1) as u64 * step.ms());
        Self { start_ms, step_ms: step.ms(), highest }
    }

    fn write_csv(&self, csv: &mut String) {
        let starts = (self.start_ms..).step_by(usize::try_from(self.step_ms).unwrap_or(usize::MAX));
        for (start_ms, highest) in starts.zip(&self.highest) {
            let start = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(start_ms));
            // Writing to a string does not fail.
            let _ = write!(csv, "{start},{},{highest}\r\n", self.step_ms / 1000);
        }
    }
}

impl History {
    /// The history of the site, or of one of its pages, up to this time.
    pub(in crate::counter) fn answer(
        &self,
        site: &str,
        wanted: &Wanted,
        wall_ms: u64,
        still_reading: bool,
    ) -> Result<Response> {
        let curve = match &wanted.page {
            None => &self.site,
            Some(page) => match self.pages.get(page) {
                Some(curve) => curve,
                None => return Ok(cors(text(StatusCode::NOT_FOUND, none_of(page)))),
            },
        };
        let (minutes, hours) = (Span::new(curve, Step::Minute, wall_ms), Span::new(curve, Step::Hour, wall_ms));
        match wanted.format {
            Format::Json => gate::public(&Report { site, page: wanted.page.as_ref(), minutes, hours, still_reading }),
            Format::Csv => {
                let mut csv = "start,seconds,highest\r\n".to_owned();
                hours.write_csv(&mut csv);
                minutes.write_csv(&mut csv);
                let mut response = cors(text(StatusCode::OK, csv));
                let kind = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                Ok(response)
            }
        }
    }
}

fn none_of(page: &PageId) -> String {
    format!(
        "{page} has no history here: a site keeps that of the {MAX_PAGES} busiest pages that had viewers in the last 90 days\n"
    )
}
