//! The dashboard as HTML: every number is in it, so it is complete without scripts.

use std::{
    fmt::{self, Display, Write},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use super::{ALL_SITES, SITE, curve::Curve, escape::Escaped, reading::Reading};
use crate::{
    counter::{HOUR_MINUTES, MONTH_HOURS, Overview, PageOverview},
    refusal::refused_origins,
};

/// How many pages are listed, of all sites together.
const LISTED: usize = 10;
/// How many sites are listed.
const LISTED_SITES: usize = 20;
/// How many log lines about refusals are listed, the newest ones.
const LISTED_TOLD: usize = 12;
/// Hours for each point of the curve of 30 days. More points than pixels would only make the page larger.
const HOURS_A_POINT: usize = 6;
const HOURS_A_DAY: usize = 24;
/// Minutes for each column of the table that shows the curves of a list. Six columns fit on a phone.
const MINUTES_A_COLUMN: usize = 10;
const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 3_600_000;

/// The overviews of the sites.
#[derive(Default)]
pub(super) struct Sites {
    /// The busiest first.
    pub(super) all: Vec<Arc<Overview>>,
    /// How many more sites there are.
    pub(super) left_out: usize,
}

impl Sites {
    pub(super) fn viewers(&self) -> u32 {
        self.all.iter().fold(0, |sum, site| sum.saturating_add(site.viewers))
    }

    /// The sum over all sites, value by value.
    fn sum(&self, values: usize, of: impl Fn(&Overview) -> &[u32]) -> Vec<u32> {
        let mut sum = vec![0_u32; values];
        for site in &self.all {
            for (sum, value) in sum.iter_mut().zip(of(site)) {
                *sum = sum.saturating_add(*value);
            }
        }
        sum
    }

    /// The first pages of the lists of all sites together. Pages with the highest `number` come first.
    fn first(
        &self,
        of: impl Fn(&Overview) -> &[PageOverview],
        number: impl Fn(&PageOverview) -> u32,
    ) -> Vec<&PageOverview> {
        let mut pages: Vec<_> = self.all.iter().flat_map(|site| of(site)).collect();
        pages.sort_by(|a, b| number(b).cmp(&number(a)).then_with(|| a.id.cmp(&b.id)));
        pages.truncate(LISTED);
        pages
    }
}

/// The whole page.
pub(super) fn page(reading: &Reading, sites: &Sites, now_ms: u64) -> String {
    let viewers = sites.viewers();
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{viewers} viewers now</title><link rel=\"icon\" href=\"data:,\">\
         <link rel=\"stylesheet\" href=\"dashboard.css\"><script type=\"module\" src=\"dashboard.js\"></script></head><body>\
         <header><h1><b data-count=\"{ALL_SITES}\">{viewers}</b> viewers now</h1><p id=\"state\">As of {}</p></header><main>",
        Time(now_ms)
    );
    // Writing to a string does not fail.
    let _ = write!(
        html,
        "{}{}{}{}{}{}{}</main></body></html>",
        Section("Faults", faults(reading)),
        curves(sites, now_ms),
        Section("Sites", site_list(sites, now_ms)),
        Section("Busiest pages", busiest(&sites.first(|site| &site.busiest, |page| page.viewers), now_ms)),
        Section("Rising fastest", rising(&sites.first(|site| &site.rising, PageOverview::rise))),
        refusals(reading),
        Section("The server", server(reading)),
    );
    html
}

/// A part of the page with its heading. An empty part is left out.
struct Section(&'static str, String);

impl Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1.is_empty() { Ok(()) } else { write!(f, "<section><h2>{}</h2>{}</section>", self.0, self.1) }
    }
}

fn faults(reading: &Reading) -> String {
    list(reading.faults().iter().map(|fault| Escaped(fault).to_string()))
}

/// The curves of all sites together, with their numbers as tables.
fn curves(sites: &Sites, now_ms: u64) -> String {
    let hour = sites.sum(HOUR_MINUTES, |site| &site.hour);
    let month = sites.sum(MONTH_HOURS, |site| &site.month);
    let points: Vec<u32> = highest(&month, HOURS_A_POINT);
    let minutes = hour.iter().rev().zip(0_u64..);
    let minutes = minutes.map(|(highest, minute)| (Time(now_ms - minute * MINUTE_MS).minute(), *highest));
    let days = highest(&month, HOURS_A_DAY);
    let days = days.iter().rev().zip(0_u64..).map(|(highest, day)| (Time(now_ms - day * DAY_MS).day(), *highest));
    let several = if sites.all.len() > 1 { " The sum of what each site had at most." } else { "" };
    let most = |values: &[u32]| values.iter().copied().max().unwrap_or(0);
    format!(
        "<section class=\"curves\"><figure><figcaption>Last hour, at most <b>{}</b>.{several}</figcaption>{}{}</figure>\
         <figure><figcaption>Last 30 days, at most <b>{}</b>.</figcaption>{}{}</figure></section>",
        most(&hour),
        Curve { values: &hour, of: "the last hour" },
        numbers("The last hour", "Minute (UTC)", minutes),
        most(&month),
        Curve { values: &points, of: "the last 30 days" },
        numbers("The last 30 days", "24 hours until (UTC)", days),
    )
}

/// The highest value in each group of `each` values.
fn highest(values: &[u32], each: usize) -> Vec<u32> {
    values.chunks(each).map(|some| some.iter().copied().max().unwrap_or(0)).collect()
}

/// The numbers of a curve, as a table.
fn numbers(what: &str, when: &str, rows: impl Iterator<Item = (String, u32)>) -> String {
    let mut table = format!(
        "<details><summary>{what} as a table</summary><table><thead><tr><th>{when}<th>Most viewers</thead><tbody>"
    );
    for (time, highest) in rows {
        let _ = write!(table, "<tr><td>{time}<td>{highest}");
    }
    table + "</tbody></table></details>"
}

/// The numbers of the small curves in a list of sites or pages, as a table.
fn last_hours<'a>(what: &str, rows: impl Iterator<Item = (&'a str, &'a [u32])>, now_ms: u64) -> String {
    let columns = (0..HOUR_MINUTES / MINUTES_A_COLUMN).rev();
    let ends = columns.map(|column| Time(now_ms - (column * MINUTES_A_COLUMN) as u64 * MINUTE_MS).minute());
    let heads: Vec<String> = std::iter::once(what.to_owned()).chain(ends).collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let rows = rows.map(|(id, hour)| {
        let highest = highest(hour, MINUTES_A_COLUMN).into_iter().map(|highest| format!("<td>{highest}"));
        format!("<th scope=\"row\"><bdi>{}</bdi>{}", Escaped(id), highest.collect::<String>())
    });
    let table = table(&heads, rows);
    format!(
        "<details><summary>{what}s in the last hour as a table</summary>\
         <p>Most viewers in the ten minutes until (UTC)</p>{table}</details>"
    )
}

fn site_list(sites: &Sites, now_ms: u64) -> String {
    if sites.all.len() < 2 {
        return String::new();
    }
    let rows = sites.all.iter().take(LISTED_SITES).map(|site| {
        let id = Escaped(&site.site);
        let most = site.month.iter().max().copied().unwrap_or(0);
        let curve = Curve { values: &site.hour, of: "the last hour" };
        format!("<th scope=\"row\"><bdi>{id}</bdi><td data-count=\"{SITE}{id}\">{}<td>{most}<td>{curve}", site.viewers)
    });
    let left_out = sites.left_out + sites.all.len().saturating_sub(LISTED_SITES);
    let more = if left_out > 0 { format!("<p>And {left_out} more.</p>") } else { String::new() };
    let hours = sites.all.iter().take(LISTED_SITES).map(|site| (site.site.as_str(), site.hour.as_slice()));
    table(&["Site", "Viewers", "Most in 30 days", "Last hour"], rows) + &last_hours("Site", hours, now_ms) + &more
}

fn busiest(pages: &[&PageOverview], now_ms: u64) -> String {
    if pages.is_empty() {
        return "<p>Nobody is here. A number appears when someone opens a page with the tag.</p>".to_owned();
    }
    let rows = pages.iter().map(|page| {
        let id = Escaped(page.id.as_str());
        let curve = Curve { values: &page.hour, of: "the last hour" };
        let PageOverview { viewers, peak, peak_at_ms, .. } = page;
        format!(
            "<th scope=\"row\"><bdi>{id}</bdi><td data-count=\"{id}\">{viewers}<td title=\"{}\">{peak}<td>{curve}",
            Time(*peak_at_ms)
        )
    });
    let hours = pages.iter().map(|page| (page.id.as_str(), page.hour.as_slice()));
    table(&["Page", "Viewers", "Most ever", "Last hour"], rows) + &last_hours("Page", hours, now_ms)
}

fn rising(pages: &[&PageOverview]) -> String {
    if pages.is_empty() {
        return String::new();
    }
    let rows = pages.iter().map(|page| {
        let id = Escaped(page.id.as_str());
        format!("<th scope=\"row\"><bdi>{id}</bdi><td data-count=\"{id}\">{}<td>{}", page.viewers, page.before())
    });
    table(&["Page", "Viewers", "10 minutes ago"], rows)
}

/// Who was refused, and which flag changes that.
fn refusals(reading: &Reading) -> String {
    let origins = refused_origins();
    let rows = origins.iter().map(|origin| {
        let (name, flag) = (Escaped(&origin.origin), Escaped(&origin.flag));
        format!("<th scope=\"row\"><bdi>{name}</bdi><td>{}<td><code>--site {flag}</code>", origin.times)
    });
    let origins = if origins.is_empty() { String::new() } else { table(&["Origin", "Times", "Lets it in"], rows) };
    let told = reading.told().iter().rev().take(LISTED_TOLD);
    let told = list(told.map(|(sentence, times)| format!("{} <small>({times} times)</small>", Escaped(sentence))));
    format!("{}{}", Section("Refused origins", origins), Section("Limits hit and warnings", told))
}

fn server(reading: &Reading) -> String {
    let value = |name: &str| reading.value(name).unwrap_or(0);
    let mut rows = vec![
        row("Connections", &format!("{} of {}", value("connections"), value("connections_limit"))),
        row("WebSockets", &value("websockets")),
        row("Storage", &if value("storage_writable") == 1 { "takes writes" } else { "takes no writes" }),
        row("Values that wait for the disk", &value("storage_pending_values")),
    ];
    let label = |labels: &str| labels.split('"').nth(1).map(str::to_owned).unwrap_or_default();
    rows.extend(reading.rows("rooms").map(|(party, rooms)| row(&format!("Rooms: {}", label(party)), &rooms)));
    rows.extend(reading.rows("refusals_total").map(|(why, times)| row(&format!("Refused: {}", label(why)), &times)));
    rows.extend(reading.all("cluster_").map(|(name, number)| row(name, &number)));
    format!("<table><tbody>{}</tbody></table>", rows.concat())
}

fn row(name: &str, value: &dyn Display) -> String {
    format!("<tr><th scope=\"row\">{}<td>{value}", Escaped(name))
}

fn table(heads: &[&str], rows: impl Iterator<Item = String>) -> String {
    let heads: String = heads.iter().map(|head| format!("<th scope=\"col\">{head}")).collect();
    let rows: String = rows.map(|row| format!("<tr>{row}")).collect();
    format!("<table><thead><tr>{heads}</thead><tbody>{rows}</tbody></table>")
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: String = items.map(|item| format!("<li>{item}")).collect();
    if items.is_empty() { items } else { format!("<ul>{items}</ul>") }
}

/// A time in milliseconds since 1970, as people read it.
struct Time(u64);

impl Time {
    fn iso(&self) -> String {
        humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(self.0)).to_string()
    }

    /// Such as `08:59`.
    fn minute(&self) -> String {
        self.iso().get(11..16).unwrap_or_default().to_owned()
    }

    /// Such as `2027-01-15`.
    fn day(&self) -> String {
        self.iso().get(..10).unwrap_or_default().to_owned()
    }
}

impl Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} UTC", self.day(), self.minute())
    }
}

#[cfg(test)]
mod tests {
    use connection_counter_protocol::PageId;

    use super::*;
    use crate::party::Status;

    /// 2027-01-15, 08:00 UTC.
    const NOW_MS: u64 = 1_800_000_000_000;

    fn page_of(id: &str, viewers: u32) -> PageOverview {
        let hour = (0..60).map(|minute| if minute < 50 { 1 } else { viewers }).collect();
        PageOverview { id: PageId::parse(id).unwrap(), viewers, peak: 70_000, peak_at_ms: NOW_MS, hour }
    }

    fn sites(ids: &[&str]) -> Sites {
        let pages: Vec<_> = ids.iter().zip(5..).map(|(id, viewers)| page_of(id, viewers)).collect();
        let overview = Overview {
            site: "example.org".to_owned(),
            viewers: pages.iter().map(|page| page.viewers).sum(),
            hour: (0..60).collect(),
            month: (0..720).collect(),
            busiest: pages.clone(),
            rising: pages,
        };
        Sites { all: vec![Arc::new(overview)], left_out: 0 }
    }

    fn written(sites: &Sites, status: &Status) -> String {
        page(&Reading::new(status), sites, NOW_MS)
    }

    #[test]
    fn the_page_is_complete_without_scripts() {
        let metrics = "connectioncounter_connections 3\nconnectioncounter_connections_limit 40\n\
                       connectioncounter_refusals_total{reason=\"rooms\"} 9\nconnectioncounter_cluster_peers 2\n";
        let status = Status {
            metrics: metrics.to_owned(),
            faults: vec!["storage takes no writes: <full>".to_owned()],
            notices: vec![("--max-rooms are in memory".to_owned(), 9)],
        };
        let html = written(&sites(&["example.org/a", "example.org/b"]), &status);
        for part in [
            "<b data-count=\"site:*\">11</b> viewers now",
            "storage takes no writes: &lt;full&gt;",
            "Last hour, at most <b>59</b>",
            "Last 30 days, at most <b>719</b>",
            "<tr><td>08:00<td>59<tr><td>07:59<td>58",
            "<tr><td>2027-01-15<td>719<tr><td>2027-01-14<td>695",
            "<bdi>example.org/b</bdi><td data-count=\"example.org/b\">6<td title=\"2027-01-15 08:00 UTC\">70000",
            "<td data-count=\"example.org/b\">6<td>1",
            "<th scope=\"col\">Page<th scope=\"col\">07:10<th scope=\"col\">07:20",
            "<bdi>example.org/b</bdi><td>1<td>1<td>1<td>1<td>1<td>6",
            "--max-rooms are in memory <small>(9 times)</small>",
            "<tr><th scope=\"row\">Connections<td>3 of 40",
            "Refused: rooms<td>9",
            "cluster_peers<td>2",
        ] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
    }

    #[test]
    fn names_of_pages_are_escaped() {
        let html = written(&sites(&["<script>alert(1)", "a\" onmouseover=\"x", "a\u{202e}b"]), &Status::default());
        assert_eq!(html.matches("<script").count(), 1, "{html}");
        assert!(!html.contains("\" onmouseover") && !html.contains('\u{202e}'), "{html}");
        assert!(html.contains("&lt;script&gt;alert(1)") && html.contains("a[U+202E]b"), "{html}");
    }

    #[test]
    fn the_curves_of_sites_are_also_shown_as_tables() {
        let mut two = sites(&["example.org/a"]);
        two.all.push(Arc::new(Overview { site: "example.net".to_owned(), ..Overview::clone(&two.all[0]) }));
        let html = written(&two, &Status::default());
        assert!(html.contains("<bdi>example.net</bdi><td>9<td>19<td>29<td>39<td>49<td>59"), "{html}");
    }

    #[test]
    fn a_server_without_viewers_shows_0_and_says_so() {
        let html = written(&Sites::default(), &Status::default());
        assert!(html.contains(">0</b> viewers now") && html.contains("Nobody is here."), "{html}");
    }

    #[test]
    fn the_largest_dashboard_fits_into_20_kilobytes() {
        let ids: Vec<String> = (0..10).map(|page| format!("example.org/{}/{page}", "long".repeat(10))).collect();
        let mut full = sites(&ids.iter().map(String::as_str).collect::<Vec<_>>());
        // These curves take the most bytes, because each value differs from the one before.
        let jagged = |values: u32| (0..values).map(|value| value % 2 * 40 + value % 7).collect::<Vec<_>>();
        for site in &mut full.all {
            let site = Arc::make_mut(site);
            (site.hour, site.month) = (jagged(60), jagged(720));
            site.rising.truncate(5);
            site.busiest.iter_mut().for_each(|page| page.hour = jagged(60));
        }
        let bytes = written(&full, &Status::default()).len() + super::super::STYLE.len() + super::super::SCRIPT.len();
        assert!(bytes <= 20 * 1024, "{bytes} bytes");
    }
}
