//! The picture of a badge: an SVG with two boxes, for the label and the number. It loads nothing.

use super::style::{Shape, Style};

/// Height in pixels, like other badges.
const HEIGHT: u32 = 20;
/// Pixels at the left and the right of a text.
const PADDING: u32 = 6;
/// Pixels of a round corner.
const RADIUS: u32 = 3;

/// The SVG. Screen readers read its text. Browsers show it as a hint if the picture is opened alone.
pub(super) fn draw(style: &Style, viewers: u32) -> String {
    let number = viewers.to_string();
    let spoken = if style.label.is_empty() { number.clone() } else { format!("{}: {number}", style.label) };
    let spoken = escaped(&spoken);
    let label = Part::new(&style.label, 0);
    let number = Part::new(&number, label.width);
    let width = label.width + number.width;
    let radius = if style.shape == Shape::Flat { RADIUS } else { 0 };
    let Style { color, label_color, text_color, .. } = style;
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" viewBox="0 0 {width} {HEIGHT}" role="img" aria-label="{spoken}"><title>{spoken}</title><clipPath id="c"><rect width="{width}" height="{HEIGHT}" rx="{radius}"/></clipPath><g clip-path="url(#c)">{}{}</g><g fill="{text_color}" font-family="Verdana,DejaVu Sans,Geneva,sans-serif" font-size="11">{}{}</g></svg>"#,
        label.bar(label_color),
        number.bar(color),
        label.text(),
        number.text(),
    )
}

/// A text with its box.
struct Part {
    /// The text, escaped for the SVG.
    text: String,
    /// Pixels from the left edge to the box.
    left: u32,
    /// Width of the box in pixels. 0 without a text.
    width: u32,
}

impl Part {
    fn new(text: &str, left: u32) -> Self {
        let width = if text.is_empty() { 0 } else { text_width(text) + 2 * PADDING };
        Self { text: escaped(text), left, width }
    }

    fn bar(&self, color: &str) -> String {
        format!(r#"<rect x="{}" width="{}" height="{HEIGHT}" fill="{color}"/>"#, self.left, self.width)
    }

    /// The SVG element of the text. It sets the text's length, so that the text fits with any font.
    fn text(&self) -> String {
        if self.width == 0 {
            return String::new();
        }
        let (x, length) = (self.left + PADDING, self.width - 2 * PADDING);
        format!(r#"<text x="{x}" y="14" textLength="{length}" lengthAdjust="spacingAndGlyphs">{}</text>"#, self.text)
    }
}

/// The approximate width of a text in pixels, in Verdana at 11 pixels.
fn text_width(text: &str) -> u32 {
    const TENTHS: u32 = 10;
    let tenths = |letter: char| match letter {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' => 40,
        'f' | 'r' | 't' | 's' | '(' | ')' | '/' | '-' => 50,
        'm' | 'M' | 'w' | 'W' | '%' | '@' => 105,
        'A'..='Z' => 78,
        // Hangul, Chinese, Japanese, and pictures.
        '\u{1100}'..='\u{11ff}' | '\u{2e80}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{1f000}'.. => 115,
        _ => 69,
    };
    text.chars().map(tenths).sum::<u32>().div_ceil(TENTHS)
}

/// The text, escaped for use between tags and in attributes.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            // XML does not allow these characters. A document with one is not shown at all.
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_in_the_svg() {
        let style = Style { label: r#"<a>"&'x"#.into(), ..Style::default() };
        let svg = draw(&style, 7);
        assert!(svg.contains(r#"aria-label="&lt;a&gt;&quot;&amp;'x: 7""#), "{svg}");
        assert!(!svg.contains("<a>"), "{svg}");
    }

    #[test]
    fn the_width_of_a_badge_follows_its_texts() {
        let width = |label: &str, viewers| {
            let svg = draw(&Style { label: label.into(), ..Style::default() }, viewers);
            svg.split('"').nth(3).unwrap().parse::<u32>().unwrap()
        };
        assert!(width("readers", 1000) > width("readers", 1));
        assert!(width("readers of this", 1) > width("readers", 1));
        assert_eq!(width("", 1), text_width("1") + 2 * PADDING);
    }
}
