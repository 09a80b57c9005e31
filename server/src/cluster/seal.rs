//! Encrypts frames with the secret of the cluster, so that no one else can read or write one.
//!
//! A frame's nonce is its node and its sequence number, so these must not repeat. A node is a random number of 48 bits, new at
//! each start. Two of ten thousand nodes have the same number with a chance of 2 in ten million.

use connection_counter_protocol::PageId;
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf, hmac,
};

use super::{
    key::{KEY_BYTES, Key},
    wire::{Frame, Node, Refused, read_number},
};

/// Version, node and sequence.
const HEADER_BYTES: usize = 1 + NONCE_LEN;
/// Bytes of a node and of a sequence.
const HALF_NONCE_BYTES: usize = NONCE_LEN / 2;
/// The contexts of the two keys.
const FRAMES: &[&[u8]] = &[b"connection-counter frames"];
const PAGES: &[&[u8]] = &[b"connection-counter pages"];
/// Bytes of a message that is read: four times the most that we send.
const MAX_BYTES: usize = 256 * 1024;

/// The keys that are derived from a secret.
pub(crate) struct Seal {
    /// Encrypts and decrypts frames.
    frames: LessSafeKey,
    /// Hashes pages. Without the secret, nobody can find pages with similar hashes, or learn which page a hash stands for.
    pages: hmac::Key,
}

impl Seal {
    pub(crate) fn new(cluster: &str, secret: &str) -> Self {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, cluster.as_bytes());
        let secret = salt.extract(secret.as_bytes());
        let short = "both keys are shorter than what can be derived";
        let frames = UnboundKey::from(secret.expand(FRAMES, &CHACHA20_POLY1305).expect(short));
        let pages = hmac::Key::from(secret.expand(PAGES, hmac::HMAC_SHA256).expect(short));
        Self { frames: LessSafeKey::new(frames), pages }
    }

    /// The hash of a page.
    pub(crate) fn key(&self, page: &PageId) -> Key {
        let hash = hmac::sign(&self.pages, page.as_str().as_bytes());
        Key(hash.as_ref().first_chunk().copied().unwrap_or([0; KEY_BYTES]))
    }

    /// The bytes of a frame.
    pub(crate) fn seal(&self, frame: Frame) -> Option<Vec<u8>> {
        let Frame { version, node: Node(node), sequence, mut payload } = frame;
        let mut nonce = [0; NONCE_LEN];
        let (first, second) = nonce.split_at_mut(HALF_NONCE_BYTES);
        first.copy_from_slice(node.to_le_bytes().get(..HALF_NONCE_BYTES)?);
        second.copy_from_slice(sequence.to_le_bytes().get(..HALF_NONCE_BYTES)?);
        let mut bytes = [&[version][..], &nonce[..]].concat();
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.frames.seal_in_place_append_tag(nonce, Aad::from(&bytes), &mut payload).ok()?;
        bytes.extend(payload);
        Some(bytes)
    }

    /// The frame in these bytes, if a member of the cluster wrote it.
    pub(crate) fn open(&self, bytes: &[u8]) -> Result<Frame, Refused> {
        if bytes.len() > MAX_BYTES {
            return Err(Refused::Malformed);
        }
        let (header, sealed) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(Refused::Malformed)?;
        let [version, nonce @ ..] = *header;
        let (node, sequence) = nonce.split_at(HALF_NONCE_BYTES);
        let mut payload = sealed.to_vec();
        let opened = self.frames.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(header), &mut payload);
        let len = opened.map_err(|_| Refused::Forged)?.len();
        payload.truncate(len);
        Ok(Frame { version, node: Node(read_number(node)), sequence: read_number(sequence), payload })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: (u8, Node, u64) = (1, Node(0x1234_5678_9abc), 77);

    fn seal(secret: &str) -> Seal {
        Seal::new("test", secret)
    }

    fn frame() -> Frame {
        let (version, node, sequence) = FRAME;
        Frame { version, node, sequence, payload: b"h\x10\x01\x01".to_vec() }
    }

    #[test]
    fn a_sealed_frame_can_be_opened_but_not_read() {
        let seal = seal("one");
        let bytes = seal.seal(frame()).unwrap();
        assert_eq!(bytes.len(), HEADER_BYTES + frame().payload.len() + 16);
        assert!(!bytes.windows(4).any(|window| window == frame().payload));
        assert_eq!(seal.open(&bytes), Ok(frame()));
    }

    #[test]
    fn a_frame_with_any_changed_bit_is_refused() {
        let seal = seal("one");
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
    fn another_secret_or_cluster_cannot_open_frames_and_has_other_hashes() {
        let (one, page) = (seal("one"), PageId::parse("example.org/a").unwrap());
        let bytes = one.seal(frame()).unwrap();
        for other in [seal("two"), Seal::new("other", "one")] {
            assert_eq!(other.open(&bytes), Err(Refused::Forged));
            assert_ne!(other.key(&page), one.key(&page));
        }
        assert_eq!(seal("one").key(&page), one.key(&page));
    }
}
