//! What the browser knows of the elements at and around a link. `npm/facts.js` finds each fact out once in a turn, and passes it as a
//! number. Lengths and positions are in pixels of the viewport.

use std::num::NonZeroU32;

use crate::dom;

/// What can be asked of an element, in the order of `facts.js`.
pub(crate) mod kind {
    /// Single numbers: see [`own`](super::own).
    pub(crate) const OWN: u32 = 0;
    /// Its computed style, and that of its pseudo-elements, as bits: see [`style`](super::style).
    pub(crate) const STYLE: u32 = 1;
    pub(crate) const BEFORE: u32 = 2;
    pub(crate) const AFTER: u32 = 3;
    /// Its text, as bits: see [`text`](super::text).
    pub(crate) const TEXT: u32 = 4;
    /// The box around it.
    pub(crate) const BOX: u32 = 5;
    /// The boxes of its lines.
    pub(crate) const BOXES: u32 = 6;
    /// Those of everything in it, too.
    pub(crate) const ALL_BOXES: u32 = 7;
    /// The lines of text that are its own.
    pub(crate) const LINES: u32 = 8;
    /// The lines of all that it contains.
    pub(crate) const CONTENT: u32 = 9;
    /// The elements in it, and those of its children that are in lines, but not very many.
    pub(crate) const PARTS: u32 = 10;
    pub(crate) const IN_LINES: u32 = 11;
    /// What the pointer would meet in its box.
    pub(crate) const SPOTS: u32 = 12;
    /// The width and the height of all that there is to scroll to in it, as a sum.
    pub(crate) const EXTENT: u32 = 13;
    /// The element that it is in. For what is in a shadow root, that is the host.
    pub(crate) const UP: u32 = 14;
    /// What stays in sight in its window while one scrolls.
    pub(crate) const STICKERS: u32 = 15;
    /// What the pointer does not meet of the elements in it, its parent and its neighbours.
    pub(crate) const UNMET: u32 = 16;
    /// How light its background colour is, from 0 up to 1.
    pub(crate) const LIGHT: u32 = 17;
}

/// What [`OWN`](kind::OWN) has.
pub(crate) mod own {
    /// Its root, and the shadow root in it.
    pub(crate) const ROOT: u32 = 0;
    pub(crate) const SHADOW: u32 = 1;
    /// Which element it is: [`IS_HTML`] and the like.
    pub(crate) const WHAT: u32 = 2;
    pub(crate) const IS_HTML: u32 = 1;
    pub(crate) const IS_PAGE: u32 = 2;
    pub(crate) const IS_PICTURE: u32 = 4;
    /// The height of its window.
    pub(crate) const VIEW_HEIGHT: u32 = 3;
    /// How far it can be scrolled.
    pub(crate) const SCROLLS_BY: u32 = 4;
    pub(crate) const FONT_SIZE: u32 = 5;
    pub(crate) const LINE_HEIGHT: u32 = 6;
    /// The padding where its text ends.
    pub(crate) const PADDING: u32 = 7;
    /// Its box without borders and scroll bars, from the corner of the box.
    pub(crate) const INNER_LEFT: u32 = 8;
    pub(crate) const INNER_TOP: u32 = 9;
    pub(crate) const INNER_WIDTH: u32 = 10;
    /// How wide all of its box is.
    pub(crate) const WIDTH: u32 = 11;
}

/// What may be so of a style, in the order of `facts.js`.
pub(crate) mod style {
    /// Letters stand upright, and no larger than their font size says.
    pub(crate) const UPRIGHT: u32 = 1;
    pub(crate) const STATIC: u32 = 1 << 1;
    /// Nothing is cut that hangs out; the same of what containment and `content-visibility` cut.
    pub(crate) const VISIBLE: u32 = 1 << 2;
    pub(crate) const UNCLIPPED: u32 = 1 << 3;
    /// It is inline; the same for all that is in lines; it has no box at all.
    pub(crate) const INLINE: u32 = 1 << 4;
    pub(crate) const IN_LINE: u32 = 1 << 5;
    pub(crate) const NONE: u32 = 1 << 6;
    /// Text in it is in lines.
    pub(crate) const FLOWS: u32 = 1 << 7;
    pub(crate) const CONTENTS: u32 = 1 << 8;
    pub(crate) const RTL: u32 = 1 << 9;
    pub(crate) const ABSOLUTE: u32 = 1 << 10;
    /// It stays in sight at the left or the right.
    pub(crate) const COLUMN: u32 = 1 << 11;
    /// Neither an offset nor a `z-index` would count if it became positioned.
    pub(crate) const AUTO: u32 = 1 << 12;
    /// Its `z-index` is above 0.
    pub(crate) const RAISED: u32 = 1 << 13;
    /// It has no background colour; a picture as its background; no mask; letters that one sees through.
    pub(crate) const COLOURLESS: u32 = 1 << 14;
    pub(crate) const PICTURE: u32 = 1 << 15;
    pub(crate) const NO_MASK: u32 = 1 << 16;
    pub(crate) const SEE_THROUGH: u32 = 1 << 17;
    /// A pseudo-element without a size, and one that draws nothing.
    pub(crate) const EMPTY: u32 = 1 << 18;
    pub(crate) const NOTHING: u32 = 1 << 19;
    /// Neither a mask nor a path cuts it.
    pub(crate) const WHOLE: u32 = 1 << 20;
    /// It paints neither a background, nor a border, nor a shadow.
    pub(crate) const BARE: u32 = 1 << 21;
    /// It is a pseudo-element that draws a number of ours.
    pub(crate) const NUMBER: u32 = 1 << 22;
}

/// What may be so of a text.
pub(crate) mod text {
    /// It has letters that are written from right to left, or anything that is no white space.
    pub(crate) const HAS_RTL: u32 = 1;
    pub(crate) const HAS_LETTERS: u32 = 2;
}

/// Where another element is, as `compareDocumentPosition` says it.
pub(crate) mod position {
    pub(crate) const PRECEDING: u32 = 2;
    pub(crate) const CONTAINS: u32 = 8;
    pub(crate) const CONTAINED: u32 = 16;
}

/// A box, or a line of text.
#[derive(Clone, Copy)]
pub(crate) struct Rect {
    pub(crate) left: f32,
    pub(crate) top: f32,
    pub(crate) right: f32,
    pub(crate) bottom: f32,
}

/// An element, or a shadow root. Its number is good until the next [`dom::fresh`], and no longer than the page waits for us.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node(NonZeroU32);

impl Node {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is a whole number, or none, which becomes 0"
    )]
    fn whole(self, kind: u32, idx: u32) -> u32 {
        dom::fact(kind, self.0.get(), idx) as u32
    }

    /// The element of a link.
    pub(crate) fn of_link(slot: u32) -> Option<Self> {
        NonZeroU32::new(dom::link(slot)).map(Self)
    }

    /// A kind of facts that is a row of bits.
    // Not inlined here and below, because readers would download a copy for each use.
    #[inline(never)]
    pub(crate) fn bits(self, kind: u32) -> u32 {
        self.whole(kind, 0)
    }

    /// A kind of facts that is a single number.
    pub(crate) fn number(self, kind: u32) -> f32 {
        dom::fact(kind, self.0.get(), 0)
    }

    /// One of its [`own`] numbers.
    pub(crate) fn own(self, which: u32) -> f32 {
        dom::fact(kind::OWN, self.0.get(), which)
    }

    /// One of its [`own`] nodes.
    pub(crate) fn other(self, which: u32) -> Option<Self> {
        NonZeroU32::new(self.whole(kind::OWN, which)).map(Self)
    }

    /// The element that it is in.
    pub(crate) fn up(self) -> Option<Self> {
        NonZeroU32::new(self.bits(kind::UP)).map(Self)
    }

    /// Whether any of these is so of it: [`own::IS_HTML`] and the like.
    pub(crate) fn is(self, what: u32) -> bool {
        self.whole(kind::OWN, own::WHAT) & what != 0
    }

    pub(crate) fn style(self) -> u32 {
        self.bits(kind::STYLE)
    }

    pub(crate) fn rect(self, kind: u32, idx: u32) -> Rect {
        let number = |side| dom::fact(kind, self.0.get(), idx * 4 + side);
        Rect { left: number(0), top: number(1), right: number(2), bottom: number(3) }
    }

    pub(crate) fn rects(self, kind: u32) -> Rects {
        Rects { kind, node: self, idx: 0 }
    }

    pub(crate) fn nodes(self, kind: u32) -> Nodes {
        Nodes { kind, node: self, idx: 0 }
    }

    /// What the pointer would meet there, in its root.
    pub(crate) fn at(self, x: f32, y: f32) -> Option<Self> {
        NonZeroU32::new(dom::at(self.0.get(), x, y)).map(Self)
    }

    /// Where another one is: see [`position`].
    pub(crate) fn position_of(self, other: Self) -> u32 {
        dom::relation(self.0.get(), other.0.get())
    }

    /// Whether another one is in it, or is itself.
    pub(crate) fn contains(self, other: Self) -> bool {
        self == other || self.position_of(other) & position::CONTAINED != 0
    }
}

/// The nodes of a kind.
pub(crate) struct Nodes {
    kind: u32,
    node: Node,
    idx: u32,
}

impl Iterator for Nodes {
    type Item = Node;
    #[inline(never)]
    fn next(&mut self) -> Option<Node> {
        let number = self.node.whole(self.kind, self.idx);
        self.idx += 1;
        NonZeroU32::new(number).map(Node)
    }
}

/// The boxes or lines of a kind.
pub(crate) struct Rects {
    kind: u32,
    node: Node,
    idx: u32,
}

impl Iterator for Rects {
    type Item = Rect;
    #[inline(never)]
    fn next(&mut self) -> Option<Rect> {
        let rect = self.node.rect(self.kind, self.idx);
        self.idx += 1;
        (!rect.left.is_nan()).then_some(rect)
    }
}
