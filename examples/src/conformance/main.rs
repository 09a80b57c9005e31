//! A server for the conformance tests in `tests/conformance_*.test.mjs`: one party for each thing that a PartyKit party
//! can do, driven from outside by the real npm client. To see how parties are written, look at `examples/parties` first.

mod caller;
mod clock;
mod crowd;
mod guarded;
mod probe;
mod store;

use std::process::ExitCode;

use connection_counter::{
    Config, Server,
    party::{Request, Result},
};
use serde::de::DeserializeOwned;

#[tokio::main]
async fn main() -> ExitCode {
    let server = Server::builder()
        .party::<probe::Probe>("main")
        .party::<probe::Probe>("second-party_2")
        .party::<crowd::Crowd>("crowd")
        .party::<guarded::Guarded>("guarded")
        .party::<guarded::Failing>("failing")
        .party::<caller::Caller>("caller")
        .party::<store::Store>("store")
        .party::<clock::Clock>("clock");
    connection_counter::main(server, Config::from_args()).await
}

/// What a test asks for in a request's body.
fn asked<T: DeserializeOwned>(request: &Request) -> Result<T> {
    Ok(serde_json::from_slice(request.body())?)
}

/// The first value of a parameter in a request's query. Tests use plain words only, so nothing is decoded.
fn parameter<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let pairs = request.uri().query().unwrap_or_default().split('&');
    pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}
