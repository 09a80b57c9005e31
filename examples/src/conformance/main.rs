//! A server for the conformance tests in `tests/conformance_*.test.mjs`. It has one party for each feature of a PartyKit party,
//! and the real npm client tests it from outside. To learn how to write parties, look at `examples/parties` first.

mod caller;
mod clock;
mod crowd;
mod echo;
mod guarded;
mod probe;
mod store;

use std::process::ExitCode;

use connection_counter::{
    Server,
    party::{Request, Result},
};
use serde::de::DeserializeOwned;

fn main() -> ExitCode {
    Server::builder()
        .party::<probe::Probe>("main")
        .party::<probe::Probe>("second-party_2")
        .party::<crowd::Crowd>("crowd")
        .party::<echo::Echo>("echo")
        .party::<guarded::Guarded>("guarded")
        .party::<guarded::Failing>("failing")
        .party::<caller::Caller>("caller")
        .party::<store::Store>("store")
        .party::<clock::Clock>("clock")
        .main()
}

/// What a test asks for in the body of a request.
fn asked<T: DeserializeOwned>(request: &Request) -> Result<T> {
    Ok(serde_json::from_slice(request.body())?)
}
