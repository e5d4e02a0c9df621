//! How much of one source goes up to TypeScript. A fixed table: sources that share a place share an allowance, and which
//! ones do nobody outside can foresee.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};

const PLACES: usize = 4096;
/// A client binds at each of our addresses, some ten, for each of its peers at most twice a minute; many share the address of a
/// carrier's router, and after a restart of ours a machine that a thousand others reach only by us binds for all of them at
/// once. Who floods must know a session's VNI, so this is about members only.
const PER_SECOND: f64 = 500.0;
const BURST: f64 = 2_500.0;
/// All sources together: opening a box costs JavaScript some 50 µs.
const TOTAL_PER_SECOND: f64 = 4_000.0;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at_ns: u64,
}

impl Bucket {
    fn take(&mut self, per_second: f64, burst: f64, now_ns: u64) -> bool {
        let gained = now_ns.saturating_sub(self.at_ns) as f64 * per_second / 1e9;
        self.tokens = (self.tokens + gained).min(burst);
        self.at_ns = now_ns;
        let has = self.tokens >= 1.0;
        if has {
            self.tokens -= 1.0;
        }
        has
    }
}

pub struct Limiter {
    hasher: RandomState,
    places: Vec<Bucket>,
    total: Bucket,
}

impl Limiter {
    pub fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            places: vec![Bucket { tokens: BURST, at_ns: 0 }; PLACES],
            total: Bucket { tokens: TOTAL_PER_SECOND, at_ns: 0 },
        }
    }

    pub fn allows(&mut self, from: SocketAddr, now_ns: u64) -> bool {
        let source = match from.ip() {
            IpAddr::V4(ip) => u64::from(u32::from(ip)),
            // Whoever has one address of a /64 has them all.
            IpAddr::V6(ip) => (u128::from(ip) >> 64) as u64,
        };
        let place = self.hasher.hash_one((source, from.is_ipv6())) as usize % PLACES;
        self.places[place].take(PER_SECOND, BURST, now_ns)
            && self.total.take(TOTAL_PER_SECOND, TOTAL_PER_SECOND, now_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_flood_is_cut_and_others_are_heard() {
        let mut limiter = Limiter::new();
        let (flood, honest) = ("192.0.2.1:5".parse().unwrap(), "[2001:db8::1]:5".parse().unwrap());
        let passed = (0..10_000).filter(|_| limiter.allows(flood, SECOND)).count();
        assert_eq!(passed, BURST as usize);
        assert!(limiter.allows(honest, SECOND));
        let later = (0..10_000).filter(|_| limiter.allows(flood, 2 * SECOND)).count();
        assert_eq!(later, PER_SECOND as usize);
    }
}
