//! The bytes of a frame. Numbers are little endian.
//!
//! | part | bytes |
//! |---|---|
//! | version | 1 |
//! | node, sequence | 6 + 6: see [`super::seal`] |
//! | kind | 1, and all that follows is sealed |
//! | number of shards, as the power of two | 1 |
//! | body | see [`Body`] |

use connection_counter_protocol::PageId;

use super::key::{KEY_BYTES, Key};

/// The version that this program writes if all others read it.
pub(crate) const NEWEST: u8 = 1;
/// The oldest version that it reads.
pub(crate) const OLDEST: u8 = 1;

/// Shards are ranges of keys. This many bits of a key decide which.
pub(super) const SHARD_BITS: u8 = 16;
/// Entries in a frame that we send: 40 KB, which is well below the limit of a NATS message (1 MB by default).
pub(super) const ENTRIES_PER_FRAME: usize = 2_000;
/// Entries in a frame that we read.
const MAX_ENTRIES_PER_FRAME: usize = 8_000;
/// Viewers that one node can have on one page. A machine holds about a million, and whole regions may be nodes one day.
pub(super) const MAX_COUNT: u32 = 100_000_000;
/// Bytes of an entry: a key and a count.
const ENTRY_BYTES: usize = KEY_BYTES + 4;
/// Names in a frame. Even the longest ones take only 50 KB.
pub(super) const NAMES_PER_FRAME: usize = 100;
/// Nodes that one sign of life may list as heard: twice as many as may count, because some do not count yet.
pub(super) const MAX_HEARD: usize = 512;
/// Bytes of a node, and of a sequence.
const NUMBER_BYTES: usize = 6;

/// The sender of a frame: a random number of 48 bits, new at each start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Node(pub(crate) u64);

/// A decrypted message between nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The version of `payload`.
    pub(crate) version: u8,
    pub(crate) node: Node,
    /// It grows with every frame of the node. 48 bits are enough for ever.
    pub(crate) sequence: u64,
    /// Kind, shards and body.
    pub(crate) payload: Vec<u8>,
}

/// A page, and how many viewers it has on the node that sends this.
pub(super) type Entry = (Key, u32);

/// The content of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// These pages have these counts now.
    Delta(Vec<Entry>),
    /// All pages with viewers whose key has one of these prefixes.
    Full { low: u32, high: u32, entries: Vec<Entry> },
    /// The node lives, reads these versions, and has heard these nodes, each up to this sequence number.
    Alive { oldest: u8, newest: u8, heard: Vec<(Node, u64)> },
    /// The node asks for everything.
    Who,
    /// The node stops.
    Bye,
    /// The node asks for the names of these pages.
    NamesWanted(Vec<Key>),
    /// The ids of pages.
    Names(Vec<Box<str>>),
}

/// Why a frame was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It was not encrypted with a secret of this cluster.
    Forged,
    /// We do not read its version.
    Version,
    /// We do not know its kind, because the sender is newer.
    Kind,
    /// Its content is malformed.
    Malformed,
    /// It arrived twice, or after a later one.
    Late,
    /// Its node has not shown yet that it hears us. So it may be a recording.
    Unproven,
    /// There are as many nodes as allowed.
    TooManyNodes,
    /// The node has as many pages as allowed.
    TooManyPages,
    /// The node sends more bytes a second than allowed.
    TooFast,
}

impl Refused {
    /// The name in the metrics.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Forged => "forged",
            Self::Version => "version",
            Self::Kind => "kind",
            Self::Malformed => "malformed",
            Self::Late => "late",
            Self::Unproven => "unproven",
            Self::TooManyNodes => "too_many_nodes",
            Self::TooManyPages => "too_many_pages",
            Self::TooFast => "too_fast",
        }
    }
}

impl Body {
    fn kind(&self) -> u8 {
        match self {
            Self::Delta(_) => b'd',
            Self::Full { .. } => b'f',
            Self::Alive { .. } => b'h',
            Self::Who => b'w',
            Self::Bye => b'b',
            Self::NamesWanted(_) => b'q',
            Self::Names(_) => b'n',
        }
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = vec![self.kind(), SHARD_BITS];
        match self {
            Self::Delta(entries) => write_entries(&mut bytes, entries),
            Self::Full { low, high, entries } => {
                for prefix in [low, high] {
                    bytes.extend((prefix >> (32 - SHARD_BITS)).to_le_bytes());
                }
                write_entries(&mut bytes, entries);
            }
            Self::Alive { oldest, newest, heard } => {
                bytes.extend([oldest, newest]);
                bytes.extend(u16::try_from(heard.len()).unwrap_or(0).to_le_bytes());
                for (Node(node), sequence) in heard {
                    bytes.extend(
                        [node, sequence].iter().flat_map(|number| number.to_le_bytes().into_iter().take(NUMBER_BYTES)),
                    );
                }
            }
            Self::Who | Self::Bye => {}
            Self::NamesWanted(keys) => bytes.extend(keys.iter().flat_map(|key| key.0)),
            Self::Names(names) => {
                for name in names {
                    bytes.extend(u16::try_from(name.len()).unwrap_or(0).to_le_bytes());
                    bytes.extend(name.as_bytes());
                }
            }
        }
        bytes
    }

    /// Reads what anyone with the secret may have written. Bytes after the end of a body belong to a newer version, and are
    /// ignored.
    pub(super) fn read(payload: &[u8]) -> Result<Self, Refused> {
        let [kind, shard_bits, body @ ..] = payload else { return Err(Refused::Malformed) };
        match kind {
            b'd' => Ok(Self::Delta(read_entries(body, 0)?)),
            b'f' => read_full(*shard_bits, body).ok_or(Refused::Malformed)?,
            b'h' => read_alive(body).ok_or(Refused::Malformed),
            b'w' => Ok(Self::Who),
            b'b' => Ok(Self::Bye),
            b'q' => {
                let (keys, []) = body.as_chunks() else { return Err(Refused::Malformed) };
                let is_short = keys.len() <= NAMES_PER_FRAME;
                is_short
                    .then(|| Self::NamesWanted(keys.iter().map(|key| Key(*key)).collect()))
                    .ok_or(Refused::Malformed)
            }
            b'n' => read_names(body).map(Self::Names).ok_or(Refused::Malformed),
            _ => Err(Refused::Kind),
        }
    }
}

fn write_entries(bytes: &mut Vec<u8>, entries: &[Entry]) {
    bytes.reserve(entries.len() * ENTRY_BYTES);
    for (key, count) in entries {
        bytes.extend(key.0);
        bytes.extend(count.to_le_bytes());
    }
}

/// Reads entries whose counts are at least `least`.
fn read_entries(body: &[u8], least: u32) -> Result<Vec<Entry>, Refused> {
    let (entries, []) = body.as_chunks::<ENTRY_BYTES>() else { return Err(Refused::Malformed) };
    if entries.len() > MAX_ENTRIES_PER_FRAME {
        return Err(Refused::Malformed);
    }
    let read = |entry: &[u8; ENTRY_BYTES]| {
        let (key, count) = (entry.first_chunk()?, u32::from_le_bytes(*entry.last_chunk()?));
        (least..=MAX_COUNT).contains(&count).then_some((Key(*key), count))
    };
    entries.iter().map(read).collect::<Option<_>>().ok_or(Refused::Malformed)
}

fn read_alive(body: &[u8]) -> Option<Body> {
    let [oldest, newest, few, many, rest @ ..] = body else { return None };
    let (oldest, newest, nodes) = (*oldest, *newest, usize::from(u16::from_le_bytes([*few, *many])));
    let (pairs, _) = rest.as_chunks::<{ 2 * NUMBER_BYTES }>();
    if oldest > newest || nodes > MAX_HEARD || nodes > pairs.len() {
        return None;
    }
    let read = |pair: &[u8; 2 * NUMBER_BYTES]| {
        let (node, sequence) = pair.split_at(NUMBER_BYTES);
        (Node(read_number(node)), read_number(sequence))
    };
    Some(Body::Alive { oldest, newest, heard: pairs.iter().take(nodes).map(read).collect() })
}

/// The number whose bytes these are.
pub(super) fn read_number(little_endian: &[u8]) -> u64 {
    little_endian.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Reads a range of shards, of however many the sender has, and what is in it.
fn read_full(shard_bits: u8, body: &[u8]) -> Option<Result<Body, Refused>> {
    let (low, body) = body.split_first_chunk()?;
    let (high, body) = body.split_first_chunk()?;
    let shards = 1_u64.checked_shl(shard_bits.into()).filter(|_| shard_bits <= 32)?;
    let keys_per_shard = (1_u64 << 32) / shards;
    let (low, high) = (u64::from(u32::from_le_bytes(*low)), u64::from(u32::from_le_bytes(*high)));
    if low > high || high >= shards {
        return None;
    }
    let low = u32::try_from(low * keys_per_shard).ok()?;
    let high = u32::try_from((high + 1) * keys_per_shard - 1).ok()?;
    let entries = match read_entries(body, 1) {
        Ok(entries) => entries,
        Err(refused) => return Some(Err(refused)),
    };
    let all_within = entries.iter().all(|(key, _)| (low..=high).contains(&key.prefix()));
    all_within.then_some(Ok(Body::Full { low, high, entries }))
}

fn read_names(mut body: &[u8]) -> Option<Vec<Box<str>>> {
    let mut names = Vec::new();
    while let Some((len, rest)) = body.split_first_chunk() {
        let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
        if names.len() >= NAMES_PER_FRAME || name.len() > PageId::MAX_BYTES {
            return None;
        }
        names.push(std::str::from_utf8(name).ok()?.into());
        body = rest;
    }
    body.is_empty().then_some(names)
}
