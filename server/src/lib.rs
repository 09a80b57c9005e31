//! Live viewer counts on the links of any web page: the counter of viewers, as a library.
//!
//! ```text
//! host page ── widget
//!                │  WebSocket /live?page=<page id>
//! http ── socket ── page room ──update──▶ counter room (one per site)
//!                        ▲                     │ changed counts, to subscribed page rooms only
//!                        └─────────────────────┘
//!                        └─▶ every viewer of that page: {"type":"update","connections":{…}}
//!                rooms ⇢ storage (fjall): a cache the server can start without
//! ```
//!
//! It is written for a small runtime for parties, [`connection_counter_runtime`]. Its public items are here, too: implement
//! [`party::Party`], and give it to [`Server::party`]. Your rooms are then reached over HTTP and WebSocket, and can reach each
//! other. [`coming_from_partykit`] maps PartyKit's names to ours.
//!
//! These rules hold in all files:
//! - The counter uses only the public items of the runtime: no sockets, no HTTP server, no database. The runtime does not know
//!   the counter.
//! - A count is the size of a live set. It is never read back from disk, and never counted up or down.
//! - The protocol crate does no I/O. The server never trusts that a widget applied its rules.

mod access;
mod badge;
#[cfg(feature = "cluster")]
mod cluster;
mod counter;
mod dashboard;
mod files;
mod gate;
mod manual;
mod pace;
mod page;
mod refusal;
mod settings;

use tokio::net::TcpListener;

pub use connection_counter_runtime::{
    Config, Error, Greeting, Limits, ListOptions, LogFormat, Measure, Progress, Reading, Reservation, Server,
    StartupError, Storage, StorageError, close, coming_from_partykit, defaults, is_host, is_token, milliseconds,
    notice, party, yes_or_no,
};

pub use access::Access;
pub use badge::Badge;
#[cfg(feature = "cluster")]
pub use cluster::ClusterSettings;
pub use counter::Counter;
pub use dashboard::Dashboard;
pub use page::Page;
pub use refusal::Refusal;
pub use settings::{Settings, SettingsError, ViewerLimits};

/// Whether the value was stored. If the disk is too far behind, the storage has logged that already, and counting goes on.
pub(crate) fn stored(put: std::result::Result<(), StorageError>) -> party::Result<bool> {
    match put {
        Ok(()) => Ok(true),
        Err(StorageError::Full) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Serves viewer counts until `shutdown` is ready; see [`Server::run`].
///
/// # Errors
/// Fails if a setting is invalid, or if the data folder cannot be used.
///
/// ```no_run
/// use connection_counter::{Config, Settings, run};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config::default();
/// let listener = tokio::net::TcpListener::bind(config.listen).await?;
/// run(listener, config, Settings::default(), async { tokio::signal::ctrl_c().await.unwrap_or(()) }).await?;
/// # Ok(())
/// # }
/// ```
pub async fn run(
    listener: TcpListener,
    config: Config,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> Result<(), StartupError> {
    let server = Server::builder().party::<Page>("page").party::<Counter>("counter");
    let server = server.operator_party::<Dashboard>("dashboard");
    settings.equip(server, &config)?.run(listener, config, shutdown).await
}
