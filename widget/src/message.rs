//! Messages: written by hand with the names of the protocol crate, and read with the browser's own JSON parser, because a
//! parser in wasm would weigh more than the rest of the widget.

use connection_counter_protocol::{MAX_LINKS_PER_MESSAGE, MAX_MESSAGE_BYTES, wire};
use js_sys::Reflect;
use wasm_bindgen::prelude::*;

/// Above this JavaScript's numbers have gaps, so no count can be meant.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

#[wasm_bindgen]
extern "C" {
    /// Takes the browser's string as it is; the one in `js_sys` would have it copied in and out again.
    #[wasm_bindgen(catch, js_namespace = JSON, js_name = parse)]
    fn parse_json(text: &JsValue) -> Result<JsValue, JsValue>;
}

/// A `subscribe` or `unsubscribe` in the making.
pub(crate) struct Message {
    text: String,
    links: usize,
}

impl Message {
    /// Without any links yet. `kind` is a name from [`wire`].
    pub(crate) fn new(kind: &str) -> Self {
        Self { text: ["{\"", wire::TYPE, "\":\"", kind, "\",\"", wire::LINKS, "\":["].concat(), links: 0 }
    }

    /// Whether it has no links.
    pub(crate) fn is_empty(&self) -> bool {
        self.links == 0
    }

    /// Adds a link, or answers `false` if the message is full.
    pub(crate) fn add(&mut self, id: &str) -> bool {
        let length = self.text.len();
        if self.links > 0 {
            self.text.push(',');
        }
        self.text.push('"');
        for character in id.chars() {
            // The only characters of a page id that JSON escapes; it has no control characters.
            if matches!(character, '"' | '\\') {
                self.text.push('\\');
            }
            self.text.push(character);
        }
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

/// Hands each count in a message from the server to `take`, with its page id. Whatever else it says is ignored: a newer
/// server may say more, and a broken one anything.
pub(crate) fn read_counts(message: &JsValue, mut take: impl FnMut(&JsValue, f64)) -> Option<()> {
    let message = parse_json(message).ok()?;
    if Reflect::get(&message, &wire::TYPE.into()).ok()?.as_string()? != wire::UPDATE {
        return None;
    }
    let counts = Reflect::get(&message, &wire::CONNECTIONS.into()).ok()?;
    for id in Reflect::own_keys(&counts).ok()?.iter() {
        let viewers = Reflect::get(&counts, &id).ok()?.as_f64().filter(|viewers| is_count(*viewers));
        if let Some(viewers) = viewers {
            take(&id, viewers);
        }
    }
    Some(())
}

fn is_count(number: f64) -> bool {
    (0.0..=MAX_SAFE_INTEGER).contains(&number) && number.fract() == 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn message_of(ids: &[&str]) -> (Value, usize) {
        let mut message = Message::new(wire::SUBSCRIBE);
        let added = ids.iter().take_while(|id| message.add(id)).count();
        let text = message.finish();
        assert!(text.len() <= MAX_MESSAGE_BYTES);
        (serde_json::from_str(&text).unwrap(), added)
    }

    #[test]
    fn links_are_json_strings() {
        let (message, _) = message_of(&["example.org/a", r#"b"\c"#, "ü"]);
        assert_eq!(message, json!({"type": "subscribe", "links": ["example.org/a", "b\"\\c", "ü"]}));
    }

    #[test]
    fn no_message_names_too_many_links() {
        let (message, added) = message_of(&["a"; MAX_LINKS_PER_MESSAGE + 1]);
        assert_eq!(added, MAX_LINKS_PER_MESSAGE);
        assert_eq!(message["links"].as_array().unwrap().len(), MAX_LINKS_PER_MESSAGE);
    }

    #[test]
    fn no_message_has_too_many_bytes() {
        let long = "\\".repeat(512);
        let (_, added) = message_of(&[&*long; MAX_LINKS_PER_MESSAGE]);
        assert_eq!(added, 15, "each takes 1,027 of the 16,384 bytes");
    }

    #[test]
    fn only_whole_safe_numbers_are_counts() {
        for number in [0.0, 1.0, MAX_SAFE_INTEGER] {
            assert!(is_count(number), "{number}");
        }
        for number in [-1.0, 0.5, MAX_SAFE_INTEGER + 1.0, f64::NAN, f64::INFINITY] {
            assert!(!is_count(number), "{number}");
        }
    }
}
