//! The tunnel: peers, their indices and deadlines, and the gate in front of handshakes.

use crate::activity::{Activity, Requests};
use crate::constants::*;
use crate::cookie::{Gate, Verdict, receiver_of};
use crate::crypto::{Key, RandomError, random};
use crate::deadlines::Deadlines;
use crate::indices::Indices;
use crate::noise::{Local, Remote, read_name};
use crate::output::{Counters, Handled, Output, Refusal};
use crate::peer::{Context, Peer, Stamps};
use crate::session::receiver_index;
use crate::source::Source;
use crate::wire::*;
use crate::{Message, PeerId};
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use x25519_dalek::StaticSecret;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// How a tunnel starts.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct TunnelConfig {
    pub private_key: [u8; 32],
    /// Handshake messages a second above which senders must show a cookie first. One costs up to 0.3 ms.
    pub handshakes_per_second: u32,
}

impl TunnelConfig {
    pub fn new(private_key: [u8; 32]) -> Self {
        Self { private_key, handshakes_per_second: 250 }
    }
}

#[derive(Zeroize, ZeroizeOnDrop)]
pub struct PeerConfig {
    pub public_key: [u8; 32],
    pub preshared_key: Option<[u8; 32]>,
    /// Something is sent at least this often, also without a session; 0 is off.
    pub persistent_keepalive_s: u16,
}

impl PeerConfig {
    pub fn new(public_key: [u8; 32]) -> Self {
        Self { public_key, preshared_key: None, persistent_keepalive_s: 0 }
    }
}

/// Why a peer was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerError {
    /// No secret can be shared with this public key.
    InvalidKey,
    /// It is this node's own key.
    OwnKey,
    /// A peer with another id has this key; remove that one first.
    KeyInUse(PeerId),
}

impl std::fmt::Display for PeerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PeerError::InvalidKey => f.write_str("no secret can be shared with this public key"),
            PeerError::OwnKey => f.write_str("the public key is this node's own"),
            PeerError::KeyInUse(id) => write!(f, "peer {id} has the same public key"),
        }
    }
}

impl std::error::Error for PeerError {}

pub struct Tunnel {
    cx: Context,
    peers: Vec<Option<Box<Peer>>>,
    ids: HashMap<Key, PeerId>,
    deadlines: Deadlines,
    gate: Gate,
    requests: Arc<Requests>,
    counters: Counters,
}

impl Tunnel {
    /// `unix_ns` is the wall clock at `now_ns`; the timestamps of initiations are counted on from there.
    pub fn new(config: &TunnelConfig, now_ns: u64, unix_ns: u64) -> Result<Self, RandomError> {
        random::<32>()?; // a system without randomness should be noticed here, not at the first handshake
        Ok(Self {
            cx: Context {
                local: Local::new(StaticSecret::from(config.private_key)),
                indices: Indices::default(),
                outputs: VecDeque::with_capacity(2 * OUTPUT_SOFT_LIMIT),
                stamps: Stamps { base_now_ns: now_ns, base_unix_ns: unix_ns, last_unix_ns: 0 },
            },
            peers: Vec::new(),
            ids: HashMap::new(),
            deadlines: Deadlines::default(),
            gate: Gate::new(config.handshakes_per_second),
            requests: Arc::new(Requests::new()),
            counters: Counters::default(),
        })
    }

    /// Tells what the wall clock says, after it was set or the machine slept. Timestamps never go back.
    pub fn set_wall_clock(&mut self, now_ns: u64, unix_ns: u64) {
        self.cx.stamps.base_now_ns = now_ns;
        self.cx.stamps.base_unix_ns = unix_ns;
    }

    /// Becomes another node: all sessions are forgotten. A peer that has this very key is removed.
    pub fn set_private_key(&mut self, private_key: &[u8; 32]) {
        self.forget_sessions();
        self.cx.local = Local::new(StaticSecret::from(*private_key));
        for id in 0..self.peers.len() {
            let Some(peer) = &mut self.peers[id] else { continue };
            let public = peer.remote.schedule.public;
            let remote = Remote::new(&self.cx.local, public, peer.remote.preshared_key.clone());
            match remote.filter(|_| public != self.cx.local.schedule.public) {
                Some(remote) => peer.remote = remote,
                None => {
                    self.remove_peer(id as PeerId);
                }
            }
        }
    }

    pub fn public_key(&self) -> [u8; 32] {
        self.cx.local.schedule.public
    }

    /// Adds or updates a peer. With the key it had, its sessions stay, and a new preshared key waits for the next
    /// handshake. With another key it is a new peer.
    pub fn set_peer(&mut self, now_ns: u64, id: PeerId, config: &PeerConfig) -> Result<Arc<Activity>, PeerError> {
        if config.public_key == self.cx.local.schedule.public {
            return Err(PeerError::OwnKey);
        }
        if let Some(other) = self.ids.get(&config.public_key).filter(|other| **other != id) {
            return Err(PeerError::KeyInUse(*other));
        }
        let preshared_key = Zeroizing::new(config.preshared_key.unwrap_or([0; 32]));
        if !self.ids.contains_key(&config.public_key) {
            let remote = Remote::new(&self.cx.local, config.public_key, preshared_key.clone());
            let remote = remote.ok_or(PeerError::InvalidKey)?;
            self.remove_peer(id);
            let slot = usize::from(id);
            if self.peers.len() <= slot {
                self.peers.resize_with(slot + 1, || None);
            }
            let activity = Arc::new(Activity::new(id, self.requests.clone()));
            self.peers[slot] = Some(Box::new(Peer::new(id, remote, activity)));
            self.ids.insert(config.public_key, id);
        }
        let peer = find(&mut self.peers, id).ok_or(PeerError::InvalidKey)?;
        peer.remote.preshared_key = preshared_key;
        peer.persistent_keepalive_ns = u64::from(config.persistent_keepalive_s) * 1_000_000_000;
        self.deadlines.set(id, peer.deadline(now_ns));
        Ok(peer.activity.clone())
    }

    pub fn remove_peer(&mut self, id: PeerId) -> bool {
        let Some(mut peer) = self.peers.get_mut(usize::from(id)).and_then(Option::take) else { return false };
        peer.forget(&mut self.cx);
        self.ids.remove(&peer.remote.schedule.public);
        self.deadlines.remove(id);
        true
    }

    pub fn activity(&self, id: PeerId) -> Option<&Arc<Activity>> {
        self.peers.get(usize::from(id))?.as_ref().map(|peer| &peer.activity)
    }

    pub fn peer_by_key(&self, public_key: &[u8; 32]) -> Option<PeerId> {
        self.ids.get(public_key).copied()
    }

    /// Takes one datagram, whatever it is. Packets are opened in place.
    pub fn handle(&mut self, now_ns: u64, source: &Source, datagram: &mut [u8]) -> Handled {
        let handled = match datagram {
            [TRANSPORT, 0, 0, 0, ..] => self.handle_transport(now_ns, datagram),
            [INITIATION, 0, 0, 0, ..] => self.handle_initiation(now_ns, source, datagram),
            [RESPONSE, 0, 0, 0, ..] => self.handle_response(now_ns, source, datagram),
            [COOKIE_REPLY, 0, 0, 0, ..] => self.handle_cookie_reply(now_ns, datagram),
            _ => Err(Refusal::Malformed),
        };
        handled.unwrap_or_else(|why| {
            self.counters.count(why);
            Handled::Refused(why)
        })
    }

    fn handle_transport(&mut self, now_ns: u64, message: &mut [u8]) -> Result<Handled, Refusal> {
        if message.len() < HEADER_BYTES + TAG_BYTES {
            return Err(Refusal::Malformed);
        }
        let index = receiver_index(message);
        let id = self.cx.indices.find(index).ok_or(Refusal::UnknownIndex)?;
        let peer = find(&mut self.peers, id).ok_or(Refusal::UnknownIndex)?;
        let payload: Range<usize> = peer.open(&mut self.cx, now_ns, index, message)?;
        if payload.is_empty() {
            // It may have confirmed a session, and with that moved everything.
            self.deadlines.advance(id, peer.deadline(now_ns));
            return Ok(Handled::Keepalive { peer: id });
        }
        self.deadlines.advance(id, peer.deadline_after_data());
        Ok(Handled::Data { peer: id, payload })
    }

    fn handle_initiation(&mut self, now_ns: u64, source: &Source, message: &[u8]) -> Result<Handled, Refusal> {
        let message: &[u8; INITIATION_BYTES] = message.try_into().map_err(|_| Refusal::Malformed)?;
        self.pass_gate(now_ns, source, message)?;
        let named = read_name(&self.cx.local, message).ok_or(Refusal::Forged)?;
        let id = self.peer_by_key(&named.static_public).ok_or(Refusal::UnknownPeer)?;
        let peer = find(&mut self.peers, id).ok_or(Refusal::UnknownPeer)?;
        peer.answer(&mut self.cx, now_ns, named, message)?;
        self.deadlines.set(id, peer.deadline(now_ns));
        Ok(Handled::Handshake { peer: id })
    }

    fn handle_response(&mut self, now_ns: u64, source: &Source, message: &[u8]) -> Result<Handled, Refusal> {
        let message: &[u8; RESPONSE_BYTES] = message.try_into().map_err(|_| Refusal::Malformed)?;
        self.pass_gate(now_ns, source, message)?;
        let index = u32_at(message, 8);
        let id = self.cx.indices.find(index).ok_or(Refusal::UnknownIndex)?;
        let peer = find(&mut self.peers, id).ok_or(Refusal::UnknownIndex)?;
        peer.finish(&mut self.cx, now_ns, index, message)?;
        self.deadlines.set(id, peer.deadline(now_ns));
        Ok(Handled::Handshake { peer: id })
    }

    fn handle_cookie_reply(&mut self, now_ns: u64, message: &[u8]) -> Result<Handled, Refusal> {
        let reply: &[u8; COOKIE_REPLY_BYTES] = message.try_into().map_err(|_| Refusal::Malformed)?;
        let id = self.cx.indices.find(receiver_of(reply)).ok_or(Refusal::UnknownIndex)?;
        let peer = find(&mut self.peers, id).ok_or(Refusal::UnknownIndex)?;
        if !peer.cookies.accept(now_ns, &peer.remote.schedule.cookie_key, reply) {
            return Err(Refusal::Forged);
        }
        Ok(Handled::Cookie { peer: id })
    }

    fn pass_gate(&mut self, now_ns: u64, source: &Source, message: &[u8]) -> Result<(), Refusal> {
        if self.cx.is_busy() {
            return Err(Refusal::Busy);
        }
        match self.gate.judge(now_ns, &self.cx.local.schedule, source, message) {
            Verdict::Proceed => Ok(()),
            Verdict::WrongMac1 => Err(Refusal::WrongMac1),
            Verdict::NeedsCookie(reply) => {
                let message = Message::new(&reply);
                self.cx.outputs.push_back(Output::Reply { source: *source, message });
                Err(Refusal::UnderLoad)
            }
            Verdict::RateLimited => Err(Refusal::RateLimited),
            Verdict::NoRandom => Err(Refusal::NoRandom),
        }
    }

    /// Wants a handshake with this peer: at once, or 5 s after the last initiation.
    pub fn initiate(&mut self, now_ns: u64, id: PeerId) {
        self.start(now_ns, id, Peer::begin_attempt);
    }

    /// For a path that just appeared: if there is no fresh session, an initiation goes out without waiting those 5 s, as
    /// earlier ones may have gone nowhere.
    pub fn initiate_now(&mut self, now_ns: u64, id: PeerId) {
        self.start(now_ns, id, Peer::hasten_attempt);
    }

    fn start(&mut self, now_ns: u64, id: PeerId, begin: impl FnOnce(&mut Peer, u64)) {
        let Some(peer) = find(&mut self.peers, id) else { return };
        begin(peer, now_ns);
        if !self.cx.is_busy() {
            peer.continue_attempt(&mut self.cx, now_ns);
        }
        self.deadlines.set(id, peer.deadline(now_ns));
    }

    /// Runs what is due, up to a bound; `next_wake` tells if there is more.
    pub fn poll(&mut self, now_ns: u64) {
        let mut initiations = 0;
        self.requests.drain(|id| {
            if let Some(peer) = find(&mut self.peers, id) {
                peer.serve_request(now_ns);
                self.deadlines.advance(id, peer.deadline(now_ns));
            }
            true
        });
        while let Some((at_ns, id)) = self.deadlines.first() {
            if at_ns > now_ns || initiations >= INITIATIONS_PER_POLL || self.cx.is_busy() {
                return;
            }
            let Some(peer) = find(&mut self.peers, id) else {
                self.deadlines.remove(id);
                continue;
            };
            initiations += u32::from(peer.run_timers(&mut self.cx, now_ns));
            // A deadline that did not move would hold this loop for ever.
            self.deadlines.set(id, peer.deadline(now_ns).max(now_ns.saturating_add(1_000_000)));
        }
    }

    /// When `poll` should be called next; a time that is past means at once.
    pub fn next_wake(&self) -> Option<u64> {
        if !self.requests.is_empty() {
            return Some(0);
        }
        self.deadlines.first().map(|(at_ns, _)| at_ns)
    }

    /// The next piece of work. To be called until `None` after anything that may make some.
    pub fn next_output(&mut self) -> Option<Output> {
        self.cx.outputs.pop_front()
    }

    /// Drops all session keys, as if all peers were new; for a caller that knows its clock stood still.
    pub fn forget_sessions(&mut self) {
        for peer in self.peers.iter_mut().flatten() {
            peer.forget(&mut self.cx);
            self.deadlines.set(peer.id, peer.deadline(0));
        }
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    #[cfg(test)]
    pub(crate) fn indices_in_use(&self) -> usize {
        self.cx.indices.len()
    }
}

fn find(peers: &mut [Option<Box<Peer>>], id: PeerId) -> Option<&mut Peer> {
    peers.get_mut(usize::from(id))?.as_deref_mut()
}
