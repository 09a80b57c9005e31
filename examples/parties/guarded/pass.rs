//! A pass: who somebody is and until when, signed with a key that never leaves the server.

use std::{
    env,
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use connection_counter::party::{Party, Request, Response, Result, Room, text};
use hmac::{Hmac, KeyInit, Mac};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// A pass opens a connection and is then of no use, so it need not live longer than that takes.
const LIFETIME: Duration = Duration::from_secs(30);

/// Signs with the secret `GUARDED_KEY`; without one, with a key that no one knows and that ends with this run.
static SIGNER: LazyLock<Hmac<Sha256>> = LazyLock::new(|| {
    let mut random = [0; 32];
    getrandom::fill(&mut random).expect("the operating system has random bytes");
    let key = env::var("GUARDED_KEY").ok().filter(|key| !key.is_empty());
    let key = key.as_ref().map_or(&random[..], String::as_bytes);
    Hmac::new_from_slice(key).expect("a key may have any length")
});

#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Pass {
    pub(crate) user: String,
    /// Seconds since 1970.
    expires: u64,
}

impl Pass {
    pub(crate) fn of(user: &str) -> Self {
        Self { user: user.to_owned(), expires: unix_seconds() + LIFETIME.as_secs() }
    }

    /// `<pass as JSON>.<signature>`, both as base64url.
    pub(crate) fn sign(&self) -> Result<String> {
        let pass = BASE64.encode(serde_json::to_vec(self)?);
        let signature = SIGNER.clone().chain_update(&pass).finalize().into_bytes();
        Ok(format!("{pass}.{}", BASE64.encode(signature)))
    }

    /// The pass, if we signed it and it has not expired.
    pub(crate) fn check(signed: &str) -> Option<Self> {
        let (pass, signature) = signed.split_once('.')?;
        let signature = BASE64.decode(signature).ok()?;
        // In constant time, unlike `==`, which takes the longer the more of a forged signature is right. And before the
        // rest is so much as read.
        SIGNER.clone().chain_update(pass).verify_slice(&signature).ok()?;
        let pass: Self = serde_json::from_slice(&BASE64.decode(pass).ok()?).ok()?;
        (unix_seconds() < pass.expires).then_some(pass)
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Gives a pass to whoever asks: `POST /parties/login/ann`. A real one asks for a password first, or is your web site,
/// which has the key too.
pub(crate) struct Login;

impl Party for Login {
    fn new(_: &Room) -> Self {
        Self
    }

    async fn on_request(&mut self, room: &mut Room, _: Request) -> Result<Response> {
        Ok(text(StatusCode::OK, Pass::of(room.id()).sign()?))
    }
}
