//! The dashboard: a page for the operator, at the address of `--admin`.
//!
//! It is a party with one room. The page works without scripts. With scripts its numbers are live. They arrive in the same
//! messages that readers' pages get.

mod curve;
mod escape;
mod reading;
mod view;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use connection_counter_protocol::{Counts, PageId, PageMessage};
use http::{HeaderValue, Method, header};

use crate::{
    Access, Error,
    counter::{AskOverview, Overview},
    party::{
        Connection, Message, Party, Request, Response, Result, Room, Status, bytes::Bytes, http::StatusCode, text,
        unix_ms,
    },
};
use reading::Reading;
use view::Sites;

/// How often an open dashboard gets new numbers. People do not read faster.
const INTERVAL: Duration = Duration::from_secs(1);
/// Dashboards that may be open at the same time. There are few, because each costs as much as a reader.
const MAX_OPEN: usize = 32;
/// The prefix of the names of sites' numbers. The other names are pages.
const SITE: &str = "site:";
/// The name of the number of all sites together.
const ALL_SITES: &str = "site:*";
/// Sites whose counters are asked. If there are more, the dashboard says how many.
const MAX_SITES: usize = 200;

const STYLE: &str = include_str!("dashboard.css");
const SCRIPT: &str = include_str!("dashboard.js");
/// The page may load only its two files, and connect only to this address.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// The operator's page.
#[derive(Default)]
pub struct Dashboard {
    /// The numbers that open dashboards have.
    told: Counts,
    /// Whether a tick is due.
    ticks: bool,
}

impl Party for Dashboard {
    async fn on_connect(&mut self, room: &mut Room, connection: &Connection, _: &Request) -> Result {
        if room.connections().count() > MAX_OPEN {
            return Err(Error::refused(StatusCode::SERVICE_UNAVAILABLE, "too many dashboards are open; close one"));
        }
        connection.send(update(self.told.clone())?)?;
        if !std::mem::replace(&mut self.ticks, true) {
            room.tick_in(Duration::ZERO);
        }
        Ok(())
    }

    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Error::Method("GET, HEAD"));
        }
        match request.uri().path() {
            "/" => {
                let status = request.extensions().get::<Status>().cloned().unwrap_or_default();
                let page = view::page(&Reading::new(&status), &sites(room).await?, unix_ms());
                Ok(served("text/html; charset=utf-8", page))
            }
            "/dashboard.css" => Ok(served("text/css; charset=utf-8", STYLE)),
            "/dashboard.js" => Ok(served("text/javascript; charset=utf-8", SCRIPT)),
            _ => Ok(text(StatusCode::NOT_FOUND, "nothing is here; the dashboard is at /, metrics are at /metrics")),
        }
    }

    async fn on_tick(&mut self, room: &mut Room) -> Result {
        self.ticks = room.connections().next().is_some();
        if !self.ticks {
            self.told.clear();
            return Ok(());
        }
        let new = numbers(&sites(room).await?);
        // Pages that are no longer listed have no viewers.
        let left = self.told.keys().filter(|name| !new.contains_key(*name)).map(|name| (name.clone(), 0));
        let now: Counts = left.chain(new.clone()).collect();
        let changed: Counts = now.into_iter().filter(|(name, viewers)| self.told.get(name) != Some(viewers)).collect();
        self.told = new;
        if !changed.is_empty() {
            room.broadcast(&update(changed)?, &[]);
        }
        room.tick_in(INTERVAL);
        Ok(())
    }
}

/// The overviews of the sites: those that are listed, and all others with viewers.
async fn sites(room: &Room) -> Result<Sites> {
    let counter = room.parties().get("counter")?;
    let awake = counter.awake();
    let listed = room.setting::<Access>()?.named().map(str::to_owned);
    let names: BTreeSet<_> = listed.chain(awake.iter().map(|stub| stub.room_id().to_owned())).collect();
    let mut sites = Sites { left_out: names.len().saturating_sub(MAX_SITES), ..Sites::default() };
    for name in names.into_iter().take(MAX_SITES) {
        let mut request = Request::default();
        request.extensions_mut().insert(AskOverview);
        match counter.room(&name)?.fetch(request).await {
            Ok(answer) => sites.all.extend(answer.extensions().get::<Arc<Overview>>().cloned()),
            // This counter is too busy or fails. The other sites are still shown.
            Err(error) => tracing::debug!(site = name, %error, "the counter of a site did not answer the dashboard"),
        }
    }
    sites.all.sort_by(|a, b| b.viewers.cmp(&a.viewers).then_with(|| a.site.cmp(&b.site)));
    Ok(sites)
}

/// The live numbers.
fn numbers(sites: &Sites) -> Counts {
    let of_sites = sites.all.iter().map(|site| (format!("{SITE}{}", site.site), site.viewers));
    let all = std::iter::once((ALL_SITES.to_owned(), sites.viewers()));
    // All names are page ids, because a name without a slash is one, too.
    let named = of_sites.chain(all).filter_map(|(name, viewers)| Some((PageId::parse(&name).ok()?, viewers)));
    let of_pages = sites.all.iter().flat_map(|site| site.busiest.iter().chain(&site.rising));
    named.chain(of_pages.map(|page| (page.id.clone(), page.viewers))).collect()
}

fn update(connections: Counts) -> Result<Message> {
    Ok(Message::text(serde_json::to_string(&PageMessage::Update { connections })?))
}

/// A file of the dashboard. No cache keeps it, and no other page can frame it or run it.
fn served(kind: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into());
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    response.headers_mut().extend(headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}
