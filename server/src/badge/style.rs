//! How a badge looks: the parameters of its address. They are read strictly, because they end up in a picture on other people's
//! pages.

use percent_encoding::percent_decode_str;

/// Characters of a label. It has one line, beside the number.
const MAX_LABEL_CHARS: usize = 40;

/// What the parameters of a badge can change.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Style {
    /// The text before the number. If it is empty, only the number is shown.
    pub(super) label: String,
    /// The colour behind the number.
    pub(super) color: String,
    /// The colour behind the label.
    pub(super) label_color: String,
    /// The colour of the label and the number.
    pub(super) text_color: String,
    /// The shape of the corners.
    pub(super) shape: Shape,
}

/// The corners of a badge, under the names that shields.io uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Round corners.
    Flat,
    /// Square corners.
    FlatSquare,
}

impl Shape {
    /// The name in an address.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::FlatSquare => "flat-square",
        }
    }
}

impl Default for Style {
    /// The default colours. White text on them has a contrast of at least 5 to 1.
    fn default() -> Self {
        Self {
            label: "viewing now".into(),
            color: "#0a7a50".into(),
            label_color: "#4a5550".into(),
            text_color: "#ffffff".into(),
            shape: Shape::Flat,
        }
    }
}

impl Style {
    /// Reads a URL's query. The error says what is wrong with it.
    pub(super) fn parse(query: &str) -> Result<Self, String> {
        let mut style = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let spaced = value.replace('+', " ");
            let value = percent_decode_str(&spaced).decode_utf8().map_err(|_| format!("{name}: give it in UTF-8"))?;
            match name {
                "label" => style.label = label(&value)?,
                "color" => style.color = color(name, &value)?,
                "label-color" => style.label_color = color(name, &value)?,
                "text-color" => style.text_color = color(name, &value)?,
                "style" => style.shape = shape(&value)?,
                _ => {
                    return Err(format!(
                        "{name:?} is not a parameter of a badge; use label, color, label-color, text-color or style. Encode \
                         the query of the page and put it before the ending: /badge/example.org/list%3Fpage=2.svg"
                    ));
                }
            }
        }
        Ok(style)
    }
}

fn label(text: &str) -> Result<String, String> {
    if text.chars().count() > MAX_LABEL_CHARS || text.chars().any(char::is_control) {
        return Err(format!("label: give at most {MAX_LABEL_CHARS} characters, without line breaks"));
    }
    Ok(text.trim().to_owned())
}

fn color(name: &str, text: &str) -> Result<String, String> {
    let digits = text.strip_prefix('#').unwrap_or(text);
    if !matches!(digits.len(), 3 | 6) || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(format!("{name}: give three or six hexadecimal digits, such as 0a7a50"));
    }
    Ok(format!("#{}", digits.to_ascii_lowercase()))
}

fn shape(text: &str) -> Result<Shape, String> {
    let known = [Shape::Flat, Shape::FlatSquare].into_iter().find(|shape| shape.name() == text);
    known.ok_or_else(|| "style: give flat or flat-square".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_change_the_style() {
        assert_eq!(Style::parse("").unwrap(), Style::default());
        let style =
            Style::parse("label=caf%C3%A9+%26+bar&color=ABC&label-color=%23012345&text-color=000&style=flat-square");
        let expected = Style {
            label: "café & bar".into(),
            color: "#abc".into(),
            label_color: "#012345".into(),
            text_color: "#000".into(),
            shape: Shape::FlatSquare,
        };
        assert_eq!(style.unwrap(), expected);
    }

    #[test]
    fn errors_name_the_invalid_parameter() {
        let long = format!("label={}", "x".repeat(41));
        for (query, named) in [
            ("color=red", "color:"),
            ("color=", "color:"),
            ("text-color=12345", "text-color:"),
            ("label-color=%22%3E%3Cscript%3E", "label-color:"),
            ("color=%23%23123456", "color:"),
            ("style=huge", "style:"),
            ("label=a%0Ab", "label:"),
            ("label=%ff", "label:"),
            (&long, "label:"),
            ("page=2", "%3Fpage=2.svg"),
        ] {
            let reason = Style::parse(query).unwrap_err();
            assert!(reason.contains(named), "{query}: {reason}");
        }
    }
}
