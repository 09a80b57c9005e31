//! A curve as a picture that needs no script: one line of SVG, with a sentence for readers who cannot see it.

use std::fmt::{self, Write};

/// The height of a curve in SVG units. The style sheet sets its size on the screen.
const HEIGHT: u32 = 40;

/// Counts over time, oldest first.
pub(super) struct Curve<'a> {
    pub(super) values: &'a [u32],
    /// What the curve shows, such as `the last hour`.
    pub(super) of: &'a str,
}

impl fmt::Display for Curve<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = self.values.iter().copied().max().unwrap_or(0);
        let least = self.values.iter().copied().min().unwrap_or(0);
        let now = self.values.last().copied().unwrap_or(0);
        let width = self.values.len().saturating_sub(1).max(1);
        write!(
            f,
            "<svg viewBox=\"0 0 {width} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Viewers in {}: between {least} \
             and {most}, last {now}\"><path d=\"{}\"/></svg>",
            self.of,
            path(self.values, most)
        )
    }
}

/// A line through the values. Values between two others of the same height are left out.
fn path(values: &[u32], most: u32) -> String {
    let height = |value: u32| u64::from(HEIGHT) - u64::from(value) * u64::from(HEIGHT) / u64::from(most.max(1));
    let heights: Vec<u64> = values.iter().map(|value| height(*value)).collect();
    let mut path = String::new();
    for (at, y) in heights.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| heights.get(before));
        if before == Some(y) && heights.get(at + 1) == Some(y) {
            continue;
        }
        let command = if at == 0 { 'M' } else { 'L' };
        // Writing to a string does not fail.
        let _ = write!(path, "{command}{at} {y}");
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_drawn_through_its_values() {
        let curve = Curve { values: &[0, 4, 4, 4, 2], of: "the last hour" }.to_string();
        assert!(curve.contains("d=\"M0 40L1 0L3 0L4 20\""), "{curve}");
        assert!(curve.contains("viewBox=\"0 0 4 40\"") && curve.contains("between 0 and 4, last 2"), "{curve}");
    }

    #[test]
    fn curves_without_values_and_with_large_values_are_drawn() {
        assert!(Curve { values: &[], of: "x" }.to_string().contains("d=\"\""));
        assert_eq!(path(&[u32::MAX, 0], u32::MAX), "M0 0L1 40");
        assert_eq!(path(&[0, 0], 0), "M0 40L1 40");
    }
}
