//! The badge party: the viewers of a page as a picture or as JSON, for places where no script runs.
//!
//! It never starts a room. Its gatekeeper asks the counter of the page's site and answers, so badges of unknown pages take no
//! memory.

mod picture;
mod style;

use std::hash::{DefaultHasher, Hash, Hasher};

use connection_counter_protocol::{DEFAULT_COUNTER_ROOM, PageCount, PageId};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::{
    Access, Error, Refusal, Settings, gate,
    party::{Lobby, Party, Request, Response, Result, RoomId, cors, is_unchanged, text},
};
use style::Style;

/// Caches must ask each time whether the badge is still right.
const ASK_FIRST: HeaderValue = HeaderValue::from_static("no-cache");
/// If a badge is opened alone, it may load and run nothing.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");

/// Badges: `GET /badge/<page>.svg` and `GET /badge/<page>.json`.
#[derive(Default)]
pub struct Badge;

/// What a request asks for.
struct Asked {
    /// The page whose viewers are shown.
    page: PageId,
    /// The format of the answer.
    form: Form,
}

/// The format of a badge.
#[derive(Clone, Copy)]
enum Form {
    /// An SVG picture.
    Picture,
    /// JSON in the schema of shields.io's endpoint badges.
    Json,
}

impl AsRef<str> for Asked {
    fn as_ref(&self) -> &str {
        self.page.as_str()
    }
}

impl Party for Badge {
    /// The id has slashes as in the page's own address.
    const ID_HAS_SLASHES: bool = true;

    fn room_id(id: &str) -> Result<RoomId> {
        let (page, form) = match id.rsplit_once('.') {
            Some((page, "svg")) => (page, Form::Picture),
            Some((page, "json")) => (page, Form::Json),
            _ => {
                let reason = "a badge is at /badge/PAGE.svg or /badge/PAGE.json; this address has neither ending";
                return Err(Error::refused(StatusCode::NOT_FOUND, reason));
            }
        };
        // A host without a path means its start page, as in every browser.
        let is_host = !page.contains('/') && page.contains(['.', ':']);
        let page = PageId::parse(&if is_host { format!("{page}/") } else { page.to_owned() });
        Ok(RoomId::new(Asked { page: page.map_err(Refusal::from)?, form }))
    }

    /// A badge of a page under another name of its site is the badge of that page.
    fn same_as(lobby: &Lobby) -> Option<RoomId> {
        let Asked { page, form } = lobby.parsed_id()?;
        let page = lobby.setting::<Access>().ok()?.main_page(page)?;
        Some(RoomId::new(Asked { page, form: *form }))
    }

    fn is_paced(headers: &HeaderMap, lobby: &Lobby) -> bool {
        gate::is_paced(headers, lobby)
    }

    async fn on_before_connect(_: Request, _: &Lobby) -> Result<Request, Response> {
        Err(text(StatusCode::FORBIDDEN, "badges are read with GET"))
    }

    async fn on_before_request(request: Request, lobby: &Lobby) -> Result<Request, Response> {
        let Some(Asked { page, form }) = lobby.parsed_id() else { return Ok(request) };
        if !lobby.setting::<Settings>()?.badges {
            let reason = "this server has no badges; its operator can start it with --badges";
            return Err(text(StatusCode::NOT_FOUND, reason));
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
            return Err(Error::Method("GET, HEAD, OPTIONS").into());
        }
        let request = gate::check(request, lobby, page.site())?;
        let style = Style::parse(request.uri().query().unwrap_or_default());
        let style = style.map_err(|reason| cors(text(StatusCode::BAD_REQUEST, reason)))?;
        let viewers = viewers(page, lobby).await?;
        Err(answer(request.headers(), *form, &style, viewers))
    }
}

/// Asks the counter of the page's site.
async fn viewers(page: &PageId, lobby: &Lobby) -> Result<u32> {
    let counter = lobby.parties().get("counter")?.room(page.site().unwrap_or(DEFAULT_COUNTER_ROOM))?;
    let mut question = Request::default();
    let id = utf8_percent_encode(page.as_str(), NON_ALPHANUMERIC);
    *question.uri_mut() = format!("/?page={id}").parse().map_err(|_| Error::Path(page.to_string()))?;
    let answer = counter.fetch(question).await?;
    let count: PageCount = serde_json::from_slice(answer.body())?;
    Ok(count.viewers)
}

/// The badge, or 304 if it has not changed.
fn answer(asked: &HeaderMap, form: Form, style: &Style, viewers: u32) -> Response {
    let (kind, content) = match form {
        Form::Picture => ("image/svg+xml", picture::draw(style, viewers)),
        Form::Json => ("application/json", shields(style, viewers)),
    };
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    let tag = HeaderValue::try_from(format!("\"{:016x}\"", hasher.finish()));
    let tag = tag.expect("hexadecimal digits in quotes are a header value");
    let is_known = is_unchanged(asked, &tag);
    let mut response = cors(Response::new(if is_known { String::new() } else { content }.into()));
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, ASK_FIRST);
    headers.insert(header::ETAG, tag);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    // Pages that isolate themselves may show it, too.
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    response
}

/// The JSON of <https://shields.io/badges/endpoint-badge>.
fn shields(style: &Style, viewers: u32) -> String {
    let badge = json!({
        "schemaVersion": 1,
        "label": style.label,
        "message": viewers.to_string(),
        "color": style.color,
        "labelColor": style.label_color,
        "style": style.shape.name(),
    });
    badge.to_string()
}
