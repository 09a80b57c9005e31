//! Whether a spot is free: nothing is there that a number would cover.

use super::{DIGIT, SLACK, Surroundings};
use crate::facts::{Node, Rect, kind, own, style, text};

/// How much of the height of a line's letters is empty above all but the tallest, and below all.
const EMPTY_ABOVE: f32 = 0.2;
const EMPTY_BELOW: f32 = 0.02;
/// How far apart the spots are at which is looked: in lines of text, and in a box, where whatever is there may be as narrow as an
/// arrow.
const STEP_PX: f32 = 12.0;
const SHORT_STEP_PX: f32 = 6.0;

/// The boxes of what is in lines in an element, with all that is in it. A float is in none. Kept while nothing moves, because the next
/// link mostly is in the same element.
pub(crate) struct Siblings {
    up: Option<Node>,
    boxes: Vec<(Node, Rect)>,
}

impl Siblings {
    pub(crate) const fn new() -> Self {
        Self { up: None, boxes: Vec::new() }
    }

    fn of(&mut self, up: Node) -> &[(Node, Rect)] {
        if self.up != Some(up) {
            self.up = Some(up);
            self.boxes.clear();
            for child in up.nodes(kind::IN_LINES) {
                for rect in child.rects(kind::ALL_BOXES) {
                    self.boxes.push((child, rect));
                }
            }
        }
        &self.boxes
    }
}

/// Whether an element draws in a pseudo-element. One that only clears floats has no size.
fn is_adorned(node: Node) -> bool {
    let [before, after] = [node.bits(kind::BEFORE), node.bits(kind::AFTER)];
    let draws = |bits: u32| bits & (style::NOTHING | style::EMPTY) == 0;
    // A bullet is before all text.
    let bullet = style::INLINE | style::STATIC;
    draws(after) || draws(before) && before & bullet != bullet
}

impl Surroundings {
    /// Whether the line of the link is much taller than the link, because of a heading's letters or a picture. Whatever is positioned
    /// after the link stands at the top of the line, a number too.
    pub(super) fn is_in_tall_line(&self, siblings: &mut Siblings) -> bool {
        let Self { size, line, .. } = *self;
        let mut node = self.link;
        while node.style() & style::INLINE != 0
            && let Some(up) = node.up()
        {
            node = up;
            if node.own(own::FONT_SIZE) * (1.0 - SLACK) > size
                || siblings
                    .of(node)
                    .iter()
                    .any(|(_, rect)| rect.top < line.top - size * SLACK && rect.bottom > line.top + size / 2.0)
            {
                return true;
            }
        }
        false
    }

    /// Whether the link is in an element that its number may be over.
    fn is_near(&self, other: Node) -> bool {
        let mut node = self.link;
        while node != other
            && node != self.edge
            && let Some(up) = node.up()
        {
            node = up;
        }
        node == other
    }

    /// Whether what is there may be under a number. What has no text in it is there to be seen itself, and so is a badge.
    fn is_plain(&self, there: Node) -> bool {
        if self.link.contains(there) {
            there.bits(kind::TEXT) & text::HAS_LETTERS != 0 && (there == self.link || there.style() & style::BARE != 0)
        } else {
            self.is_near(there)
        }
    }

    /// Whether a number may be drawn at a spot: so far from the end of the link's line, and around that height. `font` is its size,
    /// `width` its width in that size.
    pub(super) fn is_free(&self, siblings: &mut Siblings, font: f32, width: f32, inset: f32, middle: f32) -> bool {
        let Self { link, line, flows, room, .. } = *self;
        let width = font * width;
        let left = if self.is_rtl() { line.left + inset } else { line.right - inset - width };
        let top = middle - DIGIT / 2.0 * font;
        let bottom = top + DIGIT * font;
        let is_hit = |rect: Rect| {
            let height = rect.bottom - rect.top;
            rect.right + 1.0 > left
                && rect.left - 1.0 < left + width
                && rect.bottom - EMPTY_BELOW * height > top
                && rect.top + EMPTY_ABOVE * height < bottom
        };
        if left < room.left || left + width > room.right || top < room.top || bottom > room.bottom {
            return false;
        }
        // The pointer may not meet what is in a link or beside it: lines of text, and pictures.
        let up = link.up();
        let is_unmet = |part: Node| {
            let is_box = part.is(own::IS_PICTURE) || part.up() == up;
            part.rects(if is_box { kind::BOX } else { kind::LINES }).any(is_hit)
        };
        if link.nodes(kind::UNMET).any(is_unmet)
            || self.is_inline()
                && up.is_some_and(|up| siblings.of(up).iter().any(|(part, rect)| *part != link && is_hit(*rect)))
        {
            return false;
        }
        // What comes after a link on its line is found where it begins.
        let step = if flows { STEP_PX } else { SHORT_STEP_PX };
        let [mut across, mut y] = [0.0, top];
        while across < width + step {
            let Some(there) = link.at(left + across.min(width - 1.0), y).filter(|there| self.is_plain(*there)) else {
                return false;
            };
            // In the link's own shadow root, the host stands for what has no element there.
            let shadow = there.other(own::SHADOW);
            if shadow.is_some() && shadow != link.other(own::ROOT)
                || is_adorned(there)
                || shadow.unwrap_or(there).rects(kind::LINES).any(is_hit)
            {
                return false;
            }
            y = top + bottom - y;
            across += step;
        }
        true
    }
}
