//! Viewer ↔ page: the messages on the WebSocket.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::PageId;

/// A message of a viewer to its page.
///
/// Links are plain strings here. The server spells each one itself, and refuses bad ones one by one.
///
/// ```
/// use connection_counter_protocol::ViewerMessage;
///
/// let message: ViewerMessage = serde_json::from_str(r#"{"type":"subscribe","links":["b"]}"#)?;
/// assert_eq!(message, ViewerMessage::Subscribe { links: vec!["b".into()] });
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ViewerMessage {
    /// Adds links to this connection's links. The answer is an update with the count of each.
    Subscribe {
        /// Page ids, at most [`MAX_LINKS_PER_MESSAGE`](crate::MAX_LINKS_PER_MESSAGE).
        links: Vec<String>,
    },
    /// Removes links from this connection's links. Unknown ones are ignored.
    Unsubscribe {
        /// Page ids, at most [`MAX_LINKS_PER_MESSAGE`](crate::MAX_LINKS_PER_MESSAGE).
        links: Vec<String>,
    },
    /// A type that this version does not know, from a newer widget. It is ignored.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// A message of a page to its viewers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum PageMessage {
    /// Counts of linked pages: a snapshot after a subscribe, later only what changed.
    Update {
        /// Viewers by page id.
        connections: BTreeMap<PageId, u32>,
    },
    /// A message was refused. Nothing of it took effect unless the text says so. The connection stays open.
    Error {
        /// A fixed word that a program can compare, such as `bad-message`.
        code: String,
        /// A sentence for a person: what was refused, why, and what to do.
        message: String,
    },
    /// A type that this version does not know, from a newer server. It is ignored.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// The names of [`ViewerMessage`] and [`PageMessage`] in JSON, for code that reads a parsed object. The widget does so, because
/// a JSON parser would be larger than the rest of it.
pub mod wire {
    /// The field with the kind of a message.
    pub const TYPE: &str = "type";
    /// The kind of [`ViewerMessage::Subscribe`](super::ViewerMessage::Subscribe).
    pub const SUBSCRIBE: &str = "subscribe";
    /// The kind of [`ViewerMessage::Unsubscribe`](super::ViewerMessage::Unsubscribe).
    pub const UNSUBSCRIBE: &str = "unsubscribe";
    /// The field with the page ids of both.
    pub const LINKS: &str = "links";
    /// The kind of [`PageMessage::Update`](super::PageMessage::Update).
    pub const UPDATE: &str = "update";
    /// The field with its counts.
    pub const CONNECTIONS: &str = "connections";
    /// The kind of [`PageMessage::Error`](super::PageMessage::Error).
    pub const ERROR: &str = "error";
    /// The field with its code.
    pub const CODE: &str = "code";
    /// The field with its sentence.
    pub const MESSAGE: &str = "message";
}

/// WebSocket close codes (RFC 6455, section 7.4).
pub mod close {
    /// The other side leaves, as browsers do when a page is closed.
    pub const GOING_AWAY: u16 = 1001;
    /// The frames broke the WebSocket protocol.
    pub const PROTOCOL: u16 = 1002;
    /// The other side closed without saying why. Never sent.
    pub const NO_STATUS: u16 = 1005;
    /// The connection broke without a close frame. Never sent.
    pub const ABNORMAL: u16 = 1006;
    /// A text message was not UTF-8.
    pub const INVALID_TEXT: u16 = 1007;
    /// The client broke a rule. The widget does not reconnect, because the answer would be the same.
    pub const POLICY: u16 = 1008;
    /// A message was larger than the server reads.
    pub const TOO_BIG: u16 = 1009;
    /// The server failed. Reconnect after a random time.
    pub const INTERNAL: u16 = 1011;
    /// The server is stopping, usually to start again. Reconnect after a random time.
    pub const RESTARTING: u16 = 1012;
    /// The server is too busy, or this viewer reads too slowly. Reconnect after a random time.
    pub const TRY_LATER: u16 = 1013;
}
