//! A small runtime for parties. A party is a kind of room with its own code. Rooms are reached over HTTP and WebSocket, and can
//! reach each other.
//!
//! ```text
//! http ── handshake ──▶ room ⇢ storage (fjall): a cache the server can start without
//!             │          ▲ │ │ ▲
//!             │          │ │ └─┘ stubs: requests, messages and sockets from room to room
//!             └──▶ sockets ◀┘
//!                  they read for the room, and the room writes to them
//! ```
//!
//! Implement [`party::Party`], give it to [`Server::party`], and call [`Server::main`]. [`coming_from_partykit`] maps PartyKit's
//! names to ours.
//!
//! To follow one connection through the files:
//! 1. `http` accepts it, and `client` counts it. The path names a room, whose id `party::key` holds.
//! 2. For a WebSocket, `party::kinds` calls the party's gatekeeper. If it agrees, `handshake` answers. From then on `sockets` reads
//!    the client's messages, and the room writes to the socket itself.
//! 3. `party::rooms` puts events into the room's `party::mailbox`, which `party::table` finds or creates.
//! 4. `party::life` takes the events one after another, and runs the hooks of the [`party::Party`] with its [`party::Room`].
//! 5. `storage` hands the values that the room stores to a separate thread.
//!
//! These rules hold in all files:
//! - Nothing here knows what the parties are for. A program gives to [`Server`] whatever it needs beyond its parties.
//! - The modules depend on each other in this order: `server` → `http` → `handshake` → `party` → `storage`, and `party` → `sockets`.
//!   In `party`: `kinds` → `life` → `Party` → `room` → `stub` → `rooms` → `table` → `mailbox` → `event` → `key`. `rooms` knows a
//!   party only as a trait that `kinds` implements.
//! - Only `storage` uses fjall. Only `http`, `body` and `handshake` use hyper. Only `sockets` uses mio and frames.
//! - Rooms share no memory. Only a room's own loop touches its fields, so they need no locks.

mod account;
mod address;
mod admin;
mod arrival;
mod assets;
mod body;
mod check;
mod client;
pub mod close;
#[doc = include_str!("../COMING_FROM_PARTYKIT.md")]
pub mod coming_from_partykit {}
mod command_line;
mod companions;
mod config;
mod cors;
mod error;
mod forwarded;
mod handshake;
mod health;
mod http;
mod launch;
mod limits;
mod listener;
mod log;
mod measures;
mod metrics;
pub mod notice;
pub mod party;
mod proxies;
mod quota;
mod readiness;
mod refusals;
mod reload;
mod server;
mod signals;
mod small_reads;
mod sockets;
mod sources;
mod stopping;
mod storage;
mod upgrade;
mod visit;

pub use account::Reservation;
pub use close::Close;
pub use config::{Config, LogFormat, defaults, is_host, is_token, milliseconds, yes_or_no};
pub use error::{Error, StartupError};
pub use limits::Limits;
pub use measures::Measure;
pub use server::{Greeting, Server};
pub use storage::{ListOptions, Progress, Reading, Storage, StorageError};
