//! Links that wait for something.

use crate::links::Link;

/// The queues in which a link waits, one bit each.
pub(crate) type Queues = u8;
/// Its number must be written again.
pub(crate) const DUE: Queues = 1;
/// It has no number yet.
pub(crate) const FRESH: Queues = 2;
/// A place for its number must be found.
pub(crate) const ARRANGE: Queues = 4;

/// The slots of links that wait for the same.
pub(crate) struct Queue {
    slots: Vec<u32>,
    next: usize,
}

impl Queue {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), next: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.next >= self.slots.len()
    }

    pub(crate) fn take(&mut self) -> Option<u32> {
        let slot = *self.slots.get(self.next)?;
        self.next += 1;
        if self.is_empty() {
            self.slots.clear();
            self.next = 0;
        }
        Some(slot)
    }
}

/// Has a link wait in a queue. Returns whether the queue was empty.
pub(crate) fn enqueue(link: &mut Link, slot: u32, bit: Queues, queue: &mut Queue) -> bool {
    let was_empty = queue.is_empty();
    if link.queues & bit == 0 {
        link.queues |= bit;
        queue.slots.push(slot);
    }
    was_empty
}
