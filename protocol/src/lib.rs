//! The messages between the connection-counter server and its widget, and the spelling of page ids.
//!
//! | from → to | message |
//! |---|---|
//! | viewer → page | `{"type":"subscribe","links":["b","c"]}`: adds to this connection's links, answered at once with their counts |
//! | viewer → page | `{"type":"unsubscribe","links":["b"]}` |
//! | page → viewer | `{"type":"update","connections":{"b":3}}`: first a snapshot, later only what changed |
//! | page → viewer | `{"type":"error","code":"bad-link","message":"…"}`: a refused message; the connection stays open |
//! | page → counter | `{"action":"update","id":"a","connectionCount":2,"sequence":7}` |
//! | page → counter | `{"action":"subscribe","subscriberId":"a","subscribeToRoomIds":["b"]}`: answered with counts |
//! | page → counter | `{"action":"unsubscribe","subscriberId":"a","unsubscribeFromRoomIds":["b"]}` |
//! | page → counter | `{"action":"forget","subscriberId":"a"}`: the page failed and watches nothing any more |
//! | cluster → counter | `{"action":"elsewhere"}`: viewers on other machines came or left |
//! | counter → page | `{"action":"update","connections":{"b":3},"sequence":8}` |
//! | counter → page | `{"action":"resync"}`: the counter failed and asks for everything again |
//!
//! Unknown fields and unknown types are ignored, so either side may be newer than the other. The text `ping` is answered with
//! the text `pong`. The crate does no I/O and has no clock.

mod page_id;
mod party;
mod percent;
mod viewer;
mod visit;

pub use page_id::{DEFAULT_COUNTER_ROOM, PageId, PageIdError, ParameterNames};
pub use party::{CounterReport, CounterRequest, Counts, PageCount, PageDetail, PageReport, PageRequest};
pub use viewer::{PageMessage, ViewerMessage};
pub use viewer::{close, wire};

/// Links that one `subscribe` or `unsubscribe` may name. A longer list is sent as several messages. Together with
/// [`MAX_MESSAGE_BYTES`] this makes each message cheap to read.
pub const MAX_LINKS_PER_MESSAGE: usize = 256;

/// Links that one connection may be subscribed to at a time. Few pages have more, and it keeps a hostile viewer from filling
/// the server's memory.
pub const MAX_LINKS_PER_CONNECTION: usize = 1024;

/// Bytes of one message from a viewer. It is enough for 256 links of usual length.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024;
