//! The operator's own address: metrics, and how the server is. Not for readers, so it is another one than theirs.

use std::{convert::Infallible, io, net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header, uri::Authority};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use subtle::ConstantTimeEq;
use tokio::{net::TcpListener, sync::Semaphore};

use crate::{
    http::HttpServer,
    notice::Notice,
    party::{Response, Result, text},
};

/// Connections at a time: a few collectors and an operator.
const MAX_CONNECTIONS: usize = 32;
/// How long a connection is kept for its next request: collectors ask every minute or more often.
const PATIENCE: Duration = Duration::from_secs(75);
/// Wait after a failed accept.
const ACCEPT_RETRY: Duration = Duration::from_millis(500);

/// Serves the operator for as long as the server runs.
pub(crate) async fn serve(listener: TcpListener, server: Arc<HttpServer>) -> Infallible {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    if let Ok(address) = listener.local_addr() {
        tracing::info!("metrics are at http://{address}/metrics");
    }
    loop {
        let accepted: io::Result<_> = listener.accept().await;
        let Ok((stream, _)) = accepted else {
            // The readers' own address tells of a lack of open files.
            tokio::time::sleep(ACCEPT_RETRY).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else { continue };
        let server = Arc::clone(&server);
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = answer(&server, server.config().admin_token.as_deref(), &request);
            std::future::ready(Ok::<_, Infallible>(answer.map(Full::new)))
        });
        // Ends with the connection, or with the program.
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection of the operator failed");
            }
            drop(permit);
        });
    }
}

fn answer<B>(server: &HttpServer, token: Option<&str>, request: &Request<B>) -> Response {
    static REFUSED: Notice = Notice::warning();
    let headers = request.headers();
    if let Err(refusal) = check(token, headers) {
        REFUSED.give(|| match token {
            Some(_) => "a request to the operator's address was refused: it does not carry the token of --admin-token".to_owned(),
            None => "a request to the operator's address was refused: it asks by a name; ask by 127.0.0.1, or set --admin-token"
                .to_owned(),
        });
        return refusal;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD here");
    }
    let answer = match request.uri().path() {
        "/metrics" => metrics(server, headers),
        "/readyz" => server.readiness().answer(),
        "/healthz" => Ok(text(StatusCode::OK, "ok\n")),
        _ => Ok(text(StatusCode::NOT_FOUND, "nothing is here; metrics are at /metrics")),
    };
    answer.unwrap_or_else(Into::into)
}

/// Lets in who has the token, or, where there is none, who names this machine by its address. A web page that has its own
/// name lead here cannot.
fn check(token: Option<&str>, headers: &HeaderMap) -> Result<(), Response> {
    match token {
        Some(token) => {
            let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
            // In constant time: the time of an ordinary comparison tells how much of a guess was right.
            if sent.is_some_and(|sent| token.as_bytes().ct_eq(sent).into()) {
                return Ok(());
            }
            let mut refusal =
                text(StatusCode::UNAUTHORIZED, "send the token of --admin-token in Authorization: Bearer");
            refusal.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            Err(refusal)
        }
        None if is_this_machine(headers) => Ok(()),
        None => Err(text(StatusCode::FORBIDDEN, "ask by the address itself, such as 127.0.0.1, or set --admin-token")),
    }
}

fn is_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    host.is_some_and(|host| {
        let name = host.host().trim_matches(['[', ']']);
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
    })
}

/// The metrics, in the format that the collector understands.
fn metrics(server: &HttpServer, headers: &HeaderMap) -> Result<Response> {
    const OPEN_METRICS: &str = "application/openmetrics-text";
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|accepted| accepted.to_str().ok()).peekable();
    // Whoever takes anything gets the standard.
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
    fn strangers_are_not_let_in() {
        for host in ["127.0.0.1:2000", "localhost:2000", "[::1]:2000", "10.0.0.1"] {
            assert_eq!(checked(None, &[("host", host)]), 200, "{host}");
        }
        for host in ["evil.example", "evil.example:2000", "127.0.0.1.evil.example"] {
            assert_eq!(checked(None, &[("host", host)]), 403, "{host}");
        }
        assert_eq!(checked(Some("secret"), &[("host", "127.0.0.1"), ("authorization", "Bearer secret")]), 200);
        for wrong in ["Bearer secre", "Bearer secrets", "secret", "Bearer "] {
            assert_eq!(checked(Some("secret"), &[("host", "127.0.0.1"), ("authorization", wrong)]), 401, "{wrong}");
        }
        assert_eq!(checked(Some("secret"), &[("host", "127.0.0.1")]), 401);
    }
}
