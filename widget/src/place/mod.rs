//! Finds a place for a link's number where it covers nothing, or none. [`hold`] knows what it may not hang out of, [`free`] what is
//! at a spot already.

mod free;
mod hold;

pub(crate) use free::Siblings;

use crate::facts::{Node, Rect, kind, own, style, text};

/// No place.
pub(crate) const NOWHERE: i32 = -1;
/// No place can be found while nothing of the page can be asked for its place.
pub(crate) const LATER: i32 = -2;

// The places of a number: one of four, and what else is so of it. `style.js` draws them.
/// After the link's text, above its end, at the end of its box, and in the box's upper corner.
const BESIDE: i32 = 0;
const ABOVE: i32 = 1;
const AT_END: i32 = 2;
const AT_TOP: i32 = 3;
/// It is at the left, because the link's text runs from right to left.
const RTL: i32 = 4;
/// The link is what it is positioned in.
const HELD: i32 = 8;
/// Its dot has the colour of its digits.
const TINTED: i32 = 16;
/// There is room for words while the pointer or the focus is there.
const WORDS: i32 = 32;

/// The size of a number, and of one above its link, where lines of text leave little room; of the link's.
const SIZE: f32 = 0.7;
const SMALL: f32 = 0.56;
/// How far above the middle of its link a number stands that is above it, in its own font size.
const RAISE: f32 = 1.19;
/// Before and after a number, in its font size.
const GAP: f32 = 0.4;
/// How far from the edge of a box the middle of a number in its corner is, in its font size.
const CORNER: f32 = 0.5 + GAP;
/// How wide the dot and a character are, and how tall a digit is, in the number's font size.
const DOT: f32 = 0.9;
const CHARACTER: f32 = 0.62;
const DIGIT: f32 = 0.72;
/// Behind the dot, a colour that is lighter than the first and darker than the second could hardly be told from it.
const DARK: f32 = 0.32;
const LIGHT: f32 = 0.77;
/// How much taller above its link a line may be, in the link's font size.
const SLACK: f32 = 0.25;

/// Whether the pseudo-element of a link's number is not used, or draws that number out of the flow. A page's rule may use it only
/// when the pointer is over the link. While a root has lost our style sheet, nothing is drawn.
pub(crate) fn is_ours(slot: u32) -> bool {
    let Some(link) = Node::of_link(slot) else { return false };
    let after = link.bits(kind::AFTER);
    let drawn = style::NUMBER | style::ABSOLUTE;
    after & style::NOTHING != 0 || after & (drawn | style::CONTENTS) == drawn
}

/// Whether nothing hides or covers a link where it begins, and the page does not use the pseudo-element for its number. It is not used
/// either if it draws the number in the flow, because that is taken off.
pub(crate) fn is_seen(slot: u32) -> bool {
    let Some(link) = Node::of_link(slot) else { return false };
    let Rect { left, top, right, bottom } = link.rect(kind::BOXES, 0);
    bottom > 0.0
        && link.at((left + right) / 2.0, (top + bottom) / 2.0).is_some_and(|there| link.contains(there))
        && link.bits(kind::AFTER) & (style::NOTHING | style::NUMBER) != 0
}

/// How much there is to scroll to in everything that a link is in. A number that hangs out makes that more.
pub(crate) fn extent(slot: u32) -> f32 {
    let mut at = Node::of_link(slot);
    let mut sum = 0.0;
    while let Some(node) = at {
        sum += node.number(kind::EXTENT);
        at = node.up();
    }
    sum
}

/// A link, and what was found out about it.
struct Surroundings {
    link: Node,
    style: u32,
    /// Whether it is text to its end, so that its number can stand there.
    flows: bool,
    /// The size of its letters.
    size: f32,
    /// How wide its number is, in the number's font size.
    characters: f32,
    /// The box around it, and its last line.
    bounds: Rect,
    line: Rect,
    /// Out of this it may not hang: something would have more to scroll to, cut it, or end in sight.
    room: Rect,
    /// What has a colour behind it.
    behind: Option<Node>,
    /// The outermost of the elements that its number may be over.
    edge: Node,
    /// Whether the link has to be what its number is positioned in.
    is_holding: bool,
    /// Whether anything that it is in scrolls.
    is_scrolled: bool,
}

/// The place of the number of a link, one of those in `style.js`, or [`NOWHERE`], or [`LATER`]. Asked while it has none. `room` is for
/// how many characters, `words` for how many more while the pointer or the focus is there. `siblings` are shared by links that are asked
/// about between two calls of [`dom::fresh`](crate::dom::fresh).
pub(crate) fn find(slot: u32, room: u32, words: f32, siblings: &mut Siblings) -> i32 {
    let Some(mut around) = Node::of_link(slot).and_then(|link| Surroundings::new(link, room)) else { return NOWHERE };
    if !around.explore()
        || around.is_unfit()
        || around.is_holding && !around.can_hold()
        || around.flows && around.is_in_tall_line(siblings)
    {
        return NOWHERE;
    }
    if around.is_holding && !around.is_inline() {
        around.hold_in(around.bounds);
    }
    let link = around.link;
    match link.at((around.line.left + around.line.right) / 2.0, around.middle()) {
        Some(there) if link.contains(there) => around.find_spot(words, siblings),
        // In a view transition, only a picture of the page is there.
        Some(there) if there.is(own::IS_HTML) => LATER,
        _ => NOWHERE,
    }
}

impl Surroundings {
    /// Looks at the link itself. `None` if it has no number for a reason of its own.
    #[expect(clippy::cast_precision_loss, reason = "a number has few characters")]
    fn new(link: Node, room: u32) -> Option<Self> {
        let style = link.style();
        let size = link.own(own::FONT_SIZE);
        let is_inline = style & style::INLINE != 0;
        let bounds = link.rect(kind::BOX, 0);
        // The page may use the pseudo-element that the number needs.
        let free = style::NOTHING | style::STATIC;
        if bounds.bottom <= 0.0 || bounds.top >= link.own(own::VIEW_HEIGHT) || link.bits(kind::AFTER) & free != free {
            return None;
        }
        // A picture makes a line taller than its letters.
        let flows = style & style::FLOWS != 0
            && !link.nodes(kind::PARTS).any(|part| {
                !is_inline && part.style() & (style::IN_LINE | style::NONE) == 0
                    || part.rects(kind::BOXES).any(|rect| rect.bottom - rect.top >= 2.0 * size)
            });
        // It has no width after a block.
        let line = link.rects(if flows && !is_inline { kind::CONTENT } else { kind::BOXES }).last()?;
        let characters = DOT + CHARACTER * room as f32;
        let (low, high) = (f32::NEG_INFINITY, f32::INFINITY);
        let room = Rect { left: low, top: low, right: high, bottom: high };
        let (is_holding, is_scrolled) = (false, false);
        let (behind, edge) = (None, link);
        let has_place = line.right > line.left && (flows || !is_inline);
        has_place.then_some(Self {
            link,
            style,
            flows,
            size,
            characters,
            bounds,
            line,
            room,
            behind,
            edge,
            is_holding,
            is_scrolled,
        })
    }

    fn is_inline(&self) -> bool {
        self.style & style::INLINE != 0
    }

    fn is_rtl(&self) -> bool {
        self.style & style::RTL != 0
    }

    /// The middle of its last line.
    fn middle(&self) -> f32 {
        (self.line.top + self.line.bottom) / 2.0
    }

    /// Whether the link has a style with which no number fits there.
    fn is_unfit(&self) -> bool {
        let Self { link, style, flows, size, .. } = *self;
        // A rule of the page for all pseudo-elements would have the number begin a line of its own.
        flows && link.bits(kind::AFTER) & (style::IN_LINE | style::NONE) == 0
            // Letters that one can see through show what is behind them, and the number would have no colour.
            || style & (style::SEE_THROUGH | style::PICTURE) != 0
            || style & style::NO_MASK == 0
            // Its letters are over other lines, and so would the number be.
            || link.own(own::LINE_HEIGHT) < size * (1.0 - SLACK)
            || flows && (link.bits(kind::TEXT) & text::HAS_RTL != 0) != self.is_rtl()
    }

    /// A place that is free, or [`NOWHERE`].
    fn find_spot(&self, words: f32, siblings: &mut Siblings) -> i32 {
        let first = if self.flows { BESIDE } else { AT_END };
        let width = self.characters;
        // The second place is above other letters. Letters such as `g` would reach down to those, digits do not. So it has no words.
        let spot = if self.fits(siblings, first, width) {
            let has_words = words > 0.0 && self.fits(siblings, first, width + CHARACTER * words);
            first + WORDS * i32::from(has_words)
        } else if self.fits(siblings, first + 1, width) {
            first + 1
        } else {
            return NOWHERE;
        };
        let light = self.behind.map_or(1.0, |behind| behind.number(kind::LIGHT));
        let is_tinted = light > DARK && light < LIGHT;
        spot + RTL * i32::from(self.is_rtl()) + HELD * i32::from(self.is_holding) + TINTED * i32::from(is_tinted)
    }

    /// Whether a spot is free for a number that is so wide, in its own font size.
    fn fits(&self, siblings: &mut Siblings, spot: i32, width: f32) -> bool {
        let Self { line, size, bounds, .. } = *self;
        let font = size * if spot & 1 == 0 { SIZE } else { SMALL };
        let padding = if self.is_inline() { self.link.own(own::PADDING) } else { 0.0 };
        let (inset, middle) = match spot {
            BESIDE if padding == 0.0 => (-font * (GAP + width), self.middle()),
            ABOVE if font * width <= line.right - line.left => (padding, self.middle() - font * RAISE),
            AT_END => (font * GAP, self.middle()),
            AT_TOP => (font * GAP, bounds.top + font * CORNER),
            _ => return false,
        };
        self.is_free(siblings, font, width, inset, middle)
    }
}
