//! A message on a connection: text or bytes.

use bytes::Bytes;
use serde::Serialize;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::error::Error;

/// A message between a connection and a room. Cloning shares the bytes.
///
/// ```
/// use connection_counter_runtime::party::*;
///
/// # fn example() -> Result {
/// assert_eq!(Message::json(&["red", "blue"])?, Message::text(r#"["red","blue"]"#));
/// assert_ne!(Message::text("7"), Message::Binary("7".into()));
/// # Ok(())
/// # }
/// # example().unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A text message. It shares memory with the socket's buffer. To keep a part of it, copy that part.
    Text(Utf8Bytes),
    /// A binary message.
    Binary(Bytes),
}

impl Message {
    /// A text message.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into().into())
    }

    /// The value as a JSON text message.
    ///
    /// # Errors
    /// Fails if `value` cannot be written as JSON.
    pub fn json<T: Serialize>(value: &T) -> Result<Self, Error> {
        Ok(Self::text(serde_json::to_string(value)?))
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}
