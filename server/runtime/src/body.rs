//! The body of a request, read within the limits of bytes and time, and paid for by the address that sends it.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use crate::{
    account::{Account, Reservation},
    error::Error,
    limits::Limits,
};

/// Reads a body to its end. The reservation is to be kept as long as the body.
///
/// # Errors
/// [`Error::TooMuchFromAddress`] before anything is read, or [`Error::Body`].
pub(crate) async fn read(
    body: Incoming,
    account: Option<Arc<Account>>,
    limits: &Limits,
) -> Result<(Bytes, Reservation), Error> {
    let too_much = || Error::Body { limit: limits.body_bytes };
    // Taken at once and not as it comes: of bodies that come slowly, many are held together.
    let most = body.size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX);
    let held = Reservation::of(account, most.min(limits.body_bytes))?;
    let body = Limited::new(body, limits.body_bytes).collect();
    let body = timeout(limits.body_timeout, body).await.map_err(|_| too_much())?;
    Ok((body.map_err(|_| too_much())?.to_bytes(), held))
}
