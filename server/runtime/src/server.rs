//! A server: its parties, the values and pages of the program, and how it starts and stops.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::{Pin, pin},
    sync::Arc,
};

use ::http::request::Parts;
use futures_util::future::OptionFuture;
use tokio::{net::TcpListener, time::Instant};

use crate::{
    admin,
    companions::{Companions, Complaint, Lasting},
    config::Config,
    error::StartupError,
    http::HttpServer,
    measures::{Measure, Measures},
    notice,
    party::{self, AlarmClock, Kinds, Party, Response, Result},
    reload::Running,
    sockets::Sockets,
    storage::Db,
};

/// A server with parties of your choice.
///
/// ```no_run
/// use connection_counter_runtime::{Config, Server, party::{Connection, Message, Party, Result, Room}};
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
/// # async fn example(listener: tokio::net::TcpListener) -> Result<(), connection_counter_runtime::StartupError> {
/// Server::builder().party::<Echo>("echo").run(listener, Config::default(), std::future::pending()).await
/// # }
/// ```
pub struct Server {
    /// The parties by name, or why one of them cannot be added.
    kinds: Result<Kinds, StartupError>,
    /// The program's own values, by their types.
    values: ::http::Extensions,
    /// The folder to serve if the settings name none.
    assets: Option<PathBuf>,
    /// Answers paths that do not belong to a party.
    pages: Option<Pages>,
    /// Additional addresses of rooms.
    addresses: Addresses,
    /// What the program prints when the server listens.
    greeting: Option<MakeGreeting>,
    /// What a reload does not change.
    lasting: Lasting,
    /// Libraries that are kept out of the log.
    quiet: Vec<&'static str>,
}

/// Additional addresses of rooms. All rooms are at `/parties/:party/:room`.
#[derive(Clone, Copy, Default)]
pub(crate) struct Addresses {
    /// An address that names a room in its query.
    pub(crate) query_address: Option<QueryAddress>,
    /// The party whose rooms are also at `/<party>/:room`.
    pub(crate) short: Option<&'static str>,
    /// The party whose one room answers only the operator.
    pub(crate) operator_party: Option<&'static str>,
}

/// An address that names a room of `party` in its query.
#[derive(Clone, Copy)]
pub(crate) struct QueryAddress {
    /// The last segment of the path. For a WebSocket handshake, any path will do.
    pub(crate) segment: &'static str,
    /// The party, and the parameter with the room's id.
    pub(crate) party: &'static str,
}

/// What a program adds to the HTTP server, for as long as the server runs.
pub(crate) struct Additions {
    /// Additional addresses of rooms.
    pub(crate) addresses: Addresses,
    /// Problems that the program reports to `/readyz`.
    pub(crate) complaints: Vec<Complaint>,
    /// The program's numbers for the metrics.
    pub(crate) measures: Vec<Measures>,
}

/// Answers paths that do not belong to a party.
pub(crate) type Pages = Arc<dyn Fn(&Parts) -> Option<Result<Response>> + Send + Sync>;
type MakeGreeting = Box<dyn Fn(SocketAddr) -> Greeting + Send>;

/// What a program prints when the server listens, after the address.
#[derive(Clone, Debug, Default)]
pub struct Greeting {
    /// Lines for standard output, each with its label.
    pub lines: Vec<(&'static str, String)>,
    /// Whom the server is for, as in `for example.org`. The first line of the log says so.
    pub users: String,
}

impl Server {
    /// A server without a party.
    #[must_use]
    pub fn builder() -> Self {
        Self {
            kinds: Ok(Kinds::default()),
            values: ::http::Extensions::new(),
            assets: None,
            pages: None,
            addresses: Addresses::default(),
            greeting: None,
            lasting: Lasting::default(),
            quiet: Vec::new(),
        }
    }

    /// Adds a party, reachable at `/parties/<name>/:room`. The party named `main` is also at `/party/:room`.
    ///
    /// Names use `a-z`, `0-9`, `_` and `-`. Two parties cannot share a name. Otherwise [`run`](Self::run) fails and says
    /// which name is wrong.
    #[must_use]
    pub fn party<P: Party>(mut self, name: &'static str) -> Self {
        if let Ok(kinds) = &mut self.kinds
            && let Err(error) = kinds.add::<P>(name)
        {
            self.kinds = Err(error);
        }
        self
    }

    /// Adds a party for the operator. Its one room answers requests and WebSockets at the address of `--admin`, on all paths except
    /// `/metrics`, `/readyz` and `/healthz`. Readers cannot reach it. Each request has a [`party::Status`] in its extensions.
    ///
    /// ```
    /// use connection_counter_runtime::{Server, party::{Party, Request, Response, Result, Room, Status, http::StatusCode, text}};
    ///
    /// #[derive(Default)]
    /// struct Faults;
    ///
    /// impl Party for Faults {
    ///     async fn on_request(&mut self, _: &mut Room, request: Request) -> Result<Response> {
    ///         let faults = request.extensions().get::<Status>().map(|status| status.faults.join("\n"));
    ///         Ok(text(StatusCode::OK, faults.unwrap_or_default()))
    ///     }
    /// }
    ///
    /// let server = Server::builder().operator_party::<Faults>("faults");
    /// ```
    #[must_use]
    pub fn operator_party<P: Party>(mut self, name: &'static str) -> Self {
        self.addresses.operator_party = Some(name);
        self.party::<P>(name)
    }

    /// Gives all parties a value: a setting, a key, a client of another service. Rooms and gatekeepers find it by its type with
    /// [`Room::setting`](party::Room::setting) and [`Lobby::setting`](party::Lobby::setting). A second value of the same type replaces
    /// the first.
    ///
    /// ```
    /// use connection_counter_runtime::{Server, party::{Party, Request, Response, Result, Room, json}};
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
        self.values.insert(value);
        self
    }

    /// Serves the files of this folder on all paths that do not belong to a party, unless the settings name another folder.
    #[must_use]
    pub fn assets(mut self, folder: impl Into<PathBuf>) -> Self {
        self.assets = Some(folder.into());
        self
    }

    /// Serves your own pages on all paths that belong neither to a party nor to a file of the assets folder. If `pages` returns
    /// `None`, the client gets status 404.
    ///
    /// ```
    /// use connection_counter_runtime::{Server, party::{http::StatusCode, text}};
    ///
    /// let server = Server::builder()
    ///     .pages(|request| (request.uri.path() == "/motto").then(|| Ok(text(StatusCode::OK, "Boring first.\n"))));
    /// ```
    #[must_use]
    pub fn pages(mut self, pages: impl Fn(&Parts) -> Option<Result<Response>> + Send + Sync + 'static) -> Self {
        self.pages = Some(Arc::new(pages));
        self
    }

    /// Gives the rooms of a party a second address, such as `/some/where/live?page=<id>`: any path that ends in this segment, with
    /// the room's id as a parameter with the party's name. Proxies may change or refuse escaped characters in paths, but most do not
    /// change queries. So a WebSocket handshake with that parameter reaches the room at any path that leads to no other room.
    #[must_use]
    pub fn query_address(mut self, segment: &'static str, party: &'static str) -> Self {
        self.addresses.query_address = Some(QueryAddress { segment, party });
        self
    }

    /// Gives the rooms of one party a second address: `/<party>/:room`, also below any path, such as `/some/where/badge/:room`.
    #[must_use]
    pub fn short_address(mut self, party: &'static str) -> Self {
        self.addresses.short = Some(party);
        self
    }

    /// Sets what [`main`](Self::main) prints when the server listens, after the address.
    #[must_use]
    pub fn greeting(mut self, greeting: impl Fn(SocketAddr) -> Greeting + Send + 'static) -> Self {
        self.greeting = Some(Box::new(greeting));
        self
    }

    /// Runs this future beside the server. `run` gets a future that is ready when all connections are closed. The server then waits a
    /// part of the shutdown timeout for `run` to end.
    #[must_use]
    pub fn beside<F>(mut self, run: impl FnOnce(Pin<Box<dyn Future<Output = ()> + Send>>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.lasting.companions.push(Box::new(move |stop| Box::pin(run(stop))));
        self
    }

    /// Like [`with`](Self::with), for a value that a reload does not replace, such as one that something
    /// [`beside`](Self::beside) the server uses. `flags` are the flags that the value depends on. They change with a restart only.
    #[must_use]
    pub fn with_lasting<T: Clone + Send + Sync + 'static>(mut self, value: T, flags: &'static [&'static str]) -> Self {
        self.lasting.values.insert(value);
        self.only_at_start(flags)
    }

    /// Names flags of the program that change with a restart only, because its parties depend on them. A reload says so.
    #[must_use]
    pub fn only_at_start(mut self, flags: &'static [&'static str]) -> Self {
        self.lasting.flags.extend(flags);
        self
    }

    /// While `complaint` returns a sentence, `/readyz` answers that the server is degraded, with that sentence as a reason.
    #[must_use]
    pub fn degraded_by(mut self, complaint: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        self.lasting.complaints.push(Box::new(complaint));
        self
    }

    /// Adds these numbers to the metrics at the operator's address. `measures` is called each time somebody reads the metrics.
    #[must_use]
    pub fn measures(mut self, measures: impl Fn() -> Vec<Measure> + Send + Sync + 'static) -> Self {
        self.lasting.measures.push(Box::new(measures));
        self
    }

    /// Keeps a library that logs too much out of the log of [`main`](Self::main), unless `--log` names it.
    #[must_use]
    pub fn quiet(mut self, library: &'static str) -> Self {
        self.quiet.push(library);
        self
    }

    pub(crate) fn quiet_libraries(&self) -> Vec<&'static str> {
        self.quiet.clone()
    }

    pub(crate) fn greet(&self, address: SocketAddr) -> Greeting {
        self.greeting.as_ref().map(|greeting| greeting(address)).unwrap_or_default()
    }

    /// The program's flags that change with a restart only.
    pub(crate) fn lasting_flags(&self) -> Vec<&'static str> {
        self.lasting.flags.clone()
    }

    /// The values and pages that the program gave.
    pub(crate) fn into_program(self) -> (::http::Extensions, Option<Pages>) {
        (self.values, self.pages)
    }

    /// The names of the parties.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.kinds.as_ref().map(Kinds::names).unwrap_or_default()
    }

    /// Adds the program's default to settings that are not set.
    pub(crate) fn complete(&self, config: &mut Config) {
        if config.assets.is_none() {
            config.assets.clone_from(&self.assets);
        }
    }

    /// Serves until `shutdown` is ready. Then it closes every connection, writes the stored values to the disk, and returns.
    ///
    /// # Errors
    /// Fails if a party or a setting is invalid, or if the data folder cannot be used.
    pub async fn run(
        self,
        listener: TcpListener,
        config: Config,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), StartupError> {
        self.run_and_tell(listener, config, shutdown, |_, _| {}).await
    }

    /// Like [`run`](Self::run). Calls `serves` when everything is checked and opened, with the limit of connections and with what a
    /// reload changes.
    pub(crate) async fn run_and_tell(
        self,
        listener: TcpListener,
        mut config: Config,
        shutdown: impl Future<Output = ()>,
        serves: impl FnOnce(usize, Running),
    ) -> Result<(), StartupError> {
        self.complete(&mut config);
        config.validate()?;
        let kinds = self.kinds?;
        if kinds.is_empty() {
            return Err(StartupError::NoParty);
        }
        let mut shutdown = pin!(shutdown);
        // A disk that does not answer must not keep the program from ending.
        let db = tokio::select! {
            db = open(config.data.clone()) => db?,
            () = &mut shutdown => return Ok(()),
        };
        for party in kinds.forgetful() {
            db.forget_party(party).await.map_err(|error| data(&config.data, error))?;
        }
        let alarms = AlarmClock::load(db.clone(), party::unix_ms, |party, id| kinds.key(party, id)).await;
        let alarms = alarms.map_err(|error| data(&config.data, error))?;
        let Lasting { values: lasting, companions, complaints, measures, .. } = self.lasting;
        let running = Running::new(config, self.values, lasting, self.pages);
        let config = running.config.get();
        let rooms = kinds.into_rooms(running.clone(), alarms, db.clone());
        let sockets = Sockets::start(&rooms, &config.limits).map_err(StartupError::Runtime)?;
        let admin = match config.admin {
            Some(address) => {
                Some(TcpListener::bind(address).await.map_err(|source| StartupError::Admin { address, source })?)
            }
            None => None,
        };
        let additions = Additions { addresses: self.addresses, complaints, measures };
        let server = Arc::new(HttpServer::new(running.clone(), rooms.clone(), sockets, db.clone(), additions));
        let companions = Companions::start(companions);
        let admin = admin.map(|listener| admin::serve(listener, Arc::clone(&server)));
        serves(server.connections(), running);
        let deadlines = tokio::select! {
            deadlines = server.run(listener, shutdown) => deadlines,
            never = rooms.ring_alarms() => match never {},
            never = notice::flush_for_ever() => match never {},
            Some(never) = OptionFuture::from(admin) => match never {},
        };
        companions.end(deadlines.rooms).await;
        rooms.end(deadlines.rooms).await;
        db.close(deadlines.disk.saturating_duration_since(Instant::now())).await;
        Ok(())
    }
}

/// Opens the database off the async threads: replaying a journal can take seconds.
async fn open(folder: PathBuf) -> Result<Db, StartupError> {
    let opened = tokio::task::spawn_blocking({
        let folder = folder.clone();
        move || Db::open(&folder)
    });
    opened.await.map_err(|error| data(&folder, error))?
}

fn data(folder: &Path, source: impl std::error::Error + Send + Sync + 'static) -> StartupError {
    StartupError::Data { path: folder.to_owned(), source: source.into() }
}
