//! What the sending thread tells the timers of the receiving one, without locks and without waking it.

use crate::PeerId;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};

/// On its own cache line, so that both threads can write all day without taking the line from each other.
#[repr(align(64))]
#[derive(Default)]
struct Line<T>(T);

#[derive(Default)]
struct BySender {
    last_sent_ns: AtomicU64,
    last_data_sent_ns: AtomicU64,
}

#[derive(Default)]
struct ByReceiver {
    last_received_ns: AtomicU64,
    last_handshake_ns: AtomicU64,
    asking_since_ns: AtomicU64,
}

/// Traffic notes of one peer. Times are nanoseconds of the tunnel's clock; 0 means never.
pub struct Activity {
    sender: Line<BySender>,
    receiver: Line<ByReceiver>,
    /// When data went out that nothing answered yet. Written by both, but only when it changes between 0 and a time.
    unanswered_since_ns: AtomicU64,
    handshake_wanted: AtomicBool,
    peer: PeerId,
    requests: Arc<Requests>,
}

impl Activity {
    pub(crate) fn new(peer: PeerId, requests: Arc<Requests>) -> Self {
        Self {
            sender: Line::default(),
            receiver: Line::default(),
            unanswered_since_ns: AtomicU64::new(0),
            handshake_wanted: AtomicBool::new(false),
            peer,
            requests,
        }
    }

    /// To be called once per train, after sealed data was handed to the socket.
    pub fn note_data_sent(&self, now_ns: u64) {
        self.sender.0.last_data_sent_ns.store(now_ns, Relaxed);
        self.note_sent(now_ns);
        if self.unanswered_since_ns.load(Relaxed) == 0 {
            self.unanswered_since_ns.store(now_ns, Relaxed);
        }
    }

    /// Asks for a handshake: there is no session, it expired, or `rekey_due`. `true` means the receiving thread has to be
    /// woken and will find the request in `Tunnel::poll`; `false` means it already knows.
    pub fn want_handshake(&self) -> bool {
        // A plain load first: this is called for every packet while a handshake is under way.
        if self.handshake_wanted.load(Relaxed) || self.handshake_wanted.swap(true, AcqRel) {
            return false;
        }
        self.requests.add(self.peer);
        true
    }

    pub fn last_sent_ns(&self) -> u64 {
        self.sender.0.last_sent_ns.load(Relaxed)
    }

    pub fn last_data_sent_ns(&self) -> u64 {
        self.sender.0.last_data_sent_ns.load(Relaxed)
    }

    /// Arrival of the last authenticated message of any kind.
    pub fn last_received_ns(&self) -> u64 {
        self.receiver.0.last_received_ns.load(Relaxed)
    }

    /// When the newest handshake completed: the response was accepted, or the first data came on a session we answered.
    pub fn last_handshake_ns(&self) -> u64 {
        self.receiver.0.last_handshake_ns.load(Relaxed)
    }

    /// Since when initiations have been going out without an answer; 0 while there is no need of one.
    pub fn asking_since_ns(&self) -> u64 {
        self.receiver.0.asking_since_ns.load(Relaxed)
    }

    pub(crate) fn note_asked(&self, now_ns: u64) {
        if self.asking_since_ns() == 0 {
            self.receiver.0.asking_since_ns.store(now_ns, Relaxed);
        }
        self.note_sent(now_ns);
    }

    pub(crate) fn note_sent(&self, now_ns: u64) {
        self.sender.0.last_sent_ns.store(now_ns, Relaxed);
    }

    pub(crate) fn note_received(&self, now_ns: u64) {
        self.receiver.0.last_received_ns.store(now_ns, Relaxed);
        self.forget_unanswered();
    }

    pub(crate) fn note_handshake(&self, now_ns: u64) {
        self.receiver.0.last_handshake_ns.store(now_ns, Relaxed);
        self.handshake_settled();
    }

    /// The attempt ended without an answer; the next packet may ask again.
    pub(crate) fn handshake_settled(&self) {
        self.receiver.0.asking_since_ns.store(0, Relaxed);
        self.handshake_wanted.store(false, Release);
    }

    pub(crate) fn unanswered_since_ns(&self) -> u64 {
        self.unanswered_since_ns.load(Relaxed)
    }

    pub(crate) fn forget_unanswered(&self) {
        if self.unanswered_since_ns.load(Relaxed) != 0 {
            self.unanswered_since_ns.store(0, Relaxed);
        }
    }
}

const WORDS: usize = (PeerId::MAX as usize + 1) / 64;

/// The set of peers for which a handshake was asked: a bit each, so that no request is ever lost or counted twice.
pub(crate) struct Requests {
    any: AtomicBool,
    words: Box<[AtomicU64]>,
}

impl Requests {
    pub fn new() -> Self {
        Self { any: AtomicBool::new(false), words: (0..WORDS).map(|_| AtomicU64::new(0)).collect() }
    }

    pub fn add(&self, peer: PeerId) {
        self.words[usize::from(peer) / 64].fetch_or(1 << (peer % 64), Release);
        self.any.store(true, Release);
    }

    /// Hands over the requests, until `take` says to stop; what is left then comes the next time.
    pub fn drain(&self, mut take: impl FnMut(PeerId) -> bool) {
        if !self.any.swap(false, AcqRel) {
            return;
        }
        for (i, word) in self.words.iter().enumerate() {
            while let bits @ 1.. = word.load(Acquire) {
                let bit = bits.trailing_zeros();
                // Cleared before the hand-over: a request made meanwhile must set it again, not be wiped with this one.
                word.fetch_and(!(1 << bit), AcqRel);
                let peer = (i * 64) as PeerId + bit as PeerId;
                if !take(peer) {
                    self.add(peer);
                    return;
                }
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        !self.any.load(Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_once_and_a_refused_one_comes_back() {
        let requests = Arc::new(Requests::new());
        let peers: Vec<Activity> = [1, 63, 64, u16::MAX].map(|p| Activity::new(p, requests.clone())).into();
        for peer in &peers {
            assert!(peer.want_handshake());
            assert!(!peer.want_handshake());
        }
        let mut got = Vec::new();
        requests.drain(|p| {
            let room = got.len() < 2;
            if room {
                got.push(p);
            }
            room
        });
        assert_eq!(got, [1, 63]);
        assert!(!requests.is_empty());
        requests.drain(|p| {
            got.push(p);
            true
        });
        assert_eq!(got, [1, 63, 64, u16::MAX]);
        assert!(requests.is_empty());
        peers[0].handshake_settled();
        assert!(peers[0].want_handshake());
    }
}
