//! What can go wrong, and the one table from an error to a status and a close code.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use http::StatusCode;

use crate::close::{self, Close};

/// Why the server did not start. A person reads it on the terminal.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}. Choose another address with --listen")]
    Listen {
        /// What `--listen` said.
        address: SocketAddr,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The operator's address cannot be listened on.
    #[error("cannot listen on {address}: {source}. Choose another address with --admin")]
    Admin {
        /// What `--admin` said.
        address: SocketAddr,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A setting contradicts another.
    #[error("--{setting}: {problem}")]
    Setting {
        /// The flag, without dashes.
        setting: &'static str,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
    /// The data folder belongs to another running server.
    #[error("{path} is in use by another server. Stop that one, or choose another folder with --data", path = path.display())]
    DataInUse {
        /// What `--data` said.
        path: PathBuf,
    },
    /// The data folder cannot be used.
    #[error("cannot use the data folder {path}: {source}. Choose another one with --data", path = path.display())]
    Data {
        /// What `--data` said.
        path: PathBuf,
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The folder of files to serve cannot be read.
    #[error("--assets {path}: {source}. Name a folder that this program may read", path = path.display())]
    Assets {
        /// What `--assets` said.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The file of settings cannot be read, or says what is no setting.
    #[error("--env-file {path}: {problem}", path = path.display())]
    EnvFile {
        /// What `--env-file` said.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The operating system gives no threads.
    #[error("cannot start threads: {0}. Raise the limits of this user or machine")]
    Runtime(std::io::Error),
    /// There is no party at all.
    #[error("a server needs at least one party; add one with Server::party")]
    NoParty,
    /// A setting of the program's own makes no sense.
    #[error(transparent)]
    Program(Box<dyn std::error::Error + Send + Sync>),
    /// A party cannot be added.
    #[error("party {name:?} {problem}")]
    Party {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// Why one request, connection or call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing at this address.
    #[error("nothing is here; parties are at /parties/:party/:room")]
    NotFound,
    /// The server has no such party.
    #[error("party {0:?} not found; check the name after /parties/")]
    UnknownParty(String),
    /// The room's id is not valid for this party. The text says why.
    #[error("bad room: {0}")]
    RoomId(String),
    /// The room's id in the URL is not UTF-8.
    #[error("bad room: after percent-decoding it is not UTF-8")]
    RoomEncoding,
    /// A path given to a stub does not start with `/`.
    #[error("{0:?} is no path; start it with /")]
    Path(String),
    /// The method is not offered here; these are, as in an `Allow` header.
    #[error("only {0} here")]
    Method(&'static str),
    /// A proxy on the way lost what makes a request a WebSocket handshake. It says what is missing.
    #[error("no WebSocket handshake: {0}; a proxy on the way lost it")]
    UpgradeLost(&'static str),
    /// The WebSocket handshake is malformed.
    #[error("no WebSocket handshake: {0}")]
    Handshake(Box<dyn std::error::Error + Send + Sync>),
    /// The body is larger than [`Limits::body_bytes`](crate::Limits::body_bytes), or came too slowly, or broke off.
    #[error("the body is larger than {limit} bytes, or did not arrive in time")]
    Body {
        /// Bytes allowed.
        limit: usize,
    },
    /// [`Limits::body_bytes_in_all`](crate::Limits::body_bytes_in_all) of bodies have arrived in part, and this one is the slowest.
    #[error("too many bodies arrive slowly; try again later")]
    TooManyBodies,
    /// The server has as many connections as it may, or as the open files allow.
    #[error("the server is full; try again later")]
    ServerFull,
    /// Too many connections from one address, or connections or requests too fast.
    #[error("too many connections or requests from your address; try again later")]
    TooManyFromAddress,
    /// An address holds [`Limits::bytes_per_address`](crate::Limits::bytes_per_address) of memory.
    #[error("your address holds as much of the server's memory as it may; close other pages or try again later")]
    TooMuchFromAddress,
    /// The rooms of a [`Group`](crate::party::Group) have as many connections as they may have together.
    #[error("too many connections to {0}; try again later")]
    GroupFull(String),
    /// The room has [`Limits::connections_per_room`](crate::Limits::connections_per_room) connections.
    #[error("the room is full; try again later")]
    RoomFull,
    /// [`Limits::rooms`](crate::Limits::rooms) are in memory, or as many as whoever asked may start.
    #[error("too many rooms are open; try again later")]
    TooManyRooms,
    /// [`Limits::mailbox_events`](crate::Limits::mailbox_events) wait for the room.
    #[error("the room is busy; try again later")]
    RoomBusy,
    /// [`Limits::calls`](crate::Limits::calls) between rooms are under way.
    #[error("too many calls between rooms; try again later")]
    TooManyCalls,
    /// The room did not answer in time.
    #[error("the room did not answer within {0:?}")]
    Deadline(Duration),
    /// The call would wait for a room that waits for the caller.
    #[error("a call must not come back to a waiting room: {0}")]
    CallCycle(String),
    /// A party asked for a value that the server was not given.
    #[error("the server was given no {0}; give it one with Server::with")]
    Setting(&'static str),
    /// The room ended before it answered.
    #[error("the room failed; try again")]
    RoomFailed,
    /// The server is stopping.
    #[error("the server is stopping; try again in a moment")]
    Stopping,
    /// The connection is closing.
    #[error("the connection is closed")]
    ConnectionClosed,
    /// More waits to be sent than [`Limits::send_queue_bytes`](crate::Limits::send_queue_bytes).
    #[error("messages are read too slowly")]
    SlowConnection,
    /// No close frame may carry this code.
    #[error("close code {0} cannot be sent; use 1000 to 1003, 1007 to 1014, or one of your own from 4000 to 4999")]
    CloseCode(u16),
    /// A connection's state is too large.
    #[error("a connection's state holds 2048 bytes, not {bytes}")]
    StateTooLarge {
        /// Its size as JSON.
        bytes: usize,
    },
    /// A party gave a connection bad tags.
    #[error("a connection has at most 9 tags of 1 to 256 bytes")]
    Tags,
    /// A value could not be written or read as JSON.
    #[error("bad JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Storage refused or failed.
    #[error("storage: {0}")]
    Storage(#[from] crate::StorageError),
    /// A request that was made wrong, such as one with a bad URI.
    #[error("bad request: {0}")]
    Http(#[from] http::Error),
    /// A party's own refusal; see [`Error::refused`].
    #[error("{reason}")]
    Refused {
        /// The HTTP status that tells it.
        status: StatusCode,
        /// What whoever is refused gets to read.
        reason: String,
    },
    /// A party's own failure.
    #[error(transparent)]
    Party(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// A party's refusal: from [`on_request`](crate::party::Party::on_request) or a gatekeeper, this is the answer.
    ///
    /// ```
    /// use connection_counter_runtime::{Error, party::{Request, Result, http::StatusCode}};
    ///
    /// /// The name that a request is about.
    /// fn name(request: &Request) -> Result<String> {
    ///     let name = String::from_utf8(request.body().to_vec()).ok();
    ///     name.ok_or_else(|| Error::refused(StatusCode::BAD_REQUEST, "send your name as UTF-8"))
    /// }
    /// ```
    #[must_use]
    pub fn refused(status: StatusCode, reason: impl Into<String>) -> Self {
        Self::Refused { status, reason: reason.into() }
    }

    /// The HTTP status that tells it.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Refused { status, .. } => *status,
            Self::NotFound | Self::UnknownParty(_) => StatusCode::NOT_FOUND,
            Self::RoomId(_) | Self::RoomEncoding | Self::Handshake(_) | Self::Json(_) => StatusCode::BAD_REQUEST,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::UpgradeLost(_) => StatusCode::UPGRADE_REQUIRED,
            Self::Body { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooManyFromAddress | Self::TooMuchFromAddress => StatusCode::TOO_MANY_REQUESTS,
            Self::ServerFull
            | Self::GroupFull(_)
            | Self::RoomFull
            | Self::TooManyRooms
            | Self::RoomBusy
            | Self::TooManyCalls
            | Self::TooManyBodies
            | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::Deadline(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Path(_)
            | Self::CallCycle(_)
            | Self::Setting(_)
            | Self::RoomFailed
            | Self::ConnectionClosed
            | Self::SlowConnection
            | Self::CloseCode(_)
            | Self::StateTooLarge { .. }
            | Self::Tags
            | Self::Storage(_)
            | Self::Http(_)
            | Self::Party(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The end of a connection that tells it: [code](Self::close_code) and text.
    #[must_use]
    pub fn close(&self) -> Close {
        Close::new(self.close_code(), &self.to_string())
    }

    /// The WebSocket close code that tells it: what a client should not repeat, what it should repeat later, and what
    /// is our fault.
    #[must_use]
    pub fn close_code(&self) -> u16 {
        match self.status() {
            _ if matches!(self, Self::SlowConnection) => close::TRY_LATER,
            status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => close::POLICY,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => close::TRY_LATER,
            _ => close::INTERNAL,
        }
    }
}
