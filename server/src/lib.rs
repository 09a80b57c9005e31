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
//! It is written against a small runtime for parties, [`connection_counter_runtime`], whose public items are here as well:
//! implement [`party::Party`], give it to [`Server::party`], and rooms of your own are reached over HTTP and WebSocket, and
//! reach each other. Whoever knows PartyKit finds its words in [`coming_from_partykit`].
//!
//! What holds throughout, and cannot be seen in any one place:
//! - The counter sees no more of the runtime than anyone: no sockets, no HTTP server, no database. The runtime does not know
//!   the counter.
//! - A count is the size of a live set. It is never read back from disk, and never added to or subtracted from.
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
    StartupError, Storage, StorageError, close, coming_from_partykit, defaults, milliseconds, notice, party, yes_or_no,
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

/// Whether it was stored. A disk that is far behind takes no more, which the storage has told the operator: counting goes on.
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
/// If a setting makes no sense, or the data folder cannot be used.
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
