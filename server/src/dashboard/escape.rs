//! Escapes text of strangers for HTML.

use std::fmt;

/// Writes text so that it is only text in HTML, also within an attribute. Characters that change the direction of text, or that
/// cannot be seen, are written as their codes. Otherwise one page's address could look like another's.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ if is_hidden(character) => write!(f, "[U+{:04X}]", u32::from(character))?,
                _ => fmt::Write::write_char(f, character)?,
            }
        }
        Ok(())
    }
}

/// Control characters, direction marks, and characters without a width.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{AD}' | '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_and_hidden_characters_are_escaped() {
        for (text, written) in [
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("\" onload='x' &amp;", "&quot; onload=&#39;x&#39; &amp;amp;"),
            ("a\u{202E}gpj.exe\u{2066}", "a[U+202E]gpj.exe[U+2066]"),
            ("a\u{200B}b\u{0}", "a[U+200B]b[U+0000]"),
            ("caf\u{e9} \u{5d0}", "caf\u{e9} \u{5d0}"),
        ] {
            assert_eq!(Escaped(text).to_string(), written);
        }
    }
}
