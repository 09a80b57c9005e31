//! Builds messages to the server, with the names of the protocol crate. `npm/socket.js` reads messages from the server, with
//! the browser's own JSON parser. A parser in wasm would be larger than the rest of the widget.

use connection_counter_protocol::{MAX_LINKS_PER_MESSAGE, MAX_MESSAGE_BYTES, wire};

use crate::join;
/// A `subscribe` or `unsubscribe` message that is being built.
pub(crate) struct Message {
    text: String,
    links: usize,
}

impl Message {
    /// A message without links. `kind` is a name from [`wire`].
    pub(crate) fn new(kind: &str) -> Self {
        Self { text: join(&["{\"", wire::TYPE, "\":\"", kind, "\",\"", wire::LINKS, "\":["]), links: 0 }
    }

    /// Whether it has no links.
    pub(crate) fn is_empty(&self) -> bool {
        self.links == 0
    }

    /// Adds a link. Returns `false` if the message is full.
    pub(crate) fn add(&mut self, id: &str) -> bool {
        let length = self.text.len();
        if self.links > 0 {
            self.text.push(',');
        }
        // A page id needs no escapes, because everything that JSON would escape is percent-encoded in it.
        self.text.push('"');
        self.text.push_str(id);
        self.text.push('"');
        let has_room = self.links < MAX_LINKS_PER_MESSAGE && self.text.len() + "]}".len() <= MAX_MESSAGE_BYTES;
        if has_room {
            self.links += 1;
        } else {
            self.text.truncate(length);
        }
        has_room
    }

    /// The text to send.
    pub(crate) fn finish(mut self) -> String {
        self.text.push_str("]}");
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connection_counter_protocol::PageId;
    use serde_json::{Value, json};

    fn message_of(ids: &[&str]) -> (Value, usize) {
        let mut message = Message::new(wire::SUBSCRIBE);
        let added = ids.iter().take_while(|id| message.add(id)).count();
        let text = message.finish();
        assert!(text.len() <= MAX_MESSAGE_BYTES);
        (serde_json::from_str(&text).unwrap(), added)
    }

    #[test]
    fn links_are_escaped_as_json_strings() {
        let odd = PageId::from_parts("example.org", "/\"\\\n", "?\"\\\u{1}", "").unwrap();
        let (message, _) = message_of(&["example.org/a", odd.as_str()]);
        assert_eq!(message, json!({"type": "subscribe", "links": ["example.org/a", odd]}));
    }

    #[test]
    fn no_message_names_too_many_links() {
        let (message, added) = message_of(&["a"; MAX_LINKS_PER_MESSAGE + 1]);
        assert_eq!(added, MAX_LINKS_PER_MESSAGE);
        assert_eq!(message["links"].as_array().unwrap().len(), MAX_LINKS_PER_MESSAGE);
    }

    #[test]
    fn no_message_has_too_many_bytes() {
        let long = "x".repeat(1_024);
        let (_, added) = message_of(&[&*long; MAX_LINKS_PER_MESSAGE]);
        assert_eq!(added, 15, "each takes 1,027 of the 16,384 bytes");
    }
}
