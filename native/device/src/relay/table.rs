//! Who is relayed to whom, by VNI. TypeScript writes it, the forwarding thread reads it and counts.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// Four times what TypeScript allows by default; a bound for its mistakes.
const MAX_SESSIONS: usize = 65_536;

#[derive(Debug, Default)]
pub struct Side {
    /// Monotonic; 0 for never.
    pub last_seen_ns: AtomicU64,
    pub packets: AtomicU64,
    pub bytes: AtomicU64,
}

#[derive(Debug, Default)]
pub struct Session {
    ends: [Option<SocketAddr>; 2],
    pub sides: [Side; 2],
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
    /// Adds a session or moves its ends; counters stay. False when the table is full.
    pub fn bind(&self, vni: u32, ends: [Option<SocketAddr>; 2]) -> bool {
        let mut sessions = self.sessions.write().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= MAX_SESSIONS && !sessions.contains_key(&vni) {
            return false;
        }
        sessions.entry(vni).or_default().ends = ends;
        true
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
        table.bind(7, [Some(a), None]);
        assert!(table.read()[&7].route(a).is_none());
        table.bind(7, [Some(a), Some(b)]);
        table.read()[&7].route(a).unwrap().1.count(2, 100, 5);
        assert_eq!(table.read()[&7].route(b).unwrap().0, a);
        assert!(table.read()[&7].route("192.0.2.1:9".parse().unwrap()).is_none());
        table.bind(7, [Some("192.0.2.9:9".parse().unwrap()), Some(b)]);
        assert_eq!(table.read()[&7].sides[0].bytes.load(Ordering::Relaxed), 100);
        table.unbind(7);
        assert!(table.read().is_empty());
    }
}
