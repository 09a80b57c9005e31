//! The `connection-counter` binary: the counter of viewers, set up from the command line.

use std::process::ExitCode;

use connection_counter::{Counter, Dashboard, Page, Server, Settings};

/// glibc's allocator keeps the memory of thousands of simultaneous handshakes, because it gives back only the end of its
/// memory. `.cargo/config.toml` sets how soon jemalloc gives memory back.
#[cfg(all(feature = "jemalloc", target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // The NATS client logs every attempt to connect. We log a problem once.
    let server = Server::builder().party::<Page>("page").party::<Counter>("counter").quiet("async_nats");
    server.operator_party::<Dashboard>("dashboard").main_with(Settings::equip)
}
