//! The `connection-counter` binary: the counter of viewers, set up from the command line.

use std::process::ExitCode;

use connection_counter::{Counter, Page, Server, Settings};

fn main() -> ExitCode {
    Server::builder().party::<Page>("page").party::<Counter>("counter").main_with(Settings::equip)
}
