//! The end of a connection, and the close codes of [RFC 6455](https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1) and the
//! registry after it. A party's own codes are 4000 to 4999.

/// How a connection ends or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Close {
    /// One of the codes of this module, or a party's own.
    pub code: u16,
    /// The reason, for people. At most 123 bytes are sent.
    pub reason: String,
}

impl Close {
    /// A close with this code. The reason is cut to the 123 bytes that fit into a close frame.
    #[must_use]
    pub fn new(code: u16, reason: &str) -> Self {
        Self { code, reason: cut(reason).to_owned() }
    }

    /// A close without a code.
    pub(crate) fn without_status() -> Self {
        Self::new(NO_STATUS, "")
    }

    /// The end of a connection that broke without a close frame.
    pub(crate) fn abnormal(reason: &str) -> Self {
        Self::new(ABNORMAL, reason)
    }
}

/// A close frame holds 125 bytes, two of which are the code.
fn cut(reason: &str) -> &str {
    const MAX_REASON_BYTES: usize = 123;
    reason.get(..reason.floor_char_boundary(MAX_REASON_BYTES)).unwrap_or_default()
}

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
/// The client broke a rule, and would break it again. It should not reconnect.
pub const POLICY: u16 = 1008;
/// A message was larger than the server reads.
pub const TOO_BIG: u16 = 1009;
/// The server failed.
pub const INTERNAL: u16 = 1011;
/// The server is stopping, usually to start again. Reconnect after a random time.
pub const RESTARTING: u16 = 1012;
/// The server is busy, or the other side reads too slowly. Reconnect after a random time.
pub const TRY_LATER: u16 = 1013;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_reasons_are_cut_between_characters() {
        let cut = |reason: &str| Close::new(POLICY, reason).reason.len();
        assert_eq!(Close::new(POLICY, "short").reason, "short");
        assert_eq!(cut(&"a".repeat(200)), 123);
        assert_eq!(cut(&"é".repeat(100)), 122);
    }
}
