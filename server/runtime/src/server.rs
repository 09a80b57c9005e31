//! A server: its parties, what they are given, and how it starts and stops.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use ::http::request::Parts;
use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    error::StartupError,
    http::HttpServer,
    notice,
    party::{self, AlarmClock, Kinds, Party, Response, Result},
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
    /// The folder to serve where the settings name none.
    assets: Option<PathBuf>,
    /// What answers on paths that are no party's.
    pages: Option<Pages>,
    /// A second address for the rooms of one party.
    query_address: Option<QueryAddress>,
    /// What the program says when it listens.
    greeting: Option<MakeGreeting>,
    /// What runs beside it.
    companions: Vec<Companion>,
    /// What may be wrong, besides what the server itself knows.
    complaints: Vec<Complaint>,
}

/// An address that names a room of `party` in its query.
#[derive(Clone, Copy)]
pub(crate) struct QueryAddress {
    /// The last segment of the path.
    pub(crate) segment: &'static str,
    /// The party, and the parameter with the room's id.
    pub(crate) party: &'static str,
}

/// What the program adds to the HTTP server.
pub(crate) struct Program {
    /// What answers on paths that are no party's.
    pub(crate) pages: Option<Pages>,
    /// A second address for the rooms of one party.
    pub(crate) query_address: Option<QueryAddress>,
    /// What may be wrong, besides what the server itself knows.
    pub(crate) complaints: Vec<Complaint>,
}

/// What a program serves on paths that are no party's.
pub(crate) type Pages = Box<dyn Fn(&Parts) -> Option<Result<Response>> + Send + Sync>;
/// A sentence about what is wrong now, if anything is.
pub(crate) type Complaint = Box<dyn Fn() -> Option<String> + Send + Sync>;
/// Starts what runs beside the server, with the sign to end.
type Companion = Box<dyn FnOnce(Stop) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;
/// Ready when it is time to end.
type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;
type MakeGreeting = Box<dyn Fn(SocketAddr) -> Greeting + Send>;

/// What a program says when it listens, besides its address.
#[derive(Clone, Debug, Default)]
pub struct Greeting {
    /// Lines for standard output: what each is, and the text itself.
    pub lines: Vec<(&'static str, String)>,
    /// For whom it serves, for the line in the log: `for example.org`.
    pub users: String,
}

impl Server {
    /// A server without any party yet.
    #[must_use]
    pub fn builder() -> Self {
        Self {
            kinds: Ok(Kinds::default()),
            values: ::http::Extensions::new(),
            assets: None,
            pages: None,
            query_address: None,
            greeting: None,
            companions: Vec::new(),
            complaints: Vec::new(),
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

    /// Gives all parties a value of your own: a setting, a key, a client of some other service. Rooms and gatekeepers find
    /// it by its type with [`Room::setting`](party::Room::setting) and [`Lobby::setting`](party::Lobby::setting). Another
    /// value of the same type takes its place.
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

    /// Serves the files of this folder on every path that is no party's, unless the settings name another folder.
    #[must_use]
    pub fn assets(mut self, folder: impl Into<PathBuf>) -> Self {
        self.assets = Some(folder.into());
        self
    }

    /// Serves pages of your own on paths that are no party's and no file's of the assets folder. `None` is the answer for
    /// paths you do not know: then the client gets 404.
    ///
    /// ```
    /// use connection_counter_runtime::{Server, party::{http::StatusCode, text}};
    ///
    /// let server = Server::builder()
    ///     .pages(|request| (request.uri.path() == "/motto").then(|| Ok(text(StatusCode::OK, "Boring first.\n"))));
    /// ```
    #[must_use]
    pub fn pages(mut self, pages: impl Fn(&Parts) -> Option<Result<Response>> + Send + Sync + 'static) -> Self {
        self.pages = Some(Box::new(pages));
        self
    }

    /// Gives the rooms of a party a second address: any path that ends in this segment, with the room's id as the parameter
    /// of the party's name, such as `/some/where/live?page=<id>`. Proxies change or refuse escaped characters in paths, and
    /// leave queries alone.
    #[must_use]
    pub fn query_address(mut self, segment: &'static str, party: &'static str) -> Self {
        self.query_address = Some(QueryAddress { segment, party });
        self
    }

    /// Has [`main`](Self::main) say this when the server listens, after the address.
    #[must_use]
    pub fn greeting(mut self, greeting: impl Fn(SocketAddr) -> Greeting + Send + 'static) -> Self {
        self.greeting = Some(Box::new(greeting));
        self
    }

    /// Runs this beside the server. The future it is given is ready once all connections are closed; then the server waits
    /// for it to end, as long as the shutdown timeout.
    #[must_use]
    pub fn beside<F>(mut self, run: impl FnOnce(Pin<Box<dyn Future<Output = ()> + Send>>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.companions.push(Box::new(move |stop| Box::pin(run(stop))));
        self
    }

    /// While this has something to say, `/readyz` answers that the server is degraded, with that sentence as a reason.
    #[must_use]
    pub fn degraded_by(mut self, complaint: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        self.complaints.push(Box::new(complaint));
        self
    }

    pub(crate) fn greet(&self, address: SocketAddr) -> Greeting {
        self.greeting.as_ref().map(|greeting| greeting(address)).unwrap_or_default()
    }

    /// The names of its parties.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.kinds.as_ref().map(Kinds::names).unwrap_or_default()
    }

    /// Fills in what the settings leave to the program.
    pub(crate) fn complete(&self, config: &mut Config) {
        if config.assets.is_none() {
            config.assets.clone_from(&self.assets);
        }
    }

    /// Serves until `shutdown` is ready; then says goodbye to every connection, writes what is to be kept, and returns.
    ///
    /// # Errors
    /// If a party or a setting makes no sense, or the data folder cannot be used.
    pub async fn run(
        self,
        listener: TcpListener,
        config: Config,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), StartupError> {
        self.run_and_tell(listener, config, shutdown, |_| {}).await
    }

    /// [`run`](Self::run), which calls `serves` when everything has been checked and opened, with the number of connections
    /// there may be.
    pub(crate) async fn run_and_tell(
        self,
        listener: TcpListener,
        mut config: Config,
        shutdown: impl Future<Output = ()>,
        serves: impl FnOnce(usize),
    ) -> Result<(), StartupError> {
        self.complete(&mut config);
        config.validate()?;
        let kinds = self.kinds?;
        if kinds.is_empty() {
            return Err(StartupError::NoParty);
        }
        let db = open(config.data.clone()).await?;
        for party in kinds.forgetful() {
            db.forget_party(party).await.map_err(|error| data(&config.data, error))?;
        }
        let alarms = AlarmClock::load(db.clone(), party::unix_ms, |party, id| kinds.key(party, id)).await;
        let alarms = alarms.map_err(|error| data(&config.data, error))?;
        let config = Arc::new(config);
        let patience = config.limits.shutdown_timeout;
        let rooms = kinds.into_rooms(self.values, Arc::clone(&config), alarms, db.clone());
        let sockets = Sockets::start(&rooms, &config.limits).map_err(StartupError::Runtime)?;
        let program = Program { pages: self.pages, query_address: self.query_address, complaints: self.complaints };
        let server = Arc::new(HttpServer::new(config, rooms.clone(), sockets, db.clone(), program));
        let companions = Companions::start(self.companions);
        serves(server.connections());
        tokio::select! {
            () = server.run(listener, shutdown) => {}
            never = rooms.ring_alarms() => match never {},
            never = notice::flush_for_ever() => match never {},
        }
        companions.end(patience).await;
        rooms.end().await;
        db.close(patience).await;
        Ok(())
    }
}

/// What runs beside a server. It ends with this.
struct Companions {
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Companions {
    fn start(companions: Vec<Companion>) -> Self {
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        for companion in companions {
            tasks.spawn(companion(Box::pin(stop.clone().cancelled_owned())));
        }
        Self { tasks, stop }
    }

    async fn end(mut self, patience: Duration) {
        self.stop.cancel();
        // What has not ended by then is ended.
        let _ = timeout(patience, async { while self.tasks.join_next().await.is_some() {} }).await;
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
