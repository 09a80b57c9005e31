//! Frames as they travel: sealed with the secret of the cluster, so that no one else reads or writes one.
//!
//! The node and the sequence of a frame are its nonce, so they must not repeat: a node is a random number of 48 bits, new
//! with each start, of which two of ten thousand are the same with a chance of 2 in ten million.

use connection_counter_protocol::PageId;
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf, hmac,
};

use super::{
    key::{KEY_BYTES, Key},
    wire::{Frame, Node, Refused},
};

/// Version, node and sequence.
const HEADER_BYTES: usize = 1 + NONCE_LEN;
/// Bytes of a node and of a sequence.
const HALF_NONCE_BYTES: usize = NONCE_LEN / 2;
/// What keys are derived for.
const PURPOSE: &[&[u8]] = &[b"connection-counter frames"];
/// Bytes of a message that is looked at: four times the most that we send.
const MAX_BYTES: usize = 256 * 1024;

/// The keys of a cluster.
pub(crate) struct Seal {
    /// Of the secrets: the first seals, each of them opens.
    keys: Vec<LessSafeKey>,
    /// Names pages. It is of the cluster's name only, so that pages keep their keys while the secret is changed.
    pages: hmac::Key,
}

impl Seal {
    /// The keys of these secrets, the one to seal with first.
    pub(crate) fn new(cluster: &str, secrets: &[String]) -> Self {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, cluster.as_bytes());
        let key = |secret: &String| {
            let secret = salt.extract(secret.as_bytes());
            let key = secret.expand(PURPOSE, &CHACHA20_POLY1305);
            key.ok().map(|key| LessSafeKey::new(UnboundKey::from(key)))
        };
        let pages = hmac::Key::new(hmac::HMAC_SHA256, cluster.as_bytes());
        Self { keys: secrets.iter().filter_map(key).collect(), pages }
    }

    /// What a page is called between machines.
    pub(crate) fn key(&self, page: &PageId) -> Key {
        let hash = hmac::sign(&self.pages, page.as_str().as_bytes());
        Key(hash.as_ref().first_chunk().copied().unwrap_or([0; KEY_BYTES]))
    }

    /// A frame's bytes.
    pub(crate) fn seal(&self, frame: Frame) -> Option<Vec<u8>> {
        let Frame { version, node: Node(node), sequence, mut payload } = frame;
        let mut nonce = [0; NONCE_LEN];
        let (first, second) = nonce.split_at_mut(HALF_NONCE_BYTES);
        first.copy_from_slice(node.to_le_bytes().get(..HALF_NONCE_BYTES)?);
        second.copy_from_slice(sequence.to_le_bytes().get(..HALF_NONCE_BYTES)?);
        let mut bytes = [&[version][..], &nonce[..]].concat();
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.keys.first()?.seal_in_place_append_tag(nonce, Aad::from(&bytes), &mut payload).ok()?;
        bytes.extend(payload);
        Some(bytes)
    }

    /// The frame that these bytes are, if a member of the cluster wrote them.
    pub(crate) fn open(&self, bytes: &[u8]) -> Result<Frame, Refused> {
        if bytes.len() > MAX_BYTES {
            return Err(Refused::Malformed);
        }
        let (header, sealed) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(Refused::Malformed)?;
        let [version, nonce @ ..] = *header;
        let (node, sequence) = nonce.split_at(HALF_NONCE_BYTES);
        for key in &self.keys {
            let mut payload = sealed.to_vec();
            let opened = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(header), &mut payload);
            if let Ok(opened) = opened {
                let len = opened.len();
                payload.truncate(len);
                return Ok(Frame { version, node: Node(number(node)), sequence: number(sequence), payload });
            }
        }
        Err(Refused::Forged)
    }
}

fn number(little_endian: &[u8]) -> u64 {
    little_endian.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: (u8, Node, u64) = (1, Node(0x1234_5678_9abc), 77);

    fn seal(secrets: &[&str]) -> Seal {
        Seal::new("test", &secrets.iter().map(|&secret| secret.to_owned()).collect::<Vec<_>>())
    }

    fn frame() -> Frame {
        let (version, node, sequence) = FRAME;
        Frame { version, node, sequence, payload: b"h\x10\x01\x01".to_vec() }
    }

    #[test]
    fn what_is_sealed_is_opened_and_hidden() {
        let seal = seal(&["one"]);
        let bytes = seal.seal(frame()).unwrap();
        assert_eq!(bytes.len(), HEADER_BYTES + frame().payload.len() + 16);
        assert!(!bytes.windows(4).any(|window| window == frame().payload));
        assert_eq!(seal.open(&bytes), Ok(frame()));
    }

    #[test]
    fn a_changed_bit_anywhere_is_noticed() {
        let seal = seal(&["one"]);
        let bytes = seal.seal(frame()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(seal.open(&bytes), Err(Refused::Forged), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(seal.open(&bytes[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn a_secret_is_changed_in_three_steps() {
        let steps = [seal(&["old"]), seal(&["old", "new"]), seal(&["new", "old"]), seal(&["new"])];
        for pair in steps.windows(2) {
            for (from, to) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
                assert_eq!(to.open(&from.seal(frame()).unwrap()), Ok(frame()));
            }
        }
        assert_eq!(steps[3].open(&steps[0].seal(frame()).unwrap()), Err(Refused::Forged));
        let page = PageId::parse("example.org/a").unwrap();
        assert!(steps.iter().all(|seal| seal.key(&page) == steps[0].key(&page)));
    }
}
