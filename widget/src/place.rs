//! Finds a place for a link's number where it covers nothing, or none.

use crate::facts::{Node, Rect, kind, own, position, style, text};

/// No place.
pub(crate) const NOWHERE: i32 = -1;
/// No place can be found while nothing of the page can be asked for its place.
pub(crate) const LATER: i32 = -2;

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
/// How much of the height of a line's letters is empty above all but the tallest, and below all.
const ABOVE: f32 = 0.2;
const BELOW: f32 = 0.02;
/// How much taller above its link a line may be, in the link's font size.
const SLACK: f32 = 0.25;
/// How many parts of a paragraph are looked at. A listing of code may have many more, but its lines are all of one height.
const MOST_PARTS: usize = 500;
/// How far apart the spots are at which is looked: in lines of text, and in a box, where whatever is there may be as narrow as an
/// arrow.
const STEP_PX: f32 = 12.0;
const SHORT_STEP_PX: f32 = 6.0;

/// Whether the pseudo-element of a link's number is not used, or draws that number out of the flow. A page's rule may use it only
/// when the pointer is over the link. While a root has lost our style sheet, nothing is drawn.
pub(crate) fn is_ours(slot: u32) -> bool {
    let Some(link) = Node::of_link(slot) else { return false };
    let after = link.bits(kind::AFTER);
    after & style::NOTHING != 0
        || after & (style::ABSOLUTE | style::CONTENTS) == style::ABSOLUTE && link.bits(kind::NUMBER) != 0
}

/// Whether nothing hides or covers a link where it begins, and the page does not use the pseudo-element for its number.
pub(crate) fn is_seen(slot: u32) -> bool {
    let Some(link) = Node::of_link(slot) else { return false };
    let Rect { left, top, right, bottom } = link.rect(kind::BOXES, 0);
    bottom > 0.0
        && link.at((left + right) / 2.0, (top + bottom) / 2.0).is_some_and(|there| link.contains(there))
        && is_ours(slot)
}

/// How much there is to scroll to in everything that a link is in. A number that hangs out makes that more.
pub(crate) fn extent(slot: u32) -> f32 {
    let mut at = Node::of_link(slot);
    let mut sum = 0.0;
    while let Some(node) = at {
        sum += node.own(own::EXTENT);
        at = node.up();
    }
    sum
}

/// Whether an element draws in a pseudo-element. One that only clears floats has no size.
fn is_adorned(node: Node) -> bool {
    let [before, after] = [node.bits(kind::BEFORE), node.bits(kind::AFTER)];
    let draws = |bits: u32| bits & (style::NOTHING | style::EMPTY) == 0;
    // A bullet is before all text.
    let bullet = style::INLINE | style::STATIC;
    draws(after) || draws(before) && before & bullet != bullet
}

/// A link, and what was found out about it.
struct Look {
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
/// how many characters.
pub(crate) fn find(slot: u32, room: u32) -> i32 {
    let Some(mut look) = Node::of_link(slot).and_then(|link| Look::new(link, room)) else { return NOWHERE };
    if !look.look_around()
        || look.is_unfit()
        || look.is_holding && !look.can_hold()
        || look.flows && look.is_in_tall_line()
    {
        return NOWHERE;
    }
    if look.is_holding && !look.is_inline() {
        look.hold_in(look.bounds);
    }
    let link = look.link;
    match link.at((look.line.left + look.line.right) / 2.0, look.middle()) {
        Some(there) if link.contains(there) => look.find_spot(),
        // In a view transition, only a picture of the page is there.
        Some(there) if there.is(own::IS_HTML) => LATER,
        _ => NOWHERE,
    }
}

impl Look {
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

    fn hold_in(&mut self, rect: Rect) {
        let room = &mut self.room;
        room.left = room.left.max(rect.left);
        room.top = room.top.max(rect.top);
        room.right = room.right.min(rect.right);
        room.bottom = room.bottom.min(rect.bottom);
    }

    /// Looks at everything that the link is in. Returns whether the number would be upright.
    fn look_around(&mut self) -> bool {
        let [mut is_held, mut is_inside] = [false, true];
        let mut at = Some(self.link);
        while let Some(node) = at {
            let style = node.style();
            if style & style::UPRIGHT == 0 {
                return false;
            }
            if is_inside {
                self.edge = node;
            }
            // Neither a mask nor what clips has the shape of the box.
            is_inside &= style & style::WHOLE != 0;
            if style & style::COLOURLESS == 0 {
                self.behind = self.behind.or(at);
            }
            is_held |= style & style::STATIC == 0;
            self.is_scrolled |= node.own(own::SCROLLS_BY) > 0.0;
            self.hold(node, style);
            // A number stands in its box, or has to go along when that scrolls.
            if !node.is(own::IS_PAGE) && !is_held && (!self.flows || style & style::VISIBLE == 0) {
                [is_held, self.is_holding] = [true, true];
            }
            at = node.up();
        }
        true
    }

    /// Keeps the number in an element that it may not hang out of.
    #[inline(never)]
    fn hold(&mut self, node: Node, style: u32) {
        // Neither borders nor scroll bars are in its inner width, which is a whole number. What has no box of its own has none.
        let inner_width = node.own(own::INNER_WIDTH);
        let has_box = inner_width > 0.0;
        let is_edged = has_box && style & style::UNCLIPPED == 0 || !node.is(own::IS_PAGE) && style & style::BARE == 0;
        if node.is(own::IS_HTML) {
            self.hold_in(Rect { left: 0.0, right: inner_width, ..self.room });
        } else if is_edged || has_box && style & style::STATIC == 0 {
            let middle = self.middle();
            let mut bounds = node
                .rects(kind::BOXES)
                .find(|line| line.top < middle && line.bottom > middle)
                .unwrap_or_else(|| node.rect(kind::BOX, 0));
            let inner_left = node.own(own::INNER_LEFT);
            let behind = if has_box { node.own(own::WIDTH) - inner_left - inner_width } else { 0.0 };
            bounds.left += inner_left;
            bounds.right -= behind;
            bounds.top = if is_edged { bounds.top + node.own(own::INNER_TOP) } else { 0.0 };
            self.hold_in(bounds);
        }
    }

    /// Whether the link looks so that no number fits there.
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

    /// Whether the link can become what its number is positioned in, and moves or uncovers nothing by that.
    fn can_hold(&self) -> bool {
        let Self { link, bounds, .. } = *self;
        self.style & style::AUTO != 0
            && link.bits(kind::BEFORE) & style::STATIC != 0
            && !link.nodes(kind::PARTS).any(|part| part.style() & style::ABSOLUTE != 0)
            // Something lies over it, such as a header that stays in sight: a positioned link would come out on top of that.
            && !link.nodes(kind::SPOTS).any(|there| {
                there != link && link.position_of(there) & (position::CONTAINS | position::CONTAINED) == 0
            })
            // The same while one scrolls. Mostly one scrolls down; to the side under a column.
            && !(self.is_scrolled
                && link.nodes(kind::STICKERS).any(|sticker| {
                    let Rect { left, top, right, bottom } = sticker.rect(kind::BOX, 0);
                    let style = sticker.style();
                    style & style::RAISED == 0
                        && (left < bounds.right && right > bounds.left
                            || style & style::COLUMN != 0 && top < bounds.bottom && bottom > bounds.top)
                        && link.position_of(sticker) == position::PRECEDING
                }))
    }

    /// Whether something is true of a box of what is in lines in an element, with all that is in it, but for the link. A float is in none.
    fn any_beside(&self, node: Node, test: &dyn Fn(Rect) -> bool) -> bool {
        node.nodes(kind::CHILDREN).take(MOST_PARTS).any(|part| {
            part != self.link && part.style() & style::IN_LINE != 0 && part.rects(kind::ALL_BOXES).any(test)
        })
    }

    /// Whether the line of the link is much taller than the link, because of a heading's letters or a picture. Whatever is positioned
    /// after the link stands at the top of the line, a number too.
    fn is_in_tall_line(&self) -> bool {
        let Self { size, line, .. } = *self;
        let mut node = self.link;
        while node.style() & style::INLINE != 0
            && let Some(up) = node.up()
        {
            node = up;
            if node.own(own::FONT_SIZE) * (1.0 - SLACK) > size
                || self
                    .any_beside(node, &|rect| rect.top < line.top - size * SLACK && rect.bottom > line.top + size / 2.0)
            {
                return true;
            }
        }
        false
    }

    /// A place that is free, or [`NOWHERE`].
    fn find_spot(&self) -> i32 {
        let Self { link, line, size, bounds, .. } = *self;
        let middle = self.middle();
        let (font, small) = (size * SIZE, size * SMALL);
        let padding = if self.is_inline() { link.own(own::PADDING) } else { 0.0 };
        let has_space = small * self.characters <= line.right - line.left;
        let spot = if self.flows {
            if padding == 0.0 && self.is_free(font, -font * (GAP + self.characters), middle) {
                0
            } else if has_space && self.is_free(small, padding, middle - small * RAISE) {
                1
            } else {
                return NOWHERE;
            }
        } else if self.is_free(font, font * GAP, middle) {
            2
        } else if self.is_free(small, small * GAP, bounds.top + small * CORNER) {
            3
        } else {
            return NOWHERE;
        };
        // How light both are decides whether the dot can be told from the colour behind it.
        let light = self.behind.map_or(1.0, |behind| behind.number(kind::LIGHT));
        let is_tinted = light > 0.32 && light < 0.77;
        spot + 4 * i32::from(self.is_rtl()) + 8 * i32::from(self.is_holding) + 16 * i32::from(is_tinted)
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

    /// Whether a number of a font size may be drawn at a spot: so far from the end of the link's line, and around that height.
    fn is_free(&self, font: f32, inset: f32, middle: f32) -> bool {
        let Self { link, line, flows, room, .. } = *self;
        let width = font * self.characters;
        let left = if self.is_rtl() { line.left + inset } else { line.right - inset - width };
        let top = middle - DIGIT / 2.0 * font;
        let bottom = top + DIGIT * font;
        let is_hit = |rect: Rect| {
            let height = rect.bottom - rect.top;
            rect.right + 1.0 > left
                && rect.left - 1.0 < left + width
                && rect.bottom - BELOW * height > top
                && rect.top + ABOVE * height < bottom
        };
        if left < room.left || left + width > room.right || top < room.top || bottom > room.bottom {
            return false;
        }
        // The pointer may not meet what is in a link or beside it: lines of text, and pictures.
        let up = link.up();
        let is_unmet = |part: Node| {
            let is_box = part.is(own::IS_PICTURE) || part.up() == up;
            part.style() & style::UNTOUCHABLE != 0
                && part.rects(if is_box { kind::BOX } else { kind::LINES }).any(is_hit)
        };
        if link.nodes(kind::AROUND).any(is_unmet)
            || self.is_inline() && up.is_some_and(|up| self.any_beside(up, &is_hit))
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
