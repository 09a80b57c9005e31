//! A value for each connection of a room. It is packed closely, because every connection of the server has one or two of these.

/// The fewest places that are added or kept when a list grows or shrinks.
const MIN_SPARE: usize = 4;
/// A list grows by one in this many of its places, so that on average hardly more than a tenth is free.
const GROWTH_DIVISOR: usize = 4;
/// A list is packed again when one in this many of its places is a hole.
const HOLES_DIVISOR: usize = 3;

/// A value for each connection of a room, by [`Connection::key`](super::Connection::key). The oldest connection comes first.
///
/// A map would work, too, but takes two to four times the memory, and a room may have a hundred thousand connections.
///
/// ```
/// use connection_counter_runtime::party::*;
///
/// /// Counts what each connection has said.
/// #[derive(Default)]
/// struct Talk(ByConnection<u32>);
///
/// impl Party for Talk {
///     async fn on_connect(&mut self, _: &mut Room, connection: &Connection, _: &Request) -> Result {
///         self.0.insert(connection.key(), 0);
///         Ok(())
///     }
///
///     async fn on_message(&mut self, _: &mut Room, from: &Connection, _: Message) -> Result {
///         let Some(said) = self.0.get_mut(from.key()) else { return Ok(()) };
///         *said += 1;
///         from.send(Message::text(said.to_string()))
///     }
///
///     async fn on_close(&mut self, _: &mut Room, connection: &Connection, _: u16, _: &str) -> Result {
///         self.0.remove(connection.key());
///         Ok(())
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct ByConnection<T> {
    /// The values in the order of their keys, which grow from connection to connection. `None` is a hole that a connection has
    /// left.
    slots: Vec<(u64, Option<T>)>,
    /// How many of them are holes.
    holes: usize,
}

impl<T> ByConnection<T> {
    /// How many connections have a value.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len() - self.holes
    }

    /// Whether no connection has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a connection.
    #[must_use]
    pub fn get(&self, key: u64) -> Option<&T> {
        self.slots.get(self.find(key).ok()?)?.1.as_ref()
    }

    /// The value of a connection, for changing it.
    pub fn get_mut(&mut self, key: u64) -> Option<&mut T> {
        let at = self.find(key).ok()?;
        self.slots.get_mut(at)?.1.as_mut()
    }

    /// Sets the value of a connection. Returns the one that it had.
    pub fn insert(&mut self, key: u64, value: T) -> Option<T> {
        match self.find(key) {
            Ok(at) => {
                let (_, slot) = self.slots.get_mut(at)?;
                let before = slot.replace(value);
                self.holes -= usize::from(before.is_none());
                before
            }
            Err(at) => {
                if self.slots.len() == self.slots.capacity() {
                    self.slots.reserve_exact(MIN_SPARE.max(self.slots.len() / GROWTH_DIVISOR));
                }
                // Connections come in order, except those of the same moment, so this moves few values.
                self.slots.insert(at, (key, Some(value)));
                None
            }
        }
    }

    /// Removes a connection. Returns its value.
    pub fn remove(&mut self, key: u64) -> Option<T> {
        let at = self.find(key).ok()?;
        let value = self.slots.get_mut(at)?.1.take()?;
        self.holes += 1;
        // Moving all later values each time would cost a large room too much.
        if self.holes > self.slots.len() / HOLES_DIVISOR {
            self.slots.retain(|(_, slot)| slot.is_some());
            self.holes = 0;
            if self.slots.len() <= self.slots.capacity() / 2 {
                self.slots.shrink_to(self.slots.len() + self.slots.len() / GROWTH_DIVISOR);
            }
        }
        Some(value)
    }

    /// The values, with the keys of their connections.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.slots.iter().filter_map(|(key, slot)| Some((*key, slot.as_ref()?)))
    }

    /// The values.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|(_, slot)| slot.as_ref())
    }

    /// The values, for changing them.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().filter_map(|(_, slot)| slot.as_mut())
    }

    /// Takes the values out.
    pub fn into_values(self) -> impl Iterator<Item = T> {
        self.slots.into_iter().filter_map(|(_, slot)| slot)
    }

    fn find(&self, key: u64) -> Result<usize, usize> {
        self.slots.binary_search_by_key(&key, |(key, _)| *key)
    }
}

impl<T> Default for ByConnection<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), holes: 0 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_behaves_like_a_map() {
        let (mut list, mut map) = (ByConnection::default(), BTreeMap::new());
        let mut random = fastrand::Rng::with_seed(7);
        for step in 0..50_000_u64 {
            // These are mostly new connections, of about the same time. Now and then many leave.
            let key = random.u64((step / 4).saturating_sub(300)..=step / 4 + 3);
            if random.u8(..) < if step % 10_000 < 7_000 { 130 } else { 60 } {
                assert_eq!(list.insert(key, step), map.insert(key, step));
            } else {
                assert_eq!(list.remove(key), map.remove(&key));
            }
            if let Some(value) = list.get_mut(key) {
                *value += 1;
                *map.get_mut(&key).unwrap() += 1;
            }
            assert_eq!((list.len(), list.is_empty()), (map.len(), map.is_empty()));
            assert_eq!(list.get(key), map.get(&key));
            assert!(list.slots.len() <= list.len() * 3 / 2 + 1, "{} slots for {}", list.slots.len(), list.len());
            if step % 100 == 0 {
                assert!(list.iter().eq(map.iter().map(|(key, value)| (*key, value))));
                assert!(list.values().eq(map.values()) && list.clone().into_values().eq(map.clone().into_values()));
            }
        }
    }

    #[test]
    fn little_memory_is_unused_while_it_grows_and_shrinks() {
        let mut list = ByConnection::default();
        for key in 0..10_000_u64 {
            list.insert(key, ());
            let most = (list.len() + list.len() / GROWTH_DIVISOR).max(MIN_SPARE + list.len());
            assert!(list.slots.capacity() <= most, "{} of {}", list.slots.capacity(), list.len());
        }
        for key in 0..10_000 {
            list.remove(key);
            assert!(list.slots.capacity() <= 2 * list.slots.len() + MIN_SPARE, "{}", list.slots.capacity());
        }
        assert_eq!(list.slots.capacity(), 0);
    }

    /// A room with a hundred thousand connections, which all leave, oldest first. It must not take long.
    #[test]
    fn removing_all_connections_in_order_moves_few_values() {
        let count_moves = |connections: u64| {
            let mut list = ByConnection::default();
            for key in 0..connections {
                list.insert(key, key);
            }
            let (mut moved, mut slots) = (0, list.slots.len());
            for key in 0..connections {
                list.remove(key);
                if list.slots.len() < slots {
                    slots = list.slots.len();
                    moved += slots;
                }
            }
            moved
        };
        let (few, many) = (count_moves(1_000), count_moves(100_000));
        assert!(many <= few * 110, "{few} values moved for a thousand, {many} for a hundred thousand");
    }
}
