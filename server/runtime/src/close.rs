//! How connections end, and the codes for it, as [RFC 6455](https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1) and the
//! registry after it have them. Codes of a party's own are 4000 to 4999.

/// How a connection ends, or has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Close {
    /// One of the codes of this module, or one of a party's own.
    pub code: u16,
    /// For people; at most 123 bytes where it is sent.
    pub reason: String,
}

impl Close {
    /// The reason is cut to the 123 bytes that a close frame holds.
    #[must_use]
    pub fn new(code: u16, reason: &str) -> Self {
        Self { code, reason: cut(reason).to_owned() }
    }

    /// A goodbye that gives no code.
    pub(crate) fn without_status() -> Self {
        Self::new(NO_STATUS, "")
    }

    /// Gone without a goodbye.
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
/// The server is stopping, most often to be started again. Come back after a random moment.
pub const RESTARTING: u16 = 1012;
/// The server is busy, or the other side reads too slowly. Come back after a random moment.
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
