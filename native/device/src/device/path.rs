//! How packets reach a peer, as TypeScript decided it. An entry never changes, apart from how long it is trusted.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leg {
    /// Straight to the peer, or with a VNI through a relay.
    Udp {
        to: SocketAddr,
        vni: Option<u32>,
    },
    Derp {
        region: u32,
    },
}

#[derive(Debug)]
pub struct Path {
    leg: Option<Leg>,
    fallback: Option<Leg>,
    trusted_until_ns: AtomicU64,
    /// `path-stale` was raised since the trust ran out.
    stale_raised: AtomicBool,
}

/// Where a packet goes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Legs {
    pub first: Leg,
    /// The doubtful state: the same packet a second way (paths.md 5.3, S3).
    pub second: Option<Leg>,
}

impl Path {
    pub fn new(leg: Option<Leg>, fallback: Option<Leg>, trusted_until_ns: u64) -> Self {
        Self { leg, fallback, trusted_until_ns: AtomicU64::new(trusted_until_ns), stale_raised: AtomicBool::new(false) }
    }

    pub fn none() -> Self {
        Self::new(None, None, 0)
    }

    pub fn leg(&self) -> Option<Leg> {
        self.leg
    }

    pub fn trust(&self, until_ns: u64) {
        self.trusted_until_ns.store(until_ns, Ordering::Relaxed);
        self.stale_raised.store(false, Ordering::Relaxed);
    }

    pub fn legs(&self, mono_ns: u64) -> Option<Legs> {
        let first = self.leg.or(self.fallback)?;
        let doubtful = mono_ns > self.trusted_until_ns.load(Ordering::Relaxed);
        let second = self.fallback.filter(|fallback| doubtful && *fallback != first);
        Some(Legs { first, second })
    }

    /// True once per trust period: now is when `path-stale` has to be raised.
    pub fn became_stale(&self, mono_ns: u64) -> bool {
        self.leg.is_some()
            && mono_ns > self.trusted_until_ns.load(Ordering::Relaxed)
            && !self.stale_raised.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DERP: Leg = Leg::Derp { region: 1 };

    fn direct() -> Leg {
        Leg::Udp { to: ([192, 0, 2, 1], 41641).into(), vni: None }
    }

    #[test]
    fn a_trusted_path_is_one_leg_and_a_doubtful_one_is_two() {
        let path = Path::new(Some(direct()), Some(DERP), 100);
        assert_eq!(path.legs(100), Some(Legs { first: direct(), second: None }));
        assert_eq!(path.legs(101), Some(Legs { first: direct(), second: Some(DERP) }));
        path.trust(200);
        assert_eq!(path.legs(150), Some(Legs { first: direct(), second: None }));
    }

    #[test]
    fn staleness_is_told_once_per_trust_period() {
        let path = Path::new(Some(direct()), Some(DERP), 100);
        assert!(!path.became_stale(100));
        assert!(path.became_stale(101));
        assert!(!path.became_stale(102));
        path.trust(200);
        assert!(!path.became_stale(150));
        assert!(path.became_stale(201));
    }

    #[test]
    fn a_fallback_alone_serves_as_the_leg() {
        assert_eq!(Path::none().legs(0), None);
        assert_eq!(Path::new(None, Some(DERP), 0).legs(5), Some(Legs { first: DERP, second: None }));
    }
}
