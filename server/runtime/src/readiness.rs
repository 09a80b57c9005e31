//! The answers to `/healthz` and `/readyz`: whether the server takes new connections, and what is wrong with it.

use http::{HeaderValue, Method, Request, StatusCode, header, request::Parts};
use serde::Serialize;

use crate::{
    error::Error,
    party::{Response, Result, json, text},
};

/// Whether the server is ready. It is, unless a problem is added.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Readiness {
    /// The worst problem so far.
    status: Status,
    /// The problems, as sentences for people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
enum Status {
    #[default]
    Ready,
    /// It serves, but something is wrong.
    Degraded,
    /// New readers should go elsewhere.
    NotReady,
}

impl Readiness {
    /// Adds a problem with which the server still serves.
    pub(crate) fn limit(&mut self, reason: String) {
        self.add(Status::Degraded, reason);
    }

    /// Adds a reason to send new readers elsewhere.
    pub(crate) fn refuse(&mut self, reason: &str) {
        self.add(Status::NotReady, reason.to_owned());
    }

    pub(crate) fn reasons(self) -> Vec<String> {
        self.reasons
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.status != Status::NotReady
    }

    fn add(&mut self, status: Status, reason: String) {
        self.status = std::mem::take(&mut self.status).max(status);
        self.reasons.push(reason);
    }

    /// `200` with `{"status":"ready"}` or `{"status":"degraded","reasons":[…]}`, or `503` with `{"status":"notReady",…}`.
    pub(crate) fn answer(&self) -> Result<Response> {
        let mut response = json(self)?;
        if self.status == Status::NotReady {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

/// Answers the health checks: `/healthz` says that the server runs, and `/readyz` whether it is ready. Some load balancers check with
/// `OPTIONS`, at any path. `None` for other requests.
pub(crate) fn check<B>(request: &Request<B>, readiness: impl FnOnce() -> Readiness) -> Option<Result<Response>> {
    let (method, path) = (request.method(), request.uri().path());
    if method == Method::OPTIONS {
        let mut up = text(StatusCode::NO_CONTENT, "");
        up.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
        return Some(below(path, readiness).unwrap_or(Ok(up)));
    }
    if !matches!(path, "/healthz" | "/readyz") {
        return None;
    }
    match *method {
        Method::GET | Method::HEAD => below(path, readiness),
        _ => Some(Err(Error::Method("GET, HEAD, OPTIONS"))),
    }
}

/// Answers a health check at a path at which nothing else is: a proxy may put its own path before ours.
pub(crate) fn check_below(request: &Parts, readiness: impl FnOnce() -> Readiness) -> Option<Result<Response>> {
    let is_check = matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS);
    is_check.then(|| below(request.uri.path(), readiness)).flatten()
}

fn below(path: &str, readiness: impl FnOnce() -> Readiness) -> Option<Result<Response>> {
    match path.rsplit('/').next() {
        Some("healthz") => Some(Ok(text(StatusCode::OK, "ok\n"))),
        Some("readyz") => Some(readiness().answer()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(readiness: &Readiness) -> (u16, String) {
        let response = readiness.answer().unwrap();
        (response.status().as_u16(), String::from_utf8(response.body().to_vec()).unwrap())
    }

    #[test]
    fn the_worst_problem_decides_the_status() {
        let mut readiness = Readiness::default();
        assert_eq!(answered(&readiness), (200, r#"{"status":"ready"}"#.to_owned()));
        readiness.limit("slow disk".to_owned());
        assert_eq!(answered(&readiness), (200, r#"{"status":"degraded","reasons":["slow disk"]}"#.to_owned()));
        readiness.refuse("stopping");
        readiness.limit("few files".to_owned());
        let worst = r#"{"status":"notReady","reasons":["slow disk","stopping","few files"]}"#;
        assert_eq!(answered(&readiness), (503, worst.to_owned()));
    }
}
