//! A small runtime for parties: rooms with code of their own, reached over HTTP and WebSocket, that reach each other.
//!
//! ```text
//! http ── handshake ──▶ room ⇢ storage (fjall): a cache the server can start without
//!             │          ▲ │ │ ▲
//!             │          │ │ └─┘ stubs: requests, messages and sockets from room to room
//!             └──▶ sockets ◀┘
//!                  they read for the room, and the room writes to them
//! ```
//!
//! Implement [`party::Party`], give it to [`Server::party`], and call [`Server::main`]. Whoever knows PartyKit finds
//! its words in [`coming_from_partykit`].
//!
//! One connection, from file to file:
//! 1. `http` accepts it, and `guest` counts it. The path names a room, whose id `party::key` holds.
//! 2. For a WebSocket, `handshake` answers once the party's gatekeeper has agreed, which `party::kinds` calls. From then on
//!    `sockets` reads what the client says, and the room writes to the socket itself.
//! 3. `party::rooms` puts events into the room's `party::mailbox`, which `party::table` finds or makes.
//! 4. `party::life` takes the events one after another, and runs the hooks of the [`party::Party`] with its [`party::Room`].
//! 5. What the room stores goes through `storage` to a thread of its own.
//!
//! What holds throughout, and cannot be seen in any one place:
//! - Nothing here knows what the parties are for. Whatever a program needs beyond its parties, it gives to [`Server`].
//! - Who knows whom: `server` → `http` → `handshake` → `party` → `storage`, and `party` → `sockets`. In `party`: `kinds` →
//!   `life` → `Party` → `room` → `stub` → `rooms` → `table` → `mailbox` → `event` → `key`. `rooms` knows a party only as a
//!   trait that `kinds` implements.
//! - Only `storage` knows fjall; only `http`, `body` and `handshake` know hyper; only `sockets` knows mio and frames.
//! - Rooms share no memory. A room's fields are touched by its own loop alone, so there are no locks around them.

mod account;
mod address;
mod admin;
mod assets;
mod body;
mod check;
pub mod close;
#[doc = include_str!("../COMING_FROM_PARTYKIT.md")]
pub mod coming_from_partykit {}
mod companions;
mod config;
mod cors;
mod error;
mod forwarded;
mod guest;
mod handshake;
mod health;
mod http;
mod launch;
mod limits;
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
mod sockets;
mod sources;
mod stopping;
mod storage;
mod upgrade;
mod visit;

pub use account::Reservation;
pub use close::Close;
pub use config::{Config, LogFormat, defaults, milliseconds, yes_or_no};
pub use error::{Error, StartupError};
pub use limits::Limits;
pub use measures::Measure;
pub use server::{Greeting, Server};
pub use storage::{ListOptions, Progress, Reading, Storage, StorageError};
