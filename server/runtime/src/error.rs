//! The errors, and the one table that maps each to a status and a close code.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use http::StatusCode;

use crate::close::{self, Close};

/// Why the server did not start. A person reads this on the terminal.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// The server cannot listen on its address.
    #[error("cannot listen on {address}: {source}. Choose another address with --listen")]
    Listen {
        /// The value of `--listen`.
        address: SocketAddr,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The server cannot use what systemd holds for it.
    #[error("cannot use the socket that systemd holds: {problem}")]
    SystemdSocket {
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The server cannot listen on the operator's address.
    #[error("cannot listen on {address}: {source}. Choose another address with --admin")]
    Admin {
        /// The value of `--admin`.
        address: SocketAddr,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A setting is invalid, or contradicts another.
    #[error("--{setting}: {problem}")]
    Setting {
        /// The flag, without dashes.
        setting: &'static str,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
    /// The data folder belongs to another running server.
    #[error("another server uses {path}. Stop that server, or choose another folder with --data", path = path.display())]
    DataInUse {
        /// The value of `--data`.
        path: PathBuf,
    },
    /// The data folder cannot be used.
    #[error("cannot use the data folder {path}: {source}. Choose another one with --data", path = path.display())]
    Data {
        /// The value of `--data`.
        path: PathBuf,
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The folder of files to serve cannot be read.
    #[error("--assets {path}: {source}. Name a folder that this program may read", path = path.display())]
    Assets {
        /// The value of `--assets`.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The file of settings cannot be read, or a line of it is not a setting.
    #[error("--env-file {path}: {problem}", path = path.display())]
    EnvFile {
        /// The value of `--env-file`.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The operating system cannot start threads.
    #[error("cannot start threads: {0}. Raise the thread limit of this user or machine")]
    Runtime(std::io::Error),
    /// The server has no party.
    #[error("a server needs at least one party; add one with Server::party")]
    NoParty,
    /// One of the program's own settings is invalid.
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
    #[error("nothing is at this address")]
    NotFound,
    /// The server has no such party.
    #[error("party {0:?} not found")]
    UnknownParty(String),
    /// The request has more than one `Host` header, so it is unclear which server it is for.
    #[error("the request has more than one Host header")]
    Hosts,
    /// The room's id is not valid for this party. The text says why.
    #[error("bad room: {0}")]
    RoomId(String),
    /// The room's id in the URL is not UTF-8.
    #[error("bad room: its percent-decoded id is not UTF-8")]
    RoomEncoding,
    /// A path given to a stub does not start with `/`.
    #[error("{0:?} is not a path; start it with /")]
    Path(String),
    /// This address does not allow the method. The text lists the allowed ones, as in an `Allow` header.
    #[error("this address allows only {0}")]
    Method(&'static str),
    /// A proxy dropped a part of the WebSocket handshake. The text says which part.
    #[error("not a WebSocket handshake: {0}; a proxy dropped it")]
    UpgradeLost(&'static str),
    /// The address of a WebSocket handshake, which is given here without its query, leads to no party.
    #[error("no party is at {0}")]
    NoPartyForHandshake(String),
    /// The client speaks another version of WebSocket, usually an old draft.
    #[error("this server speaks only version 13 of WebSocket (RFC 6455)")]
    WebSocketVersion,
    /// The WebSocket handshake is malformed.
    #[error("not a WebSocket handshake: {0}")]
    Handshake(Box<dyn std::error::Error + Send + Sync>),
    /// The body is larger than [`Limits::body_bytes`](crate::Limits::body_bytes), or arrived too slowly.
    #[error("the body is larger than {limit} bytes, or did not arrive in time")]
    Body {
        /// Bytes allowed.
        limit: usize,
    },
    /// The chunks of the body are malformed, or the connection ended before the body.
    #[error("the body is malformed, or ended too early; check its chunks or its Content-Length")]
    BrokenBody,
    /// Bodies that have arrived in part hold [`Limits::body_bytes_in_all`](crate::Limits::body_bytes_in_all), and this one is the
    /// slowest.
    #[error("too many bodies arrive slowly; try again later")]
    TooManyBodies,
    /// The server has as many connections as `--max-connections` or the limit of open files allows.
    #[error("the server is full; try again later")]
    ServerFull,
    /// One address has too many connections, or opens connections or sends requests too fast.
    #[error("too many connections or requests from your address; try again later")]
    TooManyFromAddress,
    /// An address holds [`Limits::bytes_per_address`](crate::Limits::bytes_per_address) of memory.
    #[error("your address holds as much of the server's memory as it may; close other pages or try again later")]
    TooMuchFromAddress,
    /// The rooms of a [`Group`](crate::party::Group) have reached their common limit of connections.
    #[error("too many connections to {0}; try again later")]
    GroupFull(String),
    /// The room has [`Limits::connections_per_room`](crate::Limits::connections_per_room) connections.
    #[error("the room is full; try again later")]
    RoomFull,
    /// [`Limits::rooms`](crate::Limits::rooms) are in memory, or as many as requests or connections may start.
    #[error("too many rooms are open; try again later")]
    TooManyRooms,
    /// [`Limits::mailbox_events`](crate::Limits::mailbox_events) wait for the room.
    #[error("the room is busy; try again later")]
    RoomBusy,
    /// [`Limits::calls`](crate::Limits::calls) between rooms are running.
    #[error("too many calls between rooms; try again later")]
    TooManyCalls,
    /// The room did not answer in time.
    #[error("the room did not answer within {0:?}")]
    Deadline(Duration),
    /// The call would wait for a room that waits for the caller.
    #[error("a call must not come back to a waiting room: {0}")]
    CallCycle(String),
    /// A party asked for a value that `Server::with` did not get.
    #[error("the server has no {0}; give it one with Server::with")]
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
    /// More than [`Limits::send_queue_bytes`](crate::Limits::send_queue_bytes) wait to be sent.
    #[error("the client reads its messages too slowly")]
    SlowConnection,
    /// A close frame must not have this code.
    #[error("close code {0} cannot be sent; use 1000 to 1003, 1007 to 1014, or your own from 4000 to 4999")]
    CloseCode(u16),
    /// A connection's state is too large.
    #[error("a connection's state has {bytes} bytes; at most 2048 are allowed")]
    StateTooLarge {
        /// Its size as JSON.
        bytes: usize,
    },
    /// `connection_tags` returned too many tags, or a tag that is empty or too long.
    #[error("a connection has at most 9 tags of 1 to 256 bytes")]
    Tags,
    /// A value could not be written or read as JSON.
    #[error("bad JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Storage refused or failed.
    #[error("storage: {0}")]
    Storage(#[from] crate::StorageError),
    /// A request was built wrong, for example with a bad URI.
    #[error("bad request: {0}")]
    Http(#[from] http::Error),
    /// A party refused the request; see [`Error::refused`].
    #[error("{reason}")]
    Refused {
        /// The HTTP status of the answer.
        status: StatusCode,
        /// The text of the answer.
        reason: String,
    },
    /// A party failed for a reason of its own.
    #[error(transparent)]
    Party(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// A party's refusal. If [`on_request`](crate::party::Party::on_request) or a gatekeeper returns it, the client gets this status
    /// and reason.
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

    /// The HTTP status for this error.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Refused { status, .. } => *status,
            Self::NotFound | Self::UnknownParty(_) | Self::NoPartyForHandshake(_) => StatusCode::NOT_FOUND,
            Self::Hosts
            | Self::RoomId(_)
            | Self::RoomEncoding
            | Self::Handshake(_)
            | Self::BrokenBody
            | Self::Json(_) => StatusCode::BAD_REQUEST,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::UpgradeLost(_) | Self::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
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

    /// The close frame for this error: its [code](Self::close_code) and its text.
    #[must_use]
    pub fn close(&self) -> Close {
        Close::new(self.close_code(), &self.to_string())
    }

    /// The WebSocket close code for this error. It tells the client whether to stop, to try again later, or that the fault is the
    /// server's.
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
