//! The operator's address: metrics, the server's state, and the program's party for the operator. It is a separate address,
//! because it is not for readers.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use data_encoding::BASE64;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header, uri::Authority};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    address,
    error::Error,
    http::HttpServer,
    notice::Notice,
    party::{Response, Result, credentials, text},
    readiness,
    small_reads::SmallReads,
};

/// Connections at the same time: a few collectors and an operator. One more ends the one that has been idle longest.
const MAX_CONNECTIONS: usize = 32;
/// How long a connection is kept for its next request. Collectors ask at least once a minute.
const PATIENCE: Duration = Duration::from_secs(75);
/// Wait after a failed accept.
const ACCEPT_RETRY: Duration = Duration::from_millis(500);

/// Serves the operator for as long as the server runs.
pub(crate) async fn serve(listener: TcpListener, server: Arc<HttpServer>) -> Infallible {
    let open = Arc::new(Open::default());
    if let Ok(address) = listener.local_addr() {
        let page = if server.has_operator_party() {
            format!("the dashboard is at http://{address}/, ")
        } else {
            String::new()
        };
        tracing::info!("{page}metrics are at http://{address}/metrics");
    }
    let mut id = 0_u64;
    loop {
        id += 1;
        let accepted: io::Result<_> = listener.accept().await;
        let Ok((stream, peer)) = accepted else {
            // The readers' address logs a lack of open files.
            tokio::time::sleep(ACCEPT_RETRY).await;
            continue;
        };
        let (server, open, end) = (Arc::clone(&server), Arc::clone(&open), CancellationToken::new());
        open.note_use(id, &end);
        let (connections, ended) = (Arc::clone(&open), end.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            connections.note_use(id, &end);
            let server = Arc::clone(&server);
            async move {
                let token = server.config().admin_token.as_deref();
                let answer = answer(&server, token, request, peer.ip()).await;
                Ok::<_, Infallible>(answer.map(Full::new))
            }
        });
        // The task ends with the connection, or with the program.
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(SmallReads::new(stream)), service)
                .with_upgrades();
            tokio::select! {
                served = connection => if let Err(error) = served {
                    tracing::debug!(%error, "a connection of the operator failed");
                },
                () = ended.cancelled() => {}
            }
            open.forget(id);
        });
    }
}

/// The open connections. The first one has been idle longest.
#[derive(Default)]
struct Open(Mutex<VecDeque<(u64, CancellationToken)>>);

impl Open {
    /// Adds a connection, or notes that it sends a request. If there are too many, the first one is ended.
    fn note_use(&self, id: u64, end: &CancellationToken) {
        let mut open = self.lock();
        open.retain(|(other, _)| *other != id);
        open.push_back((id, end.clone()));
        if open.len() > MAX_CONNECTIONS
            && let Some((_, idle)) = open.pop_front()
        {
            idle.cancel();
        }
    }

    fn forget(&self, id: u64) {
        self.lock().retain(|(other, _)| *other != id);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(u64, CancellationToken)>> {
        // Nothing that holds the lock can panic halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(server: &HttpServer, token: Option<&str>, request: Request<Incoming>, peer: IpAddr) -> Response {
    static REFUSED: Notice = Notice::warning();
    let headers = request.headers();
    if let Err(refusal) = check(token, headers) {
        REFUSED.give(|| match token {
            Some(_) => "a request to the operator's address was refused: it does not carry the token of --admin-token".to_owned(),
            None => "a request to the operator's address was refused: it uses a host name; use 127.0.0.1, or set --admin-token"
                .to_owned(),
        });
        return refusal;
    }
    if let Err(error) = address::check_host(headers) {
        return error.into();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Error::Method("GET, HEAD").into();
    }
    if let Some(answer) = readiness::check(&request, || server.readiness()) {
        return answer.unwrap_or_else(Into::into);
    }
    let answer = match request.uri().path() {
        "/metrics" => metrics(server, headers),
        _ => match server.visit_of_operator(request, peer).await {
            Err(Error::NotFound) => Ok(text(StatusCode::NOT_FOUND, "nothing is here; metrics are at /metrics")),
            answer => answer,
        },
    };
    answer.unwrap_or_else(Into::into)
}

/// Accepts requests with the token. Without a configured token, accepts requests that name this machine by its address. This
/// refuses a web page whose own host name leads here.
fn check(token: Option<&str>, headers: &HeaderMap) -> Result<(), Response> {
    if !is_same_origin(headers) {
        return Err(text(StatusCode::FORBIDDEN, "pages of other addresses have no business here"));
    }
    match token {
        Some(token) => {
            // The comparison takes constant time. The time of a normal one would show how much of a guess is right.
            if sent_token(headers).is_some_and(|sent| token.as_bytes().ct_eq(&sent).into()) {
                return Ok(());
            }
            let sentence = "send the token of --admin-token in Authorization: Bearer, or as the password in a browser";
            let mut refusal = text(StatusCode::UNAUTHORIZED, sentence);
            for kind in ["Bearer", "Basic realm=\"connection-counter\", charset=\"UTF-8\""] {
                refusal.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(kind));
            }
            Err(refusal)
        }
        None if is_this_machine(headers) => Ok(()),
        None => {
            Err(text(StatusCode::FORBIDDEN, "use an IP address such as 127.0.0.1 in the URL, or set --admin-token"))
        }
    }
}

/// The token of a request. Programs send it as it is. Browsers send it as a password, with any user name.
fn sent_token(headers: &HeaderMap) -> Option<Vec<u8>> {
    if let Some(token) = credentials(headers, "Bearer") {
        return Some(token.to_vec());
    }
    let typed = BASE64.decode(credentials(headers, "Basic")?).ok()?;
    let colon = typed.iter().position(|byte| *byte == b':')?;
    typed.get(colon + 1..).map(<[u8]>::to_vec)
}

/// Whether the request comes from no web page, or from a page of this address. Browsers also add the password to requests of
/// other pages.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, named)| Some(named.as_bytes()) == host)
}

fn is_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    host.is_some_and(|host| {
        let name = host.host().trim_matches(['[', ']']);
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
    })
}

/// The metrics, in a format that the collector understands.
fn metrics(server: &HttpServer, headers: &HeaderMap) -> Result<Response> {
    const OPEN_METRICS: &str = "application/openmetrics-text";
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|accepted| accepted.to_str().ok()).peekable();
    // A client that accepts anything gets the standard format.
    let in_open_metrics =
        accepted.peek().is_none() || accepted.any(|kinds| kinds.contains(OPEN_METRICS) || kinds.trim() == "*/*");
    let written = server.metrics(in_open_metrics);
    let mut response = Response::new(Bytes::from(written));
    let kind = if in_open_metrics {
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    } else {
        "text/plain; version=0.0.4; charset=utf-8"
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(token: Option<&str>, headers: &[(&'static str, &'static str)]) -> u16 {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        check(token, &headers).map_or_else(|refusal| refusal.status().as_u16(), |()| 200)
    }

    #[test]
    fn requests_without_the_token_or_a_local_host_are_refused() {
        for host in ["127.0.0.1:2000", "localhost:2000", "[::1]:2000", "10.0.0.1"] {
            assert_eq!(checked(None, &[("host", host)]), 200, "{host}");
        }
        for host in ["evil.example", "evil.example:2000", "127.0.0.1.evil.example"] {
            assert_eq!(checked(None, &[("host", host)]), 403, "{host}");
        }
        for right in ["Bearer secret", "bearer secret", "BASIC OnNlY3JldA=="] {
            assert_eq!(checked(Some("secret"), &[("host", "127.0.0.1"), ("authorization", right)]), 200, "{right}");
        }
        for wrong in ["Bearer secre", "Bearer secrets", "secret", "Bearer "] {
            assert_eq!(checked(Some("secret"), &[("host", "127.0.0.1"), ("authorization", wrong)]), 401, "{wrong}");
        }
        assert_eq!(checked(Some("secret"), &[("host", "127.0.0.1")]), 401);
    }

    #[test]
    fn the_token_is_accepted_as_a_password() {
        // These are `anyone:secret`, `:secret`, `secret:`, `anyone:secrets`, and invalid base64.
        for (sent, status) in [
            ("Basic YW55b25lOnNlY3JldA==", 200),
            ("Basic OnNlY3JldA==", 200),
            ("Basic c2VjcmV0Og==", 401),
            ("Basic YW55b25lOnNlY3JldHM=", 401),
            ("Basic secret", 401),
        ] {
            assert_eq!(checked(Some("secret"), &[("host", "10.0.0.1"), ("authorization", sent)]), status, "{sent}");
        }
    }

    #[test]
    fn requests_of_pages_of_other_origins_are_refused() {
        for (origin, status) in [
            ("http://127.0.0.1:2000", 200),
            ("https://127.0.0.1:2000", 200),
            ("http://127.0.0.1:3000", 403),
            ("http://evil.example", 403),
            ("null", 403),
        ] {
            assert_eq!(checked(None, &[("host", "127.0.0.1:2000"), ("origin", origin)]), status, "{origin}");
        }
    }
}
