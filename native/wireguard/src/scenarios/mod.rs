//! Whole tunnels talking to each other, and to another implementation, in virtual time.

mod cookies;
mod handshake;
mod hostile;
mod oracle;
mod timers;

use crate::*;
use std::net::SocketAddr;
use std::sync::Arc;

pub(crate) const SECOND_NS: u64 = 1_000_000_000;
pub(crate) const MTU: usize = 1280;
const UNIX_NS: u64 = 1_800_000_000 * SECOND_NS;

pub(crate) fn private_key(seed: u8) -> [u8; 32] {
    std::array::from_fn(|i| seed.wrapping_mul(31).wrapping_add(i as u8))
}

pub(crate) fn source(port: u16) -> Source {
    Source::udp(SocketAddr::from(([192, 0, 2, 1], port)))
}

/// A node with one peer, which plays both threads: it keeps the send session and stages one packet.
pub(crate) struct Node {
    pub tunnel: Tunnel,
    pub activity: Arc<Activity>,
    pub session: Option<Arc<SendSession>>,
    pub staged: Option<Vec<u8>>,
    pub source: Source,
    /// Data that arrived, without its padding.
    pub got: Vec<Vec<u8>>,
    pub sent: Vec<SendKind>,
    pub done: Vec<Role>,
    pub failed: usize,
    pub gone: usize,
    /// Nothing of this node's reaches the other while set.
    pub mute: bool,
}

pub(crate) const PEER: PeerId = 7;

impl Node {
    pub fn new(config: &TunnelConfig, peer: &PeerConfig, port: u16) -> Self {
        let mut tunnel = Tunnel::new(config, SECOND_NS, UNIX_NS).unwrap();
        let activity = tunnel.set_peer(SECOND_NS, PEER, peer).unwrap();
        Self {
            tunnel,
            activity,
            session: None,
            staged: None,
            source: source(port),
            got: Vec::new(),
            sent: Vec::new(),
            done: Vec::new(),
            failed: 0,
            gone: 0,
            mute: false,
        }
    }

    /// What the sending thread does with a packet. Returns the datagram if there is one.
    pub fn seal(&mut self, now_ns: u64, packet: &[u8]) -> Option<Vec<u8>> {
        let Some(session) = self.session.clone().filter(|s| !s.is_expired(now_ns)) else {
            self.staged = Some(packet.to_vec());
            self.activity.want_handshake();
            return None;
        };
        let mut buf = vec![0xaa; HEADER_BYTES];
        buf.extend_from_slice(packet);
        buf.resize(sealed_len(packet.len(), MTU), 0xaa);
        let len = session.seal(now_ns, &mut buf, packet.len(), MTU).unwrap();
        assert_eq!(len, buf.len());
        self.activity.note_data_sent(now_ns);
        if session.rekey_due(now_ns) {
            self.activity.want_handshake();
        }
        Some(buf)
    }

    /// Takes all outputs; what is for the other side comes back.
    pub fn drain(&mut self, now_ns: u64) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        while let Some(output) = self.tunnel.next_output() {
            match output {
                Output::Send { peer, kind, message } => {
                    assert_eq!(peer, PEER);
                    self.sent.push(kind);
                    out.push(message.to_vec());
                }
                Output::Reply { message, .. } => out.push(message.to_vec()),
                Output::SessionReady { session, .. } => {
                    self.session = Some(session);
                    let staged = self.staged.take();
                    out.extend(staged.and_then(|packet| self.seal(now_ns, &packet)));
                }
                Output::SessionGone { .. } => {
                    self.session = None;
                    self.gone += 1;
                }
                Output::HandshakeDone { role, .. } => self.done.push(role),
                Output::HandshakeFailed { .. } => self.failed += 1,
            }
        }
        out
    }

    pub fn receive(&mut self, now_ns: u64, from: &Source, datagram: &[u8]) -> Handled {
        let mut datagram = datagram.to_vec();
        let handled = self.tunnel.handle(now_ns, from, &mut datagram);
        if let Handled::Data { peer, payload } = &handled {
            assert_eq!(*peer, PEER);
            self.got.push(datagram[payload.clone()].to_vec());
        }
        handled
    }

    pub fn initiations(&self) -> usize {
        self.sent.iter().filter(|kind| **kind == SendKind::Initiation).count()
    }

    pub fn keepalives(&self) -> usize {
        self.sent.iter().filter(|kind| **kind == SendKind::Keepalive).count()
    }
}

/// Two nodes and a link without delay.
pub(crate) struct Pair {
    pub now_ns: u64,
    pub nodes: [Node; 2],
}

impl Pair {
    pub fn new() -> Self {
        Self::with(|_, _| {})
    }

    pub fn with(adjust: impl Fn(&mut TunnelConfig, &mut PeerConfig)) -> Self {
        let publics = [1, 2]
            .map(|seed| Tunnel::new(&TunnelConfig::new(private_key(seed)), SECOND_NS, UNIX_NS).unwrap().public_key());
        let node = |own: usize| {
            let mut config = TunnelConfig::new(private_key(own as u8 + 1));
            let mut peer = PeerConfig::new(publics[1 - own]);
            adjust(&mut config, &mut peer);
            Node::new(&config, &peer, own as u16 + 1)
        };
        Self { now_ns: SECOND_NS, nodes: [node(0), node(1)] }
    }

    /// A pair with a session that node 0 began.
    pub fn connected() -> Self {
        let mut pair = Self::new();
        pair.nodes[0].tunnel.initiate(pair.now_ns, PEER);
        pair.settle();
        assert_eq!(pair.nodes[0].done, [Role::Initiator]);
        assert_eq!(pair.nodes[1].done, [Role::Responder]);
        pair
    }

    /// Carries messages until nobody has any.
    pub fn settle(&mut self) {
        loop {
            let mut quiet = true;
            for from in [0, 1] {
                let now_ns = self.now_ns;
                if self.nodes[from].tunnel.next_wake().is_some_and(|at| at <= now_ns) {
                    self.nodes[from].tunnel.poll(now_ns);
                }
                for message in self.nodes[from].drain(now_ns) {
                    quiet = false;
                    self.carry(from, &message);
                }
            }
            if quiet {
                return;
            }
        }
    }

    pub fn carry(&mut self, from: usize, datagram: &[u8]) {
        if !self.nodes[from].mute {
            let source = self.nodes[from].source;
            self.nodes[1 - from].receive(self.now_ns, &source, datagram);
        }
    }

    pub fn send(&mut self, from: usize, packet: &[u8]) {
        if let Some(datagram) = self.nodes[from].seal(self.now_ns, packet) {
            self.carry(from, &datagram);
        }
        self.settle();
    }

    /// Lets time pass, stopping at every moment at which a node wants to be woken.
    pub fn pass(&mut self, seconds: f64) {
        let end_ns = self.now_ns + (seconds * SECOND_NS as f64) as u64;
        let mut wakes = 0;
        while let Some(at_ns) = self.nodes.iter().filter_map(|n| n.tunnel.next_wake()).min().filter(|at| *at <= end_ns)
        {
            self.now_ns = at_ns.max(self.now_ns);
            self.settle();
            wakes += 1;
            assert!(wakes < 10_000, "a timer that fires for ever");
        }
        self.now_ns = end_ns;
        self.settle();
    }

    /// Sends a marked packet each way and checks that both arrive.
    pub fn assert_connected(&mut self) {
        for from in [0, 1] {
            let packet = format!("packet of {from} at {}", self.now_ns).into_bytes();
            self.send(from, &packet);
            let got = self.nodes[1 - from].got.last().expect("a packet");
            assert_eq!(got[..packet.len()], packet[..]);
            assert!(got[packet.len()..].iter().all(|byte| *byte == 0) && got.len().is_multiple_of(16));
        }
    }
}
