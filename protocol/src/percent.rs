//! Percent-encoding, in the one spelling of page ids.

use crate::page_id::{PageIdError, within_limit};

/// Appends `text` in its one spelling: letters, digits, `-._~` and the bytes in `plain` as they are, all others as `%XX`. An
/// existing `%XX` stays if it stands for none of these, or for something that may separate parts: `;` and `=`, and in a hash route,
/// the only text where `?` is plain, everything in `plain`. Programs that read an address take all other spellings as the same.
pub(crate) fn push_encoded(out: &mut String, text: &[u8], plain: &[u8]) -> Result<(), PageIdError> {
    let mut bytes = text;
    while let [byte, rest @ ..] = bytes {
        bytes = rest;
        let mut byte = *byte;
        let mut was_encoded = false;
        if byte == b'%'
            && let [high, low, rest @ ..] = rest
            && let [high, low] = [hex_value(*high), hex_value(*low)]
            && high < 16
            && low < 16
        {
            byte = high * 16 + low;
            bytes = rest;
            was_encoded = true;
        } else if byte == b'+' && !holds(plain, b'+') {
            byte = b' ';
        }
        let may_be_plain = holds(plain, byte) && !(was_encoded && (holds(b";=", byte) || holds(plain, b'?')));
        if byte.is_ascii_alphanumeric() || holds(b"-._~", byte) || may_be_plain {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(hex_digit(byte >> 4));
            out.push(hex_digit(byte & 15));
        }
        within_limit(out)?;
    }
    Ok(())
}

/// Like `contains`, but without its code for long slices.
// In the widget it is not inlined, because readers would download a copy for each use.
#[cfg_attr(not(feature = "host-spelling"), inline(never))]
#[expect(clippy::manual_contains, reason = "the other way weighs 400 bytes in wasm")]
pub(crate) fn holds(few: &[u8], byte: u8) -> bool {
    few.iter().any(|one| *one == byte)
}

/// The parts of a text that a byte separates. With `/`, a `\\` separates, too, as in a browser.
///
/// It is like `split`, but that would add a copy of its code to the widget for each use.
pub(crate) struct Parts<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

pub(crate) fn parts(text: &[u8], separator: u8) -> Parts<'_> {
    Parts { rest: Some(text), separator }
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    #[cfg_attr(not(feature = "host-spelling"), inline(never))]
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let is_separator = |byte: &u8| *byte == self.separator || self.separator == b'/' && *byte == b'\\';
        let end = rest.iter().position(is_separator).unwrap_or(rest.len());
        self.rest = rest.get(end + 1..);
        rest.get(..end)
    }
}

/// 16 or more if it is no digit.
fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20).wrapping_sub(b'a').saturating_add(10),
    }
}

fn hex_digit(value: u8) -> char {
    char::from(if value < 10 { b'0' + value } else { b'A' + value - 10 })
}
