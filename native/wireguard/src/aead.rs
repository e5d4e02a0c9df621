//! ChaCha20-Poly1305 in place. The only file that knows which library does it, so that a faster one can take its place.

use crate::constants::TAG_BYTES;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

pub(crate) struct AeadKey(LessSafeKey);

impl AeadKey {
    pub fn new(key: &[u8; 32]) -> Self {
        let unbound = UnboundKey::new(&CHACHA20_POLY1305, key);
        Self(LessSafeKey::new(unbound.expect("the algorithm takes 32 bytes")))
    }

    /// Encrypts in place and returns the tag. The caller never repeats a counter under one key.
    pub fn seal(&self, counter: u64, aad: &[u8], in_out: &mut [u8]) -> [u8; TAG_BYTES] {
        let mut bytes = [0; TAG_BYTES];
        let sealed = self.0.seal_in_place_separate_tag(nonce(counter), Aad::from(aad), in_out);
        bytes.copy_from_slice(sealed.expect("a datagram is far below the 256 GB limit").as_ref());
        bytes
    }

    /// Decrypts `in_out` (text then tag) in place and returns the length of the text. After `None` the bytes are garbage.
    pub fn open(&self, counter: u64, aad: &[u8], in_out: &mut [u8]) -> Option<usize> {
        let opened = self.0.open_in_place(nonce(counter), Aad::from(aad), in_out);
        opened.ok().map(|text| text.len())
    }
}

/// ring keeps the raw key in the struct and does not clear it.
impl Drop for AeadKey {
    fn drop(&mut self) {
        let zeros = UnboundKey::new(&CHACHA20_POLY1305, &[0; 32]);
        self.0 = LessSafeKey::new(zeros.expect("the algorithm takes 32 bytes"));
        // Without a reader the compiler may drop the write.
        std::hint::black_box(&self.0);
    }
}

fn nonce(counter: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&counter.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published vectors (RFC 8439) use nonces with a non-zero prefix, which WireGuard cannot express.
    #[test]
    fn agrees_with_an_independent_implementation() {
        use chacha20poly1305::aead::{AeadInPlace, KeyInit};
        let key: [u8; 32] = std::array::from_fn(|i| 0x80 + i as u8);
        let other = chacha20poly1305::ChaCha20Poly1305::new(&key.into());
        for (counter, len) in [(0u64, 0usize), (1, 1), (7, 16), (u64::MAX, 1300), (1 << 40, 64)] {
            let mut ours: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut theirs = ours.clone();
            let tag = AeadKey::new(&key).seal(counter, b"aad", &mut ours);
            let mut nonce = [0; 12];
            nonce[4..].copy_from_slice(&counter.to_le_bytes());
            let their_tag = other.encrypt_in_place_detached(&nonce.into(), b"aad", &mut theirs).unwrap();
            assert_eq!(ours, theirs);
            assert_eq!(&tag[..], &their_tag[..]);
            ours.extend_from_slice(&tag);
            assert_eq!(AeadKey::new(&key).open(counter, b"aad", &mut ours), Some(len));
        }
    }

    #[test]
    fn refuses_what_is_shorter_than_a_tag() {
        for len in 0..TAG_BYTES {
            assert_eq!(AeadKey::new(&[1; 32]).open(0, &[], &mut vec![0; len]), None);
        }
    }
}
