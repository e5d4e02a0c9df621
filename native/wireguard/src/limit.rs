//! How many handshake messages one source may send while we are under load, in a table that cannot grow.

use crate::constants::{SOURCE_BURST, SOURCE_INTERVAL_NS};
use std::hash::{BuildHasher, RandomState};

const SETS: usize = 256;
const WAYS: usize = 4;

/// A token bucket written as the time at which it will be full again (GCRA).
#[derive(Clone, Copy)]
struct Bucket {
    key: [u8; 33],
    full_at_ns: u64,
}

pub(crate) struct SourceLimits {
    buckets: Box<[Bucket]>,
    /// Seeded at random, so that nobody can aim at another source's set.
    hasher: RandomState,
}

impl SourceLimits {
    pub fn new() -> Self {
        let empty = Bucket { key: [0; 33], full_at_ns: 0 };
        Self { buckets: vec![empty; SETS * WAYS].into(), hasher: RandomState::new() }
    }

    /// Takes a token of this source, if it has one. A source that was pushed out of its set starts afresh.
    pub fn allow(&mut self, now_ns: u64, key: &[u8; 33]) -> bool {
        let set = self.hasher.hash_one(key) as usize % SETS;
        let ways = &mut self.buckets[set * WAYS..(set + 1) * WAYS];
        let known = ways.iter().position(|bucket| bucket.key == *key);
        let bucket = match known {
            Some(way) => &mut ways[way],
            None => {
                // The one that has been full the longest has the least to forget.
                let Some(oldest) = ways.iter_mut().min_by_key(|bucket| bucket.full_at_ns) else { return false };
                *oldest = Bucket { key: *key, full_at_ns: now_ns };
                oldest
            }
        };
        let full_at_ns = bucket.full_at_ns.max(now_ns) + SOURCE_INTERVAL_NS;
        let allowed = full_at_ns - now_ns <= SOURCE_BURST * SOURCE_INTERVAL_NS;
        if allowed {
            bucket.full_at_ns = full_at_ns;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn gives_a_burst_of_5_and_then_20_a_second() {
        let mut limits = SourceLimits::new();
        let key = [7; 33];
        let burst = (0..10).filter(|_| limits.allow(SECOND_NS, &key)).count();
        assert_eq!(burst, 5);
        assert!(limits.allow(SECOND_NS, &[8; 33]), "another source is not affected");
        // Asked every millisecond for two seconds.
        let later = (1..=2000).filter(|ms| limits.allow(SECOND_NS + ms * 1_000_000, &key)).count();
        assert_eq!(later, 40);
        assert_eq!((0..10).filter(|_| limits.allow(60 * SECOND_NS, &key)).count(), 5);
    }

    #[test]
    fn many_sources_do_not_grow_the_table() {
        let mut limits = SourceLimits::new();
        for i in 0..100_000u64 {
            let mut key = [0; 33];
            key[..8].copy_from_slice(&i.to_le_bytes());
            assert!(limits.allow(SECOND_NS + i, &key));
        }
        assert_eq!(limits.buckets.len(), SETS * WAYS);
    }
}
