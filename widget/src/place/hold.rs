//! What a number may not hang out of, and whether a link can be what it is positioned in.

use super::Surroundings;
use crate::facts::{Node, Rect, kind, own, position, style};

impl Surroundings {
    /// Looks at everything that the link is in. Returns whether the number would be upright.
    pub(super) fn explore(&mut self) -> bool {
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

    pub(super) fn hold_in(&mut self, rect: Rect) {
        let room = &mut self.room;
        room.left = room.left.max(rect.left);
        room.top = room.top.max(rect.top);
        room.right = room.right.min(rect.right);
        room.bottom = room.bottom.min(rect.bottom);
    }

    /// Whether the link can become what its number is positioned in, and moves or uncovers nothing by that.
    pub(super) fn can_hold(&self) -> bool {
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
}
