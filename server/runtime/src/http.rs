//! HTTP: accepts connections, and answers each request or hands it to a room.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::Full;
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    address, arrival,
    assets::Assets,
    body::{self, Bodies, Request},
    client::ClientLimits,
    close::{self, Close},
    companions::Complaint,
    config::Config,
    cors::{Asked, Cors},
    error::Error,
    handshake,
    metrics::{Metrics, State},
    notice::{self, Notice},
    party::{self, Response, Result, RoomKey, Rooms},
    readiness::{self, Readiness},
    refusals,
    reload::Running,
    server::{Additions, Addresses},
    small_reads::SmallReads,
    sockets::Sockets,
    stopping::Deadlines,
    storage::Db,
    upgrade,
    visit::Visit,
};

/// Bytes of a request's headers. Browsers send the cookies of other services on the same domain, which can make 8 KB alone.
pub(crate) const MAX_HEADER_BYTES: usize = 32 * 1024;
/// Bytes that hyper may hold of an incomplete request: a little more than its headers, because it also holds a body that arrives fast.
const MAX_BUFFER_BYTES: usize = 40 * 1024;
/// How long a turn may take. A handshake takes a fraction of a millisecond. Slower ones go on without a turn.
const TURN_TIME: Duration = Duration::from_millis(50);
/// Wait after a failed accept, usually because of too many open files. Other connections will close some.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// The room of the operator's party.
const OPERATOR: &str = "operator";

/// The parts of the server that every connection needs.
pub(crate) struct HttpServer {
    /// The server's settings, and what the program serves beside its parties.
    running: Running,
    /// Where requests and connections go.
    rooms: Rooms,
    /// Reads and writes the sockets whose handshake is answered.
    sockets: Arc<Sockets<Rooms>>,
    /// The database, which `/readyz` asks for its state.
    db: Db,
    /// Accepts connections within the limits.
    client_limits: ClientLimits,
    /// The bodies that are arriving.
    bodies: Bodies,
    /// Additional addresses of rooms.
    addresses: Addresses,
    /// Problems that the program reports to `/readyz`.
    complaints: Vec<Complaint>,
    /// The numbers for the operator.
    metrics: Arc<Metrics>,
    /// Which pages may send requests to rooms.
    cors: Cors,
    /// The folder of files, if there is one.
    assets: Option<Assets>,
    /// The server was asked to stop. It waits for [`Config::drain`] first.
    leaving: AtomicBool,
    /// Tells plain HTTP connections that the server stops.
    stopping: CancellationToken,
}

impl HttpServer {
    pub(crate) fn new(running: Running, rooms: Rooms, sockets: Sockets<Rooms>, db: Db, additions: Additions) -> Self {
        let (config, metrics) = (running.config.get(), Arc::new(Metrics::new().with(additions.measures)));
        Self {
            addresses: additions.addresses,
            complaints: additions.complaints,
            assets: config.assets.clone().map(|folder| Assets::new(folder, config.single_page)),
            leaving: AtomicBool::new(false),
            stopping: CancellationToken::new(),
            client_limits: ClientLimits::new(&running.config, Arc::clone(&metrics)),
            bodies: Bodies::new(Arc::clone(&running.config)),
            metrics,
            cors: Cors::new(config.cors_origins.clone()),
            running,
            rooms,
            sockets: Arc::new(sockets),
            db,
        }
    }

    /// The server's current settings.
    pub(crate) fn config(&self) -> &'static Config {
        self.running.config.get()
    }

    /// The limit of connections.
    pub(crate) fn connections(&self) -> usize {
        self.client_limits.connections()
    }

    /// Serves until `shutdown` is ready, and then for `drain`, so that load balancers see that the server is not ready. Then it
    /// closes all connections. Returns the deadlines for the rest of the stop.
    pub(crate) async fn run(self: Arc<Self>, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Deadlines {
        self.accept_until(&listener, shutdown).await;
        self.leaving.store(true, Ordering::Relaxed);
        tracing::info!("stopping; a second signal ends the program at once");
        self.accept_until(&listener, tokio::time::sleep(self.config().drain)).await;
        drop(listener);
        let deadlines = Deadlines::within(self.config().limits.shutdown_timeout);
        self.rooms.stop();
        self.stopping.cancel();
        let goodbye = Close::new(close::RESTARTING, &Error::Stopping.to_string());
        self.sockets.say_goodbye(&goodbye, |connections| deadlines.goodbyes_to(connections)).await;
        if !self.client_limits.wait_until_empty(deadlines.connections).await {
            tracing::warn!(
                "some connections did not close within their part of --shutdown-timeout-ms; they are dropped"
            );
        }
        self.sockets.stop();
        deadlines
    }

    async fn accept_until(self: &Arc<Self>, listener: &TcpListener, end: impl Future<Output = ()>) {
        static FAILED: Notice = Notice::warning();
        tokio::pin!(end);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut end => return,
            };
            match accepted {
                Ok((stream, peer)) => self.welcome(stream, peer),
                Err(error) if refusals::is_the_clients_fault(&error) => {}
                Err(error) => {
                    FAILED.give(|| {
                        format!(
                            "no connection can be accepted: {error}. If too many files are open, raise the limit of open files \
                             (`ulimit -n`, or LimitNOFILE= of systemd)"
                        )
                    });
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    fn welcome(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let client = match self.client_limits.accept(peer.ip()) {
            Ok(client) => client,
            Err(error) => {
                refusals::tell(&error, None, &self.metrics);
                return refusals::answer_unread(&stream, &error);
            }
        };
        let (server, visit) = (Arc::clone(self), Arc::new(Visit::new(client)));
        // The task ends with the HTTP connection, and `run` waits for it. A WebSocket lives on without a task.
        tokio::spawn(async move {
            // Counts are small and should be sent at once. If this fails, they only arrive later.
            let _ = stream.set_nodelay(true);
            let limits = &server.config().limits;
            let deadline = Instant::now() + limits.header_timeout;
            // A connection whose request has not arrived takes no turn.
            tokio::select! {
                () = arrival::of_headers(&stream) => {}
                () = visit.says_nothing(deadline) => return,
                // A client that has begun to ask gets an answer.
                () = server.stopping.cancelled() => if !arrival::goes_on(&stream, limits.shutdown_timeout).await { return },
            }
            // Only a closed semaphore fails, and this one is never closed.
            let turn = server.rooms.shared().turns.acquire().await;
            // The future is boxed, because a connection that waits for its turn does not need its memory yet.
            Box::pin(Arc::clone(&server).serve(stream, visit, deadline, turn)).await;
        });
    }

    /// Serves HTTP on a connection until it ends or becomes a WebSocket. Its turn ends early if this takes long.
    async fn serve(self: Arc<Self>, stream: TcpStream, visit: Arc<Visit>, deadline: Instant, turn: impl Send) {
        let (server, client) = (Arc::clone(&self), Arc::clone(&visit));
        let service = service_fn(move |request| {
            let (server, visit) = (Arc::clone(&server), Arc::clone(&client));
            // This comes before hyper reads the body, so that hyper can use its buffer again.
            let request = body::detached(request);
            async move { Ok::<_, Infallible>(server.answer_visit(request, &visit).await.map(Full::new)) }
        });
        let limits = &self.config().limits;
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.keep_alive)
            .max_header_size(MAX_HEADER_BYTES)
            .max_buf_size(MAX_BUFFER_BYTES)
            .serve_connection(TokioIo::new(SmallReads::new(stream)), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let at_once = tokio::select! {
            biased;
            served = connection.as_mut() => Some(served),
            () = visit.waits_for_its_client() => None,
            () = tokio::time::sleep(TURN_TIME) => None,
        };
        drop(turn);
        let served = match at_once {
            Some(served) => Ok(served),
            None => tokio::select! {
                served = connection.as_mut() => Ok(served),
                () = self.stopping.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    timeout(limits.shutdown_timeout, connection).await
                }
                () = visit.says_nothing(deadline) => return,
                () = tokio::time::sleep(limits.http_lifetime) => {
                    // An idle connection is not closed at once, because a request may be on its way.
                    visit.gets_old();
                    timeout(limits.keep_alive, connection).await
                }
            },
        };
        match served {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                refusals::note_failure(&error, || self.client_limits.tell_no_http(visit.client(), &error))
            }
            Err(_) => tracing::debug!("a connection was dropped because it did not read its answers"),
        }
    }

    // Here and below, a future is boxed if the others do not need its memory, above all while a body arrives.
    async fn answer_visit(&self, request: Request, visit: &Visit) -> Response {
        visit.asks();
        let mut response = self.answer(request, visit).await;
        self.metrics.answered(response.status());
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            visit.end_turn();
        }
        if visit.is_old() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    async fn answer(&self, request: Request, visit: &Visit) -> Response {
        let method = request.method().clone();
        let prefix = &self.config().prefix;
        let refusal =
            |error: &Error, room: Option<&RoomKey>| refusals::answer(&method, error, room, prefix, &self.metrics);
        if let Err(error) = address::check_host(request.headers()) {
            return refusal(&error, None);
        }
        let Some(room) = address::room(&request, &self.rooms, self.addresses) else {
            return self.route(request, visit).await.unwrap_or_else(|error| refusal(&error, None));
        };
        let asked = Asked::with(&request);
        let (answer, room) = match room {
            Ok(key) => (self.visit(key.clone(), request, visit).await, Some(key)),
            // A path that a proxy puts before a page may look like that of a room.
            Err(error) if upgrade::is_meant(request.headers()) => (Err(error), None),
            Err(error) => (self.page(*request).unwrap_or(Err(error)), None),
        };
        self.cors.complete(asked, answer.unwrap_or_else(|error| refusal(&error, room.as_ref())))
    }

    /// Hands a handshake or a request to its room.
    async fn visit(&self, key: RoomKey, mut request: Request, visit: &Visit) -> Result<Response> {
        if upgrade::is_wanted(&mut request)? {
            let client = Arc::clone(visit.client());
            let account = self.client_limits.account(&client, request.headers());
            let quota = self.client_limits.upgrade(client, request.headers(), self.rooms.group(&key))?;
            let limits = &self.config().limits;
            Box::pin(handshake::accept(limits, &self.rooms, &self.sockets, key, *request, account, quota)).await
        } else {
            self.request(&key, request, visit).await
        }
    }

    pub(crate) fn has_operator_party(&self) -> bool {
        self.addresses.operator_party.is_some()
    }

    /// Hands a request of the operator to the operator's party.
    pub(crate) async fn visit_of_operator(
        &self,
        mut request: hyper::Request<Incoming>,
        peer: IpAddr,
    ) -> Result<Response> {
        let party = self.addresses.operator_party.ok_or(Error::NotFound)?;
        let key = self.rooms.room_key(party, OPERATOR)?;
        let (metrics, faults, notices) = (self.metrics(true), self.readiness().reasons(), notice::last_of_each());
        request.extensions_mut().insert(party::Status { metrics, faults, notices });
        let visit = Visit::new(self.client_limits.accept(peer)?);
        self.visit(key, Request::new(request), &visit).await
    }

    /// Answers paths that do not belong to a room.
    async fn route(&self, request: Request, visit: &Visit) -> Result<Response> {
        if let Some(answer) = readiness::check(&request, || self.readiness()) {
            return answer;
        }
        if let Some(assets) = &self.assets
            && let Some(response) = assets.answer(&request).await
        {
            return body::held(response?, self.client_limits.account(visit.client(), request.headers()));
        }
        self.page(*request).unwrap_or(Err(Error::NotFound))
    }

    /// The program's page at this address, or else the answer to a health check.
    fn page<B>(&self, request: hyper::Request<B>) -> Option<Result<Response>> {
        let (request, _) = request.into_parts();
        let page = self.running.program.get().pages.as_ref().and_then(|pages| pages(&request));
        page.or_else(|| readiness::check_below(&request, || self.readiness()))
    }

    /// The metrics, for Prometheus.
    pub(crate) fn metrics(&self, in_open_metrics: bool) -> String {
        let state = State {
            connections: self.client_limits.held(),
            connections_limit: self.connections(),
            websockets: self.sockets.len(),
            rooms: self.rooms.in_memory(),
            storage_pending: self.db.pending_values(),
            storage_takes_writes: self.db.fault().is_none(),
            is_ready: self.readiness().is_ready(),
        };
        self.metrics.write(&state, in_open_metrics)
    }

    pub(crate) fn readiness(&self) -> Readiness {
        let mut readiness = Readiness::default();
        if self.leaving.load(Ordering::Relaxed) {
            readiness.refuse("the server is stopping");
        }
        // The server also counts without a disk.
        if let Some(fault) = self.db.fault() {
            readiness.limit(format!("storage takes no writes: {fault}"));
        }
        let wanted = self.config().limits.connections;
        if self.connections() < wanted {
            readiness.limit(format!(
                "the open files allow {} connections, not the {wanted} of --max-connections",
                self.connections()
            ));
        }
        for reason in self.complaints.iter().filter_map(|complaint| complaint()) {
            readiness.limit(reason);
        }
        readiness
    }

    async fn request(&self, key: &RoomKey, request: Request, visit: &Visit) -> Result<Response> {
        if self.rooms.is_paced(key, request.headers()) {
            self.client_limits.pace_request(visit.client(), request.headers())?;
        }
        let (parts, body) = request.into_parts();
        let account = self.client_limits.account(visit.client(), &parts.headers);
        let waits = parts.headers.contains_key(header::EXPECT);
        if !body.is_end_stream() {
            visit.end_turn();
        }
        // The gatekeeper runs first, so that the body of a refused request is not read.
        let admitted = Box::pin(self.rooms.admit(key, http::Request::from_parts(parts, Bytes::new()), false)).await;
        let request = match admitted {
            Ok(request) => request,
            Err(response) => {
                // A client that waits for `100 Continue` has not sent the body.
                if !waits {
                    self.bodies.discard(body).await;
                }
                return Ok(response);
            }
        };
        let (body, _held) = self.bodies.read(body, account.clone()).await?;
        let answer = Box::pin(self.rooms.request_from_outside(key, request.map(|_| body))).await?;
        body::held(answer, account)
    }
}
