//! Who is relayed to whom, by VNI. TypeScript writes it, the forwarding thread reads it and counts.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

/// Four times what TypeScript allows by default; a bound for its mistakes.
const MAX_SESSIONS: usize = 65_536;
/// Clients ping each other right behind the answer that binds them, before TypeScript has seen that answer. A few of these
/// are held for as long as that can take; longer would make the path look slow to whoever times the ping.
const EARLY_PACKETS: usize = 4;
const EARLY_NS: u64 = 250_000_000;

#[derive(Debug, Default)]
pub struct Side {
    /// Monotonic; 0 for never.
    pub last_seen_ns: AtomicU64,
    pub packets: AtomicU64,
    pub bytes: AtomicU64,
}

#[derive(Debug)]
struct Early {
    from: SocketAddr,
    bytes: Vec<u8>,
    at_ns: u64,
}

#[derive(Debug, Default)]
pub struct Session {
    ends: [Option<SocketAddr>; 2],
    pub sides: [Side; 2],
    early: Mutex<Vec<Early>>,
}

impl Session {
    /// Where a packet from `from` goes, and which side sent it; none until both sides are bound.
    pub fn route(&self, from: SocketAddr) -> Option<(SocketAddr, &Side)> {
        match self.ends {
            [Some(a), Some(b)] if a == from => Some((b, &self.sides[0])),
            [Some(a), Some(b)] if b == from => Some((a, &self.sides[1])),
            _ => None,
        }
    }

    /// Keeps a discovery packet that has no route yet.
    pub fn hold(&self, from: SocketAddr, packet: &[u8], now_ns: u64) {
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        if early.len() == EARLY_PACKETS {
            early.remove(0);
        }
        early.push(Early { from, bytes: packet.to_vec(), at_ns: now_ns });
    }
}

impl Side {
    pub fn count(&self, packets: u64, bytes: u64, now_ns: u64) {
        self.packets.fetch_add(packets, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.last_seen_ns.store(now_ns, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
pub struct Table {
    sessions: RwLock<HashMap<u32, Session>>,
}

impl Table {
    /// Adds a session or moves its ends; counters stay. Gives the held packets that now have somewhere to go; none when
    /// the table is full.
    pub fn bind(&self, vni: u32, ends: [Option<SocketAddr>; 2], now_ns: u64) -> Option<Vec<(SocketAddr, Vec<u8>)>> {
        let mut sessions = self.sessions.write().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= MAX_SESSIONS && !sessions.contains_key(&vni) {
            return None;
        }
        let session = sessions.entry(vni).or_default();
        session.ends = ends;
        let held = std::mem::take(&mut *session.early.lock().unwrap_or_else(PoisonError::into_inner));
        let (mut ready, mut left) = (Vec::new(), Vec::new());
        for early in held {
            if now_ns.saturating_sub(early.at_ns) > EARLY_NS {
                continue;
            }
            match session.route(early.from) {
                Some((to, side)) => {
                    side.count(1, early.bytes.len() as u64, now_ns);
                    ready.push((to, early.bytes));
                }
                None => left.push(early),
            }
        }
        session.early = Mutex::new(left);
        Some(ready)
    }

    pub fn unbind(&self, vni: u32) {
        self.sessions.write().unwrap_or_else(PoisonError::into_inner).remove(&vni);
    }

    pub fn read(&self) -> RwLockReadGuard<'_, HashMap<u32, Session>> {
        self.sessions.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_between_two_bound_ends_only() {
        let (a, b): (SocketAddr, SocketAddr) = ("192.0.2.1:1".parse().unwrap(), "[2001:db8::1]:2".parse().unwrap());
        let table = Table::default();
        table.bind(7, [Some(a), None], 0);
        assert!(table.read()[&7].route(a).is_none());
        table.bind(7, [Some(a), Some(b)], 0);
        table.read()[&7].route(a).unwrap().1.count(2, 100, 5);
        assert_eq!(table.read()[&7].route(b).unwrap().0, a);
        assert!(table.read()[&7].route("192.0.2.1:9".parse().unwrap()).is_none());
        table.bind(7, [Some("192.0.2.9:9".parse().unwrap()), Some(b)], 0);
        assert_eq!(table.read()[&7].sides[0].bytes.load(Ordering::Relaxed), 100);
        table.unbind(7);
        assert!(table.read().is_empty());
    }

    #[test]
    fn what_came_just_before_its_bind_goes_through_with_it() {
        let (a, b): (SocketAddr, SocketAddr) = ("192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap());
        let stranger = "192.0.2.3:3".parse().unwrap();
        let table = Table::default();
        table.bind(7, [None, None], 0);
        table.read()[&7].hold(stranger, b"no", 0);
        table.read()[&7].hold(a, b"late", 0);
        table.read()[&7].hold(a, b"ping a", EARLY_NS);
        assert_eq!(table.bind(7, [Some(a), None], EARLY_NS + 1), Some(vec![]));
        table.read()[&7].hold(b, b"ping b", EARLY_NS + 2);
        let ready = table.bind(7, [Some(a), Some(b)], EARLY_NS + 3).unwrap();
        assert_eq!(ready, [(b, b"ping a".to_vec()), (a, b"ping b".to_vec())]);
        for n in 0..100u8 {
            table.read()[&7].hold(stranger, &[n], EARLY_NS);
        }
        assert_eq!(table.read()[&7].early.lock().unwrap().len(), EARLY_PACKETS);
        assert_eq!(table.bind(7, [Some(a), Some(b)], EARLY_NS + 3), Some(vec![]));
    }
}
