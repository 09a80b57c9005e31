//! Live viewer counts on the links of any web page: the server, as a library.
//!
//! ```text
//! host page ── widget
//!                │  WebSocket /parties/page/<page id>
//! http ── socket ── page room ──update──▶ counter room (one per site)
//!                        ▲                     │ changed counts, to subscribed page rooms only
//!                        └─────────────────────┘
//!                        └─▶ every viewer of that page: {"type":"update","connections":{…}}
//!                rooms ⇢ storage (fjall): a cache the server can start without
//! ```
//!
//! It is also a small multi-party runtime: implement [`party::Party`], give it to [`Server::party`], and rooms of your own
//! are reached over HTTP and WebSocket, and reach each other. Whoever knows PartyKit finds its words in
//! [`coming_from_partykit`].
//!
//! What holds throughout, and cannot be seen in any one place:
//! - `page` and `counter` see the [`party`] module only: no sockets, no HTTP server, no database.
//! - Only `storage` knows fjall; only `http` and `socket` know hyper and what sockets do.
//! - Rooms share no memory. A room's fields are touched by its own loop alone, so there are no locks around them.
//! - A count is the size of a live set. It is never read back from disk, and never added to or subtracted from.
//! - The protocol crate does no I/O. The server never trusts that a widget applied its rules.

#[path = "../runtime/src/assets.rs"]
mod assets;
#[doc = include_str!("../COMING_FROM_PARTYKIT.md")]
pub mod coming_from_partykit {}
#[path = "../runtime/src/config.rs"]
mod config;
mod counter;
#[path = "../runtime/src/error.rs"]
mod error;
mod files;
mod gate;
#[path = "../runtime/src/http.rs"]
mod http;
#[path = "../runtime/src/launch.rs"]
mod launch;
#[path = "../runtime/src/limits.rs"]
mod limits;
mod pace;
mod page;
#[path = "../runtime/src/party/mod.rs"]
pub mod party;
#[path = "../runtime/src/quota.rs"]
mod quota;
mod site;
#[path = "../runtime/src/socket.rs"]
mod socket;
#[path = "../runtime/src/storage/mod.rs"]
mod storage;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::net::TcpListener;

pub use config::{Config, LogFormat};
pub use counter::Counter;
pub use error::{Error, StartupError};
pub use limits::Limits;
pub use page::Page;
use party::Party;
pub use site::Access;
pub use storage::{ListOptions, Storage, StorageError};

/// A server with parties of your choice.
///
/// ```no_run
/// use connection_counter::{Config, Counter, Page, Server, party::{Connection, Message, Party, Result, Room}};
///
/// #[derive(Default)]
/// struct Echo;
///
/// impl Party for Echo {
///     async fn on_message(&mut self, _: &mut Room, from: &Connection, message: Message) -> Result {
///         from.send(message)
///     }
/// }
///
/// # async fn example(listener: tokio::net::TcpListener) -> Result<(), connection_counter::StartupError> {
/// Server::builder()
///     .party::<Page>("page")
///     .party::<Counter>("counter")
///     .party::<Echo>("echo")
///     .run(listener, Config::default(), std::future::pending())
///     .await
/// # }
/// ```
pub struct Server {
    kinds: Result<party::Kinds, StartupError>,
    settings: ::http::Extensions,
    assets: Option<PathBuf>,
}

impl Server {
    /// A server without any party yet.
    #[must_use]
    pub fn builder() -> Self {
        Self { kinds: Ok(party::Kinds::default()), settings: ::http::Extensions::new(), assets: None }
    }

    /// Adds a party, reachable at `/parties/<name>/:room`. The party named `main` is also at `/party/:room`.
    ///
    /// A name is of `a-z`, `0-9`, `_` and `-`, and there once; otherwise [`run`](Self::run) fails and says which.
    #[must_use]
    pub fn party<P: Party>(mut self, name: &'static str) -> Self {
        if let Ok(kinds) = &mut self.kinds
            && let Err(error) = kinds.add::<P>(name)
        {
            self.kinds = Err(error);
        }
        self
    }

    /// Gives all parties a value of your own: a setting, a key, a client of some other service. Rooms and gatekeepers find
    /// it by its type with [`Room::setting`](party::Room::setting) and [`Lobby::setting`](party::Lobby::setting). Another
    /// value of the same type takes its place.
    ///
    /// ```
    /// use connection_counter::{Server, party::{Party, Request, Response, Result, Room, json}};
    ///
    /// #[derive(Clone)]
    /// struct Motto(String);
    ///
    /// #[derive(Default)]
    /// struct House;
    ///
    /// impl Party for House {
    ///     async fn on_request(&mut self, room: &mut Room, _: Request) -> Result<Response> {
    ///         json(&room.setting::<Motto>()?.0)
    ///     }
    /// }
    ///
    /// let server = Server::builder().party::<House>("house").with(Motto("Boring first.".into()));
    /// ```
    #[must_use]
    pub fn with<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.settings.insert(value);
        self
    }

    /// Serves the files of this folder on every path that is no party's, unless the settings name another folder.
    #[must_use]
    pub fn assets(mut self, folder: impl Into<PathBuf>) -> Self {
        self.assets = Some(folder.into());
        self
    }

    /// Fills in what the settings leave to the program.
    fn complete(&self, config: &mut Config) {
        if config.assets.is_none() {
            config.assets.clone_from(&self.assets);
        }
    }

    /// The names of its parties.
    fn names(&self) -> Vec<&'static str> {
        self.kinds.as_ref().map(party::Kinds::names).unwrap_or_default()
    }

    /// Serves until `shutdown` is ready; then says goodbye to every connection, writes what is to be kept, and returns.
    ///
    /// # Errors
    /// If a party or a setting makes no sense, or the data folder cannot be used.
    pub async fn run(
        self,
        listener: TcpListener,
        mut config: Config,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), StartupError> {
        self.complete(&mut config);
        config.validate()?;
        let access = Access::new(&config)?;
        let kinds = self.kinds?;
        if kinds.is_empty() {
            return Err(StartupError::NoParty);
        }
        let db = open(config.data.clone()).await?;
        for party in kinds.forgetful() {
            db.forget_party(party).await.map_err(|error| data(&config.data, error))?;
        }
        let alarms = party::AlarmClock::load(db.clone(), party::alarm::unix_ms, |name| kinds.name(name)).await;
        let alarms = alarms.map_err(|error| data(&config.data, error))?;
        let config = Arc::new(config);
        let rooms = party::Rooms::new(kinds, self.settings, Arc::clone(&config), access, alarms, db.clone());
        let quotas = quota::Quotas::new(config.limits.clone(), config.trusted_proxies.clone());
        let server = Arc::new(http::HttpServer::new(config, rooms.clone(), quotas));
        tokio::select! {
            () = server.run(listener, shutdown) => {}
            never = rooms.ring_alarms() => match never {},
        }
        rooms.end().await;
        db.close().await;
        Ok(())
    }
}

/// Serves the built-in parties until `shutdown` is ready; see [`Server::run`].
///
/// # Errors
/// If a setting makes no sense, or the data folder cannot be used.
///
/// ```no_run
/// use connection_counter::{Config, run};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config::default();
/// let listener = tokio::net::TcpListener::bind(config.listen).await?;
/// run(listener, config, async { tokio::signal::ctrl_c().await.unwrap_or(()) }).await?;
/// # Ok(())
/// # }
/// ```
pub async fn run(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Result<(), StartupError> {
    Server::builder().party::<Page>("page").party::<Counter>("counter").run(listener, config, shutdown).await
}

/// Opens the database off the async threads: replaying a journal can take seconds.
async fn open(folder: PathBuf) -> Result<storage::Db, StartupError> {
    let opened = tokio::task::spawn_blocking({
        let folder = folder.clone();
        move || storage::Db::open(&folder)
    });
    opened.await.map_err(|error| data(&folder, error))?
}

fn data(folder: &Path, source: impl std::error::Error + Send + Sync + 'static) -> StartupError {
    StartupError::Data { path: folder.to_owned(), source: source.into() }
}
