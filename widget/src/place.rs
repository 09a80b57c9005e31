//! Finds a place for a link's number where it covers nothing, or none.

use crate::dom::{at, fact, link, relation};

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

// The kinds of facts, in the order of `facts.js`.
const SELF: u32 = 0;
const STYLE: u32 = 1;
const BEFORE: u32 = 2;
const AFTER: u32 = 3;
const TEXT: u32 = 4;
const BOX: u32 = 5;
const BOXES: u32 = 6;
const ALL_BOXES: u32 = 7;
const LINES: u32 = 8;
const CONTENT: u32 = 9;
const PARTS: u32 = 10;
const CHILDREN: u32 = 11;
const SPOTS: u32 = 12;
const STICKERS: u32 = 13;
const NUMBER: u32 = 14;
const UNMET: u32 = 15;
const LIGHT: u32 = 16;

// What `SELF` tells.
const UP: u32 = 0;
const ROOT: u32 = 1;
const SHADOW: u32 = 2;
const WHAT: u32 = 3;
const VIEW_HEIGHT: u32 = 4;
const SCROLLS_BY: u32 = 5;
const FONT: u32 = 6;
const LINE_HEIGHT: u32 = 7;
const PADDING: u32 = 8;
const INNER_LEFT: u32 = 9;
const INNER_TOP: u32 = 10;
const INNER_WIDTH: u32 = 11;
const WIDTH: u32 = 12;
const EXTENT: u32 = 13;

// What `WHAT` tells.
const IS_HTML: u32 = 1;
const IS_PAGE: u32 = 2;
const IS_PICTURE: u32 = 4;

// What `TEXT` tells.
const HAS_RTL: u32 = 1;
const HAS_LETTERS: u32 = 2;

// What the styles tell.
const UPRIGHT: u32 = 1;
const STATIC: u32 = 1 << 1;
const VISIBLE: u32 = 1 << 2;
const UNCLIPPED: u32 = 1 << 3;
const INLINE: u32 = 1 << 4;
const IN_LINE: u32 = 1 << 5;
const NONE: u32 = 1 << 6;
const FLOWS: u32 = 1 << 7;
const CONTENTS: u32 = 1 << 8;
const RTL: u32 = 1 << 9;
const ABSOLUTE: u32 = 1 << 10;
const COLUMN: u32 = 1 << 11;
const AUTO: u32 = 1 << 12;
const RAISED: u32 = 1 << 13;
const UNTOUCHABLE: u32 = 1 << 14;
const COLOURLESS: u32 = 1 << 15;
const PICTURE: u32 = 1 << 16;
const NO_MASK: u32 = 1 << 17;
const SEE_THROUGH: u32 = 1 << 18;
const EMPTY: u32 = 1 << 19;
const NOTHING: u32 = 1 << 20;
const WHOLE: u32 = 1 << 21;
const BARE: u32 = 1 << 22;

// What `relation` tells.
const PRECEDING: u32 = 2;
const CONTAINS: u32 = 8;
const CONTAINED: u32 = 16;

#[derive(Clone, Copy)]
struct Rect {
    left: f32,
    top: f32,
    right: f32,
    bottom: f32,
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a whole number from 0 up")]
fn whole(kind: u32, node: u32, idx: u32) -> u32 {
    fact(kind, node, idx) as u32
}

fn bits(kind: u32, node: u32) -> u32 {
    whole(kind, node, 0)
}

fn own(node: u32, idx: u32) -> u32 {
    whole(SELF, node, idx)
}

fn style(node: u32) -> u32 {
    bits(STYLE, node)
}

fn rect(kind: u32, node: u32, idx: u32) -> Rect {
    let number = |side| fact(kind, node, idx * 4 + side);
    Rect { left: number(0), top: number(1), right: number(2), bottom: number(3) }
}

/// The elements of a kind.
struct Elements {
    kind: u32,
    node: u32,
    idx: u32,
}

fn elements(kind: u32, node: u32) -> Elements {
    Elements { kind, node, idx: 0 }
}

impl Iterator for Elements {
    type Item = u32;
    #[inline(never)]
    fn next(&mut self) -> Option<u32> {
        let other = fact(self.kind, self.node, self.idx);
        self.idx += 1;
        (!other.is_nan()).then_some(other as u32)
    }
}

/// The boxes of a kind.
struct Boxes {
    kind: u32,
    node: u32,
    idx: u32,
}

fn boxes(kind: u32, node: u32) -> Boxes {
    Boxes { kind, node, idx: 0 }
}

impl Iterator for Boxes {
    type Item = Rect;
    #[inline(never)]
    fn next(&mut self) -> Option<Rect> {
        let found = rect(self.kind, self.node, self.idx);
        self.idx += 1;
        (!found.left.is_nan()).then_some(found)
    }
}

fn is_in(node: u32, other: u32) -> bool {
    node == other || relation(node, other) & CONTAINED != 0
}

/// Whether the pseudo-element of a link's number is not used, or draws that number out of the flow. A page's rule may use it only
/// when the pointer is over the link. While a root has lost our style sheet, nothing is drawn.
pub(crate) fn is_ours(slot: u32) -> bool {
    let link = link(slot);
    let after = bits(AFTER, link);
    after & NOTHING != 0 || after & (ABSOLUTE | CONTENTS) == ABSOLUTE && bits(NUMBER, link) != 0
}

/// Whether nothing hides or covers a link where it begins, and the page does not use the pseudo-element for its number.
pub(crate) fn is_seen(slot: u32) -> bool {
    let link = link(slot);
    let Rect { left, top, right, bottom } = rect(BOXES, link, 0);
    bottom > 0.0 && {
        let there = at(link, (left + right) / 2.0, (top + bottom) / 2.0);
        there != 0 && is_in(link, there) && is_ours(slot)
    }
}

/// How much there is to scroll to in everything that a link is in. A number that hangs out makes that more.
pub(crate) fn extent(slot: u32) -> f32 {
    let mut node = link(slot);
    let mut sum = 0.0;
    while node != 0 {
        sum += fact(SELF, node, EXTENT);
        node = own(node, UP);
    }
    sum
}

/// Whether an element draws in a pseudo-element. One that only clears floats has no size.
fn is_adorned(node: u32) -> bool {
    let [before, after] = [bits(BEFORE, node), bits(AFTER, node)];
    // A bullet is before all text.
    after & (NOTHING | EMPTY) == 0 || before & (NOTHING | EMPTY) == 0 && before & (INLINE | STATIC) != INLINE | STATIC
}

/// A link, and what was found out about it.
struct Look {
    link: u32,
    style: u32,
    /// Whether it is text to its end, so that its number can stand there.
    flows: bool,
    /// The size of its letters.
    size: f32,
    /// How wide its number is, in the number's font size.
    characters: f32,
    /// Its last line.
    line: Rect,
    /// Out of this it may not hang: something would have more to scroll to, cut it, or end in sight.
    room: Rect,
    /// What has a colour behind it.
    behind: u32,
    /// The outermost of the elements that its number may be over.
    edge: u32,
    /// Whether the link has to be what its number is positioned in.
    is_holding: bool,
    /// Whether anything that the link is in scrolls.
    is_scrolled: bool,
}

/// The place of the number of a link, one of those in `style.js`, or [`NOWHERE`], or [`LATER`]. Asked while it has none. `room` is for
/// how many characters.
#[expect(clippy::cast_precision_loss, reason = "a number has few characters")]
pub(crate) fn find(slot: u32, room: u32) -> i32 {
    let link = link(slot);
    let style = style(link);
    let size = fact(SELF, link, FONT);
    let characters = DOT + CHARACTER * room as f32;
    let is_inline = style & INLINE != 0;
    let bounds = rect(BOX, link, 0);
    if bounds.bottom <= 0.0 || bounds.top >= fact(SELF, link, VIEW_HEIGHT) || is_taken(link) {
        return NOWHERE;
    }
    // A picture makes a line taller than its letters.
    let flows = style & FLOWS != 0
        && !elements(PARTS, link).any(|part| {
            !is_inline && self::style(part) & (IN_LINE | NONE) == 0
                || boxes(BOXES, part).any(|rect| rect.bottom - rect.top >= 2.0 * size)
        });
    // It has no width after a block.
    let Some(line) = boxes(if flows && !is_inline { CONTENT } else { BOXES }, link).last() else { return NOWHERE };
    let middle = (line.top + line.bottom) / 2.0;
    let (low, high) = (f32::NEG_INFINITY, f32::INFINITY);
    let room = Rect { left: low, top: low, right: high, bottom: high };
    let mut look = Look { link, style, flows, size, characters, line, room, behind: 0, edge: 0, is_holding: false, is_scrolled: false };
    if line.right <= line.left
        || !flows && is_inline
        || !look.look_around(middle)
        || look.is_unfit()
        || look.is_holding && !look.can_hold(bounds)
        || flows && ((bits(TEXT, link) & HAS_RTL != 0) != look.is_rtl() || look.is_in_tall_line(link))
    {
        return NOWHERE;
    }
    if look.is_holding && !is_inline {
        look.hold_in(bounds);
    }
    let there = at(link, (line.left + line.right) / 2.0, middle);
    if there == 0 || !is_in(link, there) {
        // In a view transition, only a picture of the page is there.
        return if there != 0 && own(there, WHAT) & IS_HTML != 0 { LATER } else { NOWHERE };
    }
    let (font, small) = (size * SIZE, size * SMALL);
    let padding = if is_inline { fact(SELF, link, PADDING) } else { 0.0 };
    let spot = if flows {
        if padding == 0.0 && look.is_free(font, -font * (GAP + characters), middle) {
            0
        } else if small * characters <= line.right - line.left && look.is_free(small, padding, middle - small * RAISE) {
            1
        } else {
            return NOWHERE;
        }
    } else if look.is_free(font, font * GAP, middle) {
        2
    } else if look.is_free(small, small * GAP, bounds.top + small * CORNER) {
        3
    } else {
        return NOWHERE;
    };
    // How light both are decides whether the dot can be told from the colour behind it.
    let light = if look.behind == 0 { 1.0 } else { fact(LIGHT, look.behind, 0) };
    let is_tinted = light > 0.32 && light < 0.77;
    spot + 4 * i32::from(look.is_rtl()) + 8 * i32::from(look.is_holding) + 16 * i32::from(is_tinted)
}

/// Whether the page uses the pseudo-element that a number needs.
fn is_taken(link: u32) -> bool {
    bits(AFTER, link) & (NOTHING | STATIC) != (NOTHING | STATIC)
}

impl Look {
    fn is_rtl(&self) -> bool {
        self.style & RTL != 0
    }

    fn hold_in(&mut self, rect: Rect) {
        let room = &mut self.room;
        room.left = room.left.max(rect.left);
        room.top = room.top.max(rect.top);
        room.right = room.right.min(rect.right);
        room.bottom = room.bottom.min(rect.bottom);
    }

    /// Looks at everything that a link is in. Returns whether the number would be upright.
    fn look_around(&mut self, middle: f32) -> bool {
        let [mut is_held, mut is_inside] = [false, true];
        let mut node = self.link;
        while node != 0 {
            let style = style(node);
            let what = own(node, WHAT);
            if style & UPRIGHT == 0 {
                return false;
            }
            if is_inside {
                self.edge = node;
            }
            // Neither a mask nor what clips has the shape of the box.
            is_inside &= style & WHOLE != 0;
            if self.behind == 0 && style & COLOURLESS == 0 {
                self.behind = node;
            }
            is_held |= style & STATIC == 0;
            self.is_scrolled |= fact(SELF, node, SCROLLS_BY) > 0.0;
            self.hold(node, style, what, middle);
            // A number stands in its box, or has to go along when that scrolls.
            if what & IS_PAGE == 0 && !is_held && (!self.flows || style & VISIBLE == 0) {
                [is_held, self.is_holding] = [true, true];
            }
            node = own(node, UP);
        }
        true
    }

    /// Keeps the number in an element that it may not hang out of.
    fn hold(&mut self, node: u32, style: u32, what: u32, middle: f32) {
        // Neither borders nor scroll bars are in its inner width, which is a whole number. What has no box of its own has none.
        let inner_width = fact(SELF, node, INNER_WIDTH);
        let has_box = inner_width > 0.0;
        let is_edged = has_box && style & UNCLIPPED == 0 || what & IS_PAGE == 0 && style & BARE == 0;
        if what & IS_HTML != 0 {
            self.hold_in(Rect { left: 0.0, right: inner_width, ..self.room });
        } else if is_edged || has_box && style & STATIC == 0 {
            let mut bounds = boxes(BOXES, node)
                .find(|line| line.top < middle && line.bottom > middle)
                .unwrap_or_else(|| rect(BOX, node, 0));
            let inner_left = fact(SELF, node, INNER_LEFT);
            let behind = if has_box { fact(SELF, node, WIDTH) - inner_left - inner_width } else { 0.0 };
            bounds.left += inner_left;
            bounds.right -= behind;
            bounds.top = if is_edged { bounds.top + fact(SELF, node, INNER_TOP) } else { 0.0 };
            self.hold_in(bounds);
        }
    }

    /// Whether a link looks so that no number fits there.
    fn is_unfit(&self) -> bool {
        let Self { link, style, flows, size, .. } = *self;
        // A rule of the page for all pseudo-elements would have the number begin a line of its own.
        flows && bits(AFTER, link) & (IN_LINE | NONE) == 0
            // Letters that one can see through show what is behind them, and the number would have no colour.
            || style & SEE_THROUGH != 0
            || style & PICTURE != 0
            || style & NO_MASK == 0
            // Its letters are over other lines, and so would the number be.
            || fact(SELF, link, LINE_HEIGHT) < size * (1.0 - SLACK)
    }

    /// Whether a link can become what its number is positioned in, and moves or uncovers nothing by that.
    fn can_hold(&self, bounds: Rect) -> bool {
        let link = self.link;
        self.style & AUTO != 0
            && bits(BEFORE, link) & STATIC != 0
            && !elements(PARTS, link).any(|part| style(part) & ABSOLUTE != 0)
            // Something lies over it, such as a header that stays in sight: a positioned link would come out on top of that.
            && !elements(SPOTS, link).any(|other| {
                other != 0 && other != link && relation(link, other) & (CONTAINS | CONTAINED) == 0
            })
            // The same while one scrolls. Mostly one scrolls down; to the side under a column.
            && !(self.is_scrolled
                && elements(STICKERS, link).any(|other| {
                    let Rect { left, top, right, bottom } = rect(BOX, other, 0);
                    let style = style(other);
                    style & RAISED == 0
                        && (left < bounds.right && right > bounds.left
                            || style & COLUMN != 0 && top < bounds.bottom && bottom > bounds.top)
                        && relation(link, other) == PRECEDING
                }))
    }

    /// Whether something is true of a box of what is in lines in an element, with all that is in it, but for the link. A float is in none.
    fn any_beside(&self, node: u32, test: &dyn Fn(Rect) -> bool) -> bool {
        elements(CHILDREN, node).take(MOST_PARTS).any(|part| {
            part != self.link && style(part) & IN_LINE != 0 && boxes(ALL_BOXES, part).any(test)
        })
    }

    /// Whether the line of a link is much taller than the link, because of a heading's letters or a picture. Whatever is positioned
    /// after the link stands at the top of the line, a number too.
    fn is_in_tall_line(&self, mut node: u32) -> bool {
        let Self { size, line, .. } = *self;
        while style(node) & INLINE != 0 {
            node = own(node, UP);
            if fact(SELF, node, FONT) * (1.0 - SLACK) > size
                || self.any_beside(node, &|rect| {
                    rect.top < line.top - size * SLACK && rect.bottom > line.top + size / 2.0
                })
            {
                return true;
            }
        }
        false
    }

    /// Whether a link is in an element that its number may be over.
    fn is_near(&self, other: u32) -> bool {
        let mut node = self.link;
        while node != other && node != self.edge {
            node = own(node, UP);
        }
        node == other
    }

    /// Whether what is there may be under a number. What has no text in it is there to be seen itself, and so is a badge.
    fn is_plain(&self, other: u32) -> bool {
        if other == 0 {
            false
        } else if is_in(self.link, other) {
            bits(TEXT, other) & HAS_LETTERS != 0 && (other == self.link || style(other) & BARE != 0)
        } else {
            self.is_near(other)
        }
    }

    /// Whether a number of a font size may be drawn at a spot: so far from the end of the link's line, and around that height.
    fn is_free(&self, font: f32, inset: f32, middle: f32) -> bool {
        let Self { link, line, flows, .. } = *self;
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
        let room = self.room;
        if left < room.left || left + width > room.right || top < room.top || bottom > room.bottom {
            return false;
        }
        // The pointer may not meet what is in a link or beside it: lines of text, and pictures.
        let up = own(link, UP);
        let is_unmet = |part: u32| {
            let is_box = own(part, WHAT) & IS_PICTURE != 0 || own(part, UP) == up;
            style(part) & UNTOUCHABLE != 0 && boxes(if is_box { BOX } else { LINES }, part).any(is_hit)
        };
        if elements(UNMET, link).any(is_unmet) || self.style & INLINE != 0 && self.any_beside(up, &is_hit) {
            return false;
        }
        // What comes after a link on its line is found where it begins.
        let step = if flows { STEP_PX } else { SHORT_STEP_PX };
        let [mut across, mut y] = [0.0, top];
        while across < width + step {
            let there = at(link, left + across.min(width - 1.0), y);
            if !self.is_plain(there) {
                return false;
            }
            // In the link's own shadow root, the host stands for what has no element there.
            let shadow = own(there, SHADOW);
            if shadow != 0 && shadow != own(link, ROOT)
                || is_adorned(there)
                || boxes(LINES, if shadow == 0 { there } else { shadow }).any(is_hit)
            {
                return false;
            }
            y = top + bottom - y;
            across += step;
        }
        true
    }
}
