//! Holds forwarding to a rate: a token bucket, and behind it one short queue per session, served in turn. A session that
//! sends more than its share fills its own queue only; what waits too long is dropped from the front, where the age is.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

/// What the queue may hold, in time at the set rate: more would only add delay.
const QUEUE_NS: u64 = 200_000_000;
const MAX_AGE_NS: u64 = 500_000_000;
/// So that slow rates still queue a few packets.
const QUEUE_MIN_BYTES: usize = 64 << 10;
const QUEUE_MAX_BYTES: usize = 8 << 20;
/// What may leave at once after a pause, in time at the set rate.
const BURST_NS: u64 = 20_000_000;
const BURST_MIN_BYTES: f64 = 16.0 * 1024.0;
/// Trains are queued in parts of this many packets, so that turns stay short.
const PART_SEGMENTS: usize = 8;
/// What a session may send more at each of its turns, as a deficit round robin: shares are of bytes, not of packets.
const QUANTUM_BYTES: usize = 1500;

/// Equal packets for one address.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
    pub stride: usize,
    at_ns: u64,
}

#[derive(Default)]
struct Lane {
    parts: VecDeque<Part>,
    bytes: usize,
    credit: usize,
}

pub struct Shaper {
    /// 0 for no limit.
    rate: u64,
    tokens: f64,
    at_ns: u64,
    lanes: HashMap<u32, Lane>,
    /// Lanes that hold something, in order of service.
    turns: VecDeque<u32>,
    bytes: usize,
    pub dropped: u64,
}

impl Shaper {
    pub fn new() -> Self {
        let (lanes, turns) = (HashMap::new(), VecDeque::new());
        Self { rate: 0, tokens: 0.0, at_ns: 0, lanes, turns, bytes: 0, dropped: 0 }
    }

    pub fn set_rate(&mut self, bytes_per_second: u64, now_ns: u64) {
        if self.rate == bytes_per_second {
            return;
        }
        self.rate = bytes_per_second;
        self.tokens = self.burst();
        self.at_ns = now_ns;
    }

    pub fn is_off(&self) -> bool {
        self.rate == 0 && self.turns.is_empty()
    }

    fn burst(&self) -> f64 {
        (self.rate as f64 * BURST_NS as f64 / 1e9).max(BURST_MIN_BYTES)
    }

    fn refill(&mut self, now_ns: u64) {
        let gained = now_ns.saturating_sub(self.at_ns) as f64 * self.rate as f64 / 1e9;
        self.tokens = (self.tokens + gained).min(self.burst());
        self.at_ns = now_ns;
    }

    /// Discovery goes first and is charged; it only waits when it alone exceeds the rate.
    pub fn admits_first(&mut self, bytes: usize, now_ns: u64) -> bool {
        self.refill(now_ns);
        let admits = self.tokens > -self.burst();
        if admits {
            self.tokens -= bytes as f64;
        }
        admits
    }

    /// Queues a copy of a train for later `take`s.
    pub fn push(&mut self, vni: u32, to: SocketAddr, train: &[u8], stride: usize, now_ns: u64) {
        let limit = (self.rate as u128 * u128::from(QUEUE_NS) / 1_000_000_000) as usize;
        let limit = limit.clamp(QUEUE_MIN_BYTES, QUEUE_MAX_BYTES);
        for part in train.chunks(stride * PART_SEGMENTS) {
            let others = self.turns.len() - usize::from(self.lanes.contains_key(&vni));
            let lane = self.lanes.entry(vni).or_default();
            let share = limit / (others + 1);
            if lane.bytes + part.len() > share.max(part.len()) || self.bytes + part.len() > 2 * limit {
                self.dropped += part.len().div_ceil(stride) as u64;
            } else {
                if lane.parts.is_empty() {
                    self.turns.push_back(vni);
                }
                lane.bytes += part.len();
                self.bytes += part.len();
                lane.parts.push_back(Part { to, bytes: part.to_vec(), stride, at_ns: now_ns });
            }
            if lane.parts.is_empty() {
                self.lanes.remove(&vni);
            }
        }
    }

    /// The next part that may leave now.
    pub fn take(&mut self, now_ns: u64) -> Option<Part> {
        self.refill(now_ns);
        loop {
            if self.rate != 0 && self.tokens <= 0.0 {
                return None;
            }
            let vni = self.turns.pop_front()?;
            let lane = self.lanes.get_mut(&vni)?;
            let bytes = lane.parts.front().map_or(0, |part| part.bytes.len());
            if lane.credit < bytes {
                lane.credit += QUANTUM_BYTES;
                self.turns.push_back(vni);
                continue;
            }
            let part = lane.parts.pop_front();
            lane.credit -= bytes;
            lane.bytes -= bytes;
            self.bytes -= bytes;
            if lane.parts.is_empty() {
                self.lanes.remove(&vni);
            } else {
                self.turns.push_front(vni);
            }
            let Some(part) = part else { continue };
            if now_ns.saturating_sub(part.at_ns) > MAX_AGE_NS {
                self.dropped += part.bytes.len().div_ceil(part.stride) as u64;
                continue;
            }
            // Into debt by at most one part: a rate lower than a packet still lets packets through.
            self.tokens -= bytes as f64;
            return Some(part);
        }
    }

    /// How long until `take` gives something; none when nothing waits.
    pub fn wait_ms(&self, now_ns: u64) -> Option<u64> {
        if self.turns.is_empty() {
            return None;
        }
        let passed = now_ns.saturating_sub(self.at_ns) as f64 * self.rate as f64 / 1e9;
        let missing = -(self.tokens + passed);
        if missing < 0.0 || self.rate == 0 {
            return Some(0);
        }
        Some((missing * 1000.0 / self.rate as f64) as u64 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const RATE: u64 = 1_000_000;

    fn to() -> SocketAddr {
        "192.0.2.1:1".parse().unwrap()
    }

    /// Bytes per VNI that leave within `ms` when each session offers `offered` packets of 1000 bytes each millisecond.
    fn run(shaper: &mut Shaper, offered: &[(u32, usize)], ms: u64) -> HashMap<u32, usize> {
        let mut left = HashMap::new();
        for now in 1..=ms {
            for (vni, packets) in offered {
                let train = vec![*vni as u8; 1000 * packets];
                shaper.push(*vni, to(), &train, 1000, now * MS);
            }
            while let Some(part) = shaper.take(now * MS) {
                *left.entry(u32::from(part.bytes[0])).or_default() += part.bytes.len();
            }
        }
        left
    }

    #[test]
    fn keeps_to_the_rate_and_shares_it() {
        let mut shaper = Shaper::new();
        shaper.set_rate(RATE, 0);
        let left = run(&mut shaper, &[(1, 20), (2, 1)], 2_000);
        let total: usize = left.values().sum();
        assert!((1_900_000..2_100_000).contains(&total), "{total}");
        assert!(left[&2] > 800_000, "the modest session keeps its share: {left:?}");
        assert!(shaper.bytes <= 2 * 200_000 && shaper.dropped > 0);
    }

    #[test]
    fn under_the_rate_nothing_is_lost_or_held() {
        let mut shaper = Shaper::new();
        shaper.set_rate(3 * RATE, 0);
        let left = run(&mut shaper, &[(1, 1), (2, 1)], 1_000);
        assert_eq!((left[&1], left[&2], shaper.dropped), (1_000_000, 1_000_000, 0));
        assert!(shaper.wait_ms(1_000 * MS).is_none());
    }

    #[test]
    fn the_old_is_dropped_and_the_queue_empties_without_a_rate() {
        let mut shaper = Shaper::new();
        shaper.set_rate(1, 0);
        shaper.push(1, to(), &[1; 40_000], 1000, MS);
        while shaper.take(MS).is_some() {}
        assert!(shaper.wait_ms(MS).is_some_and(|ms| ms > 0));
        shaper.push(1, to(), &[2; 500], 500, 900 * MS);
        shaper.set_rate(0, 900 * MS);
        assert_eq!(shaper.take(900 * MS).map(|part| part.bytes.len()), Some(500));
        assert!(shaper.take(900 * MS).is_none() && shaper.is_off());
    }

    #[test]
    fn discovery_goes_first_but_not_without_end() {
        let mut shaper = Shaper::new();
        shaper.set_rate(RATE, 0);
        let admitted = (0..100_000).filter(|_| shaper.admits_first(100, 0)).count();
        assert!((300..1_000).contains(&admitted), "{admitted}");
    }
}
