//! The peers as all threads see them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use peerway_wireguard::{Activity, SendSession};

use super::clock::SECOND_NS;
use super::path::Path;
use super::prefix::Prefix;
use super::published::Published;
use super::routes::{PeerId, Routes};

/// A peer as the caller writes it.
#[derive(Clone, Debug)]
pub struct PeerSpec {
    pub id: PeerId,
    pub public_key: [u8; 32],
    pub allowed_ips: Vec<String>,
    pub persistent_keepalive_s: u16,
}

/// One peer for as long as it has the same id and key.
pub struct Peer {
    pub id: PeerId,
    pub public_key: [u8; 32],
    pub keepalive_s: AtomicU16,
    pub path: Published<Path>,
    /// Set by rx; what tx seals with.
    pub session: Published<Option<Arc<SendSession>>>,
    /// Set once by rx, when it has told the tunnel of the peer.
    pub activity: OnceLock<Arc<Activity>>,
    pub rx_bytes: AtomicU64,
    pub tx_bytes: AtomicU64,
    /// Nobody answered for long: tx drops what waits for this peer.
    pub discard_staged: AtomicBool,
    need_path_at_ns: AtomicU64,
}

impl Peer {
    fn new(spec: &PeerSpec) -> Self {
        Self {
            id: spec.id,
            public_key: spec.public_key,
            keepalive_s: AtomicU16::new(spec.persistent_keepalive_s),
            path: Published::new(Path::none()),
            session: Published::new(None),
            activity: OnceLock::new(),
            rx_bytes: AtomicU64::new(0),
            tx_bytes: AtomicU64::new(0),
            discard_staged: AtomicBool::new(false),
            need_path_at_ns: AtomicU64::new(0),
        }
    }

    /// At most once a second, whichever thread asks.
    pub fn may_raise_need_path(&self, mono_ns: u64) -> bool {
        let last = self.need_path_at_ns.load(Ordering::Relaxed);
        let due = last == 0 || mono_ns >= last + SECOND_NS;
        due && self.need_path_at_ns.compare_exchange(last, mono_ns, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[derive(Default)]
pub struct PeerTable {
    peers: Vec<Option<Arc<Peer>>>,
    pub routes: Routes,
}

impl PeerTable {
    /// Peers that are also in `old`, by id and key, go on as they are. Prefixes that cannot be read are left out and counted.
    pub fn new(specs: &[PeerSpec], old: &PeerTable, unreadable: &mut usize) -> Self {
        let mut peers: Vec<Option<Arc<Peer>>> = Vec::new();
        let mut routes = Vec::new();
        for spec in specs {
            let at = usize::from(spec.id);
            if peers.len() <= at {
                peers.resize(at + 1, None);
            }
            let peer = match old.get(spec.id) {
                Some(peer) if peer.public_key == spec.public_key => Arc::clone(peer),
                _ => Arc::new(Peer::new(spec)),
            };
            peer.keepalive_s.store(spec.persistent_keepalive_s, Ordering::Relaxed);
            peers[at] = Some(peer);
            for cidr in &spec.allowed_ips {
                match cidr.parse::<Prefix>() {
                    Ok(prefix) => routes.push((prefix, spec.id)),
                    Err(_) => *unreadable += 1,
                }
            }
        }
        Self { peers, routes: Routes::new(routes) }
    }

    pub fn get(&self, id: PeerId) -> Option<&Arc<Peer>> {
        self.peers.get(usize::from(id))?.as_ref()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Peer>> {
        self.peers.iter().flatten()
    }

    /// One more than the highest id.
    pub fn width(&self) -> usize {
        self.peers.len()
    }
}

/// "At most once a second" for a few keys; with too many keys the oldest is forgotten.
#[derive(Debug, Default)]
pub struct OncePerSecond {
    seen: Vec<(SocketAddr, u64)>,
}

impl OncePerSecond {
    const MAX_KEYS: usize = 64;

    pub fn allows(&mut self, key: SocketAddr, mono_ns: u64) -> bool {
        if let Some(entry) = self.seen.iter_mut().find(|(seen, _)| *seen == key) {
            let due = mono_ns >= entry.1 + SECOND_NS;
            if due {
                entry.1 = mono_ns;
            }
            return due;
        }
        if self.seen.len() == Self::MAX_KEYS {
            self.seen.remove(0);
        }
        self.seen.push((key, mono_ns));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(id: PeerId, key: u8, cidr: &str) -> PeerSpec {
        PeerSpec { id, public_key: [key; 32], allowed_ips: vec![cidr.to_owned()], persistent_keepalive_s: 0 }
    }

    #[test]
    fn peers_that_stay_keep_their_state_and_changed_keys_do_not() {
        let mut unreadable = 0;
        let specs = [spec(1, 1, "10.0.0.1"), spec(2, 2, "10.0.0.2")];
        let first = PeerTable::new(&specs, &PeerTable::default(), &mut unreadable);
        let specs = [spec(1, 1, "10.0.0.9"), spec(2, 3, "10.0.0.2/99")];
        let second = PeerTable::new(&specs, &first, &mut unreadable);
        assert_eq!(unreadable, 1);
        assert!(Arc::ptr_eq(first.get(1).expect("there"), second.get(1).expect("there")));
        assert!(!Arc::ptr_eq(first.get(2).expect("there"), second.get(2).expect("there")));
        assert_eq!(second.routes.lookup("10.0.0.9".parse().expect("address")), Some(1));
        assert_eq!(second.routes.lookup("10.0.0.1".parse().expect("address")), None);
        assert_eq!((second.width(), second.iter().count()), (3, 2));
    }

    #[test]
    fn limits_each_key_to_once_a_second() {
        let mut limit = OncePerSecond::default();
        let key = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert!(limit.allows(key(1), 0));
        assert!(!limit.allows(key(1), SECOND_NS - 1));
        assert!(limit.allows(key(2), 5));
        assert!(limit.allows(key(1), SECOND_NS));
        for port in 0..200 {
            limit.allows(key(port), 0);
        }
        assert_eq!(limit.seen.len(), OncePerSecond::MAX_KEYS);
    }
}
