//! Receiver indices: the 32-bit numbers by which a peer's messages find their session or handshake.

use crate::PeerId;
use crate::crypto::{RandomError, random};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Indices are random and ours, so nobody can choose them to collide; one multiplication spreads them.
#[derive(Default)]
pub(crate) struct IndexHasher(u64);

impl Hasher for IndexHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte) ^ self.0 as u32);
        }
    }

    fn write_u32(&mut self, index: u32) {
        self.0 = u64::from(index).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[derive(Default)]
pub(crate) struct Indices {
    peers: HashMap<u32, PeerId, BuildHasherDefault<IndexHasher>>,
}

impl Indices {
    /// Reserves an unused random index for `peer`.
    pub fn take(&mut self, peer: PeerId) -> Result<u32, RandomError> {
        // At most five per peer are in use: a clash has a chance below 1 in 13 000, eight in a row none worth naming.
        for _ in 0..8 {
            let index = u32::from_le_bytes(random()?);
            if let std::collections::hash_map::Entry::Vacant(entry) = self.peers.entry(index) {
                entry.insert(peer);
                return Ok(index);
            }
        }
        Err(RandomError)
    }

    pub fn find(&self, index: u32) -> Option<PeerId> {
        self.peers.get(&index).copied()
    }

    pub fn free(&mut self, index: u32) {
        self.peers.remove(&index);
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.peers.len()
    }
}
