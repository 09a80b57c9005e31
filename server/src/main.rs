//! The `connection-counter` binary: the counter of viewers, set up from the command line.

use std::process::ExitCode;

use connection_counter::{Counter, Dashboard, Page, Server, Settings};

/// glibc's allocator keeps what thousands of handshakes took at once, for it gives back only what lies at the end of its
/// memory. How soon this one gives back is set in `.cargo/config.toml`.
#[cfg(all(feature = "jemalloc", target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // The client of NATS reports every attempt to connect; we say once what is wrong.
    let server = Server::builder().party::<Page>("page").party::<Counter>("counter").quiet("async_nats");
    server.operator_party::<Dashboard>("dashboard").main_with(Settings::equip)
}
