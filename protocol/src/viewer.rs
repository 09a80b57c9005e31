//! Viewer ↔ page: what travels over the WebSocket.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::PageId;

/// What a viewer says to its page.
///
/// Links are plain strings here: the server spells each one itself and refuses the bad ones one by one.
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
    /// Takes links away again. Unknown ones are ignored.
    Unsubscribe {
        /// Page ids, at most [`MAX_LINKS_PER_MESSAGE`](crate::MAX_LINKS_PER_MESSAGE).
        links: Vec<String>,
    },
    /// A type this version does not know, from a newer widget. Ignored.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// What a page says to its viewers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum PageMessage {
    /// Counts of linked pages: a snapshot after a subscribe, later only what changed.
    Update {
        /// Viewers by page id.
        connections: BTreeMap<PageId, u32>,
    },
    /// A message was refused; nothing of it took effect unless the text says so. The connection lives on.
    Error {
        /// A stable word a program can act on, such as `bad-message`.
        code: String,
        /// A sentence for a person: what was refused, why, and what to do.
        message: String,
    },
    /// A type this version does not know, from a newer server. Ignored.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// The names of [`ViewerMessage`] and [`PageMessage`] in JSON, for a reader that walks a parsed object instead of
/// carrying a JSON parser: in the widget a parser would weigh more than everything else together.
pub mod wire {
    /// Names the kind of message.
    pub const TYPE: &str = "type";
    /// Kind of [`ViewerMessage::Subscribe`](super::ViewerMessage::Subscribe).
    pub const SUBSCRIBE: &str = "subscribe";
    /// Kind of [`ViewerMessage::Unsubscribe`](super::ViewerMessage::Unsubscribe).
    pub const UNSUBSCRIBE: &str = "unsubscribe";
    /// The list of page ids in both.
    pub const LINKS: &str = "links";
    /// Kind of [`PageMessage::Update`](super::PageMessage::Update).
    pub const UPDATE: &str = "update";
    /// Its counts.
    pub const CONNECTIONS: &str = "connections";
    /// Kind of [`PageMessage::Error`](super::PageMessage::Error).
    pub const ERROR: &str = "error";
    /// Its stable word.
    pub const CODE: &str = "code";
    /// Its sentence.
    pub const MESSAGE: &str = "message";
}

/// WebSocket close codes (RFC 6455, section 7.4).
pub mod close {
    /// The other side leaves, as browsers do when a page is closed.
    pub const GOING_AWAY: u16 = 1001;
    /// The frames were not those of a WebSocket.
    pub const PROTOCOL: u16 = 1002;
    /// The other side closed without saying why. Never sent.
    pub const NO_STATUS: u16 = 1005;
    /// The connection broke without a goodbye. Never sent.
    pub const ABNORMAL: u16 = 1006;
    /// A text message was not UTF-8.
    pub const INVALID_TEXT: u16 = 1007;
    /// A rule was broken. The widget does not come back: the answer would be the same.
    pub const POLICY: u16 = 1008;
    /// A message was larger than the server reads.
    pub const TOO_BIG: u16 = 1009;
    /// The server failed. Come back after a random moment.
    pub const INTERNAL: u16 = 1011;
    /// The server is stopping, most often to be started again. Come back after a random moment.
    pub const RESTARTING: u16 = 1012;
    /// Too busy, or this viewer reads too slowly. Come back after a random moment.
    pub const TRY_LATER: u16 = 1013;
}
