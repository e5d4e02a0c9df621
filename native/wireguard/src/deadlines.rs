//! When each peer next needs its timers run: a binary heap that knows where everyone is, so that a deadline can be moved
//! without leaving stale entries behind. One entry per peer, no allocation but when a new greatest id appears.

use crate::PeerId;

const ABSENT: u32 = u32::MAX;

#[derive(Default)]
pub(crate) struct Deadlines {
    heap: Vec<(u64, PeerId)>,
    /// Where in `heap` a peer is.
    places: Vec<u32>,
}

impl Deadlines {
    pub fn first(&self) -> Option<(u64, PeerId)> {
        self.heap.first().copied()
    }

    /// Sets or moves a deadline; `u64::MAX` means none.
    pub fn set(&mut self, peer: PeerId, at_ns: u64) {
        if at_ns == u64::MAX {
            return self.remove(peer);
        }
        match self.place(peer) {
            Some(place) => {
                let before = self.heap[place].0;
                self.heap[place].0 = at_ns;
                if at_ns < before { self.rise(place) } else { self.sink(place) }
            }
            None => {
                let id = usize::from(peer);
                if self.places.len() <= id {
                    self.places.resize(id + 1, ABSENT);
                }
                self.heap.push((at_ns, peer));
                self.places[id] = (self.heap.len() - 1) as u32;
                self.rise(self.heap.len() - 1);
            }
        }
    }

    /// Moves a deadline only if that makes it earlier.
    pub fn advance(&mut self, peer: PeerId, at_ns: u64) {
        let earlier = self.place(peer).is_none_or(|place| at_ns < self.heap[place].0);
        if earlier {
            self.set(peer, at_ns);
        }
    }

    pub fn remove(&mut self, peer: PeerId) {
        let Some(place) = self.place(peer) else { return };
        self.places[usize::from(peer)] = ABSENT;
        let last = self.heap.len() - 1;
        self.heap.swap_remove(place);
        if place < last {
            self.places[usize::from(self.heap[place].1)] = place as u32;
            self.rise(place);
            self.sink(place);
        }
    }

    fn place(&self, peer: PeerId) -> Option<usize> {
        let place = *self.places.get(usize::from(peer))?;
        (place != ABSENT).then_some(place as usize)
    }

    fn rise(&mut self, mut at: usize) {
        while at > 0 && self.heap[at].0 < self.heap[(at - 1) / 2].0 {
            self.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    fn sink(&mut self, mut at: usize) {
        loop {
            let left = 2 * at + 1;
            if left >= self.heap.len() {
                return;
            }
            let right = left + 1;
            let least = if right < self.heap.len() && self.heap[right].0 < self.heap[left].0 { right } else { left };
            if self.heap[at].0 <= self.heap[least].0 {
                return;
            }
            self.swap(at, least);
            at = least;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.places[usize::from(self.heap[a].1)] = a as u32;
        self.places[usize::from(self.heap[b].1)] = b as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Clone, Debug)]
    enum Op {
        Set(PeerId, u64),
        Advance(PeerId, u64),
        Remove(PeerId),
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let at = prop_oneof![9 => 0u64..50, 1 => Just(u64::MAX)];
        let op = prop_oneof![
            (0u16..20, at.clone()).prop_map(|(p, t)| Op::Set(p, t)),
            (0u16..20, 0u64..50).prop_map(|(p, t)| Op::Advance(p, t)),
            (0u16..20).prop_map(Op::Remove),
        ];
        proptest::collection::vec(op, 0..200)
    }

    proptest! {
        #[test]
        fn the_first_is_always_the_least(ops in ops()) {
            let (mut heap, mut naive) = (Deadlines::default(), BTreeMap::new());
            for op in ops {
                match op {
                    Op::Set(p, u64::MAX) | Op::Remove(p) => { naive.remove(&p); }
                    Op::Set(p, t) => { naive.insert(p, t); }
                    Op::Advance(p, t) => { naive.entry(p).and_modify(|old| *old = t.min(*old)).or_insert(t); }
                }
                match op {
                    Op::Set(p, t) => heap.set(p, t),
                    Op::Advance(p, t) => heap.advance(p, t),
                    Op::Remove(p) => heap.remove(p),
                }
                prop_assert_eq!(heap.first().map(|f| f.0), naive.values().min().copied());
                if let Some((t, p)) = heap.first() {
                    prop_assert_eq!(naive.get(&p), Some(&t));
                }
                prop_assert_eq!(heap.heap.len(), naive.len());
            }
        }
    }
}
