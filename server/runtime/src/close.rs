//! The codes a WebSocket is closed with, as [RFC 6455](https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1) and the
//! registry after it have them. Codes of a party's own are 4000 to 4999.

/// The server is stopping.
pub const GOING_AWAY: u16 = 1001;
/// The frames were not those of a WebSocket.
pub const PROTOCOL: u16 = 1002;
/// The other side closed without saying why. Never sent.
pub const NO_STATUS: u16 = 1005;
/// The connection broke without a goodbye. Never sent.
pub const ABNORMAL: u16 = 1006;
/// A text message was not UTF-8.
pub const INVALID_TEXT: u16 = 1007;
/// A rule was broken: the same would happen again.
pub const POLICY: u16 = 1008;
/// A message was larger than the server reads.
pub const TOO_BIG: u16 = 1009;
/// The server failed.
pub const INTERNAL: u16 = 1011;
/// The server is busy, or the other side reads too slowly. Come back after a random moment.
pub const TRY_LATER: u16 = 1013;
