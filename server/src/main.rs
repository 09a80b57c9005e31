//! The `connection-counter` binary: the built-in parties, set up from the command line.

use std::process::ExitCode;

use connection_counter::{Config, Counter, Page, Server};

#[tokio::main]
async fn main() -> ExitCode {
    let server = Server::builder().party::<Page>("page").party::<Counter>("counter");
    connection_counter::main(server, Config::from_args()).await
}
