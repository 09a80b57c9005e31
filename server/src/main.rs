//! The `connection-counter` binary: the built-in parties, set up from the command line.

use std::process::ExitCode;

use connection_counter::{Counter, Page, Server};

fn main() -> ExitCode {
    Server::builder().party::<Page>("page").party::<Counter>("counter").main()
}
