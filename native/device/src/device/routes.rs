//! Which peer an address belongs to: allowed IPs, longest prefix first.
//!
//! A table of hash maps, one per prefix length in use. A tailnet has two or three lengths (whole addresses, a few
//! subnets, the default routes), so a lookup is two or three probes.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::IpAddr;

use super::prefix::Prefix;

pub type PeerId = u16;

#[derive(Debug, Default)]
pub struct Routes {
    v4: Vec<Length>,
    v6: Vec<Length>,
}

/// Prefixes of one length, keyed by their network bits.
#[derive(Debug)]
struct Length {
    bits: u8,
    peers: HashMap<u128, PeerId, BuildHasherDefault<AddressHasher>>,
}

/// Twice per packet, the standard hash would cost as much as the rest of routing. It guards against keys chosen to
/// collide; the keys here come from the coordination server alone.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            // The golden ratio's multiplier mixes upwards; the rotation brings the result back down (Fibonacci hashing).
            let mixed = (self.0 ^ u64::from_ne_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            self.0 = mixed ^ mixed.rotate_right(32);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Routes {
    /// Of two equal prefixes the later one counts, as in WireGuard's configuration.
    pub fn new(entries: impl IntoIterator<Item = (Prefix, PeerId)>) -> Self {
        let mut routes = Self::default();
        for (prefix, peer) in entries {
            let lengths = if prefix.is_v4() { &mut routes.v4 } else { &mut routes.v6 };
            // Longest first.
            let at = lengths.partition_point(|length| length.bits > prefix.bits());
            if lengths.get(at).is_none_or(|length| length.bits != prefix.bits()) {
                lengths.insert(at, Length { bits: prefix.bits(), peers: HashMap::default() });
            }
            lengths[at].peers.insert(prefix.network(), peer);
        }
        routes
    }

    pub fn lookup(&self, ip: IpAddr) -> Option<PeerId> {
        let (lengths, address, width) = match ip {
            IpAddr::V4(ip) => (&self.v4, u128::from(u32::from(ip)), 32),
            IpAddr::V6(ip) => (&self.v6, u128::from(ip), 128),
        };
        lengths.iter().find_map(|length| {
            let host_bits = u32::from(width - length.bits);
            // Shifting by the whole width would overflow; the default route has no network bits.
            let network = address.checked_shr(host_bits).unwrap_or(0).checked_shl(host_bits).unwrap_or(0);
            length.peers.get(&network).copied()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn routes(entries: &[(&str, PeerId)]) -> Routes {
        Routes::new(entries.iter().map(|(cidr, peer)| (cidr.parse().expect("cidr"), *peer)))
    }

    fn lookup(routes: &Routes, ip: &str) -> Option<PeerId> {
        routes.lookup(ip.parse().expect("address"))
    }

    #[test]
    fn the_longest_prefix_wins() {
        let table = routes(&[
            ("0.0.0.0/0", 1),
            ("10.0.0.0/8", 2),
            ("10.1.0.0/16", 3),
            ("10.1.2.3/32", 4),
            ("::/0", 5),
            ("fd7a:115c:a1e0::/48", 6),
            ("fd7a:115c:a1e0::9/128", 7),
        ]);
        assert_eq!(lookup(&table, "8.8.8.8"), Some(1));
        assert_eq!(lookup(&table, "10.9.0.1"), Some(2));
        assert_eq!(lookup(&table, "10.1.9.9"), Some(3));
        assert_eq!(lookup(&table, "10.1.2.3"), Some(4));
        assert_eq!(lookup(&table, "2001:db8::1"), Some(5));
        assert_eq!(lookup(&table, "fd7a:115c:a1e0::1"), Some(6));
        assert_eq!(lookup(&table, "fd7a:115c:a1e0::9"), Some(7));
    }

    #[test]
    fn families_are_apart_and_unknown_addresses_have_no_peer() {
        let table = routes(&[("0.0.0.0/0", 1)]);
        assert_eq!(lookup(&table, "::"), None);
        assert_eq!(lookup(&routes(&[]), "1.2.3.4"), None);
    }

    proptest! {
        #[test]
        fn agrees_with_a_linear_search(
            entries in proptest::collection::vec((any::<u32>(), 0u8..=32, 1u16..9), 0..40),
            near in any::<proptest::sample::Index>(),
            noise in any::<u32>(),
        ) {
            let entries: Vec<_> = entries
                .into_iter()
                .map(|(ip, bits, peer)| (Prefix::new(IpAddr::from(ip.to_be_bytes()), bits).expect("valid"), peer))
                .collect();
            let table = Routes::new(entries.iter().copied());
            let base = if entries.is_empty() { 0 } else { entries[near.index(entries.len())].0.network() as u32 };
            let ip = IpAddr::from((base ^ (noise & 0xff)).to_be_bytes());
            let mut best: Option<(u8, PeerId)> = None;
            for (prefix, peer) in &entries {
                if prefix.contains(ip) && best.is_none_or(|(bits, _)| prefix.bits() >= bits) {
                    best = Some((prefix.bits(), *peer));
                }
            }
            prop_assert_eq!(table.lookup(ip), best.map(|(_, peer)| peer));
        }
    }
}
