//! Against boringtun 0.7, in both roles.

use super::*;
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use std::net::IpAddr;

/// An IPv4 header with a length and a source, which is all that boringtun looks at.
fn packet(len: usize) -> Vec<u8> {
    let mut packet = vec![0x5a; len];
    packet[..20].fill(0);
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
    packet[12..16].copy_from_slice(&[100, 64, 0, 1]);
    packet
}

struct Both {
    ours: Node,
    theirs: Tunn,
    now_ns: u64,
    /// What boringtun decrypted.
    got: Vec<Vec<u8>>,
}

impl Both {
    fn new(preshared_key: Option<[u8; 32]>, handshakes: Option<u64>) -> Self {
        let theirs = StaticSecret::from(private_key(2));
        let their_public = PublicKey::from(&theirs);
        let peer = PeerConfig { preshared_key, ..PeerConfig::new(their_public.to_bytes()) };
        let ours = Node::new(&TunnelConfig::new(private_key(1)), &peer, 1);
        let our_public = PublicKey::from(ours.tunnel.public_key());
        let limiter = handshakes.map(|limit| Arc::new(RateLimiter::new(&their_public, limit)));
        let theirs = Tunn::new(theirs, our_public, preshared_key, None, 77, limiter);
        Self { ours, theirs, now_ns: SECOND_NS, got: Vec::new() }
    }

    fn their_public(&self) -> [u8; 32] {
        PublicKey::from(&StaticSecret::from(private_key(2))).to_bytes()
    }

    fn give_them(&mut self, datagram: &[u8]) {
        let mut buf = vec![0; 2000];
        let mut input = datagram;
        loop {
            let from = Some(IpAddr::from([192, 0, 2, 1]));
            match self.theirs.decapsulate(from, input, &mut buf) {
                TunnResult::WriteToNetwork(reply) => {
                    let reply = reply.to_vec();
                    let source = source(2);
                    self.ours.receive(self.now_ns, &source, &reply);
                    input = &[];
                }
                TunnResult::WriteToTunnelV4(packet, _) => {
                    self.got.push(packet.to_vec());
                    return;
                }
                _ => return,
            }
        }
    }

    fn settle(&mut self) {
        loop {
            self.ours.tunnel.poll(self.now_ns);
            let messages = self.ours.drain(self.now_ns);
            if messages.is_empty() {
                return;
            }
            for message in messages {
                self.give_them(&message);
            }
        }
    }

    fn send(&mut self, packet: &[u8]) {
        if let Some(datagram) = self.ours.seal(self.now_ns, packet) {
            self.give_them(&datagram);
        }
        self.settle();
    }

    fn they_send(&mut self, packet: &[u8]) {
        let mut buf = vec![0; 2000];
        if let TunnResult::WriteToNetwork(datagram) = self.theirs.encapsulate(packet, &mut buf) {
            let datagram = datagram.to_vec();
            let source = source(2);
            self.ours.receive(self.now_ns, &source, &datagram);
        }
        self.settle();
    }

    fn they_initiate(&mut self) {
        let mut buf = vec![0; 2000];
        if let TunnResult::WriteToNetwork(datagram) = self.theirs.format_handshake_initiation(&mut buf, true) {
            let datagram = datagram.to_vec();
            let source = source(2);
            assert_eq!(self.ours.receive(self.now_ns, &source, &datagram), Handled::Handshake { peer: PEER });
        }
        self.settle();
    }

    fn assert_connected(&mut self) {
        for len in [20, 21, 576, 1279, 1280] {
            let packet = packet(len);
            self.send(&packet);
            assert_eq!(self.got.pop().as_deref(), Some(&packet[..]));
            self.they_send(&packet);
            assert_eq!(self.ours.got.pop().as_deref(), Some(&packet[..]), "boringtun does not pad");
        }
    }
}

#[test]
fn we_initiate() {
    for preshared_key in [None, Some([3; 32])] {
        let mut both = Both::new(preshared_key, None);
        both.send(&packet(100));
        assert_eq!(both.ours.done, [Role::Initiator]);
        assert_eq!(both.got.pop(), Some(packet(100)));
        both.assert_connected();
    }
}

#[test]
fn they_initiate() {
    for preshared_key in [None, Some([3; 32])] {
        let mut both = Both::new(preshared_key, None);
        both.they_send(&packet(100));
        assert_eq!(both.ours.done, [Role::Responder]);
        assert_eq!(both.ours.got.pop(), Some(packet(100)));
        both.assert_connected();
    }
}

#[test]
fn different_preshared_keys_do_not_meet() {
    let mut both = Both::new(Some([3; 32]), None);
    let public = both.their_public();
    let now_ns = both.now_ns;
    both.ours.tunnel.set_peer(now_ns, PEER, &PeerConfig::new(public)).unwrap();
    both.send(&packet(100));
    assert!(both.ours.done.is_empty() && both.got.is_empty());
    assert_eq!(both.ours.tunnel.counters().refused(Refusal::Forged), 1);
}

#[test]
fn sessions_are_renewed_from_both_sides() {
    let mut both = Both::new(None, None);
    both.send(&packet(100));
    both.got.clear();
    both.now_ns += 121 * SECOND_NS;
    both.send(&packet(100));
    assert_eq!(both.ours.done, [Role::Initiator; 2], "ours at 120 s");
    both.got.clear();
    both.assert_connected();
    both.now_ns += 20 * SECOND_NS;
    both.they_initiate();
    assert_eq!(both.ours.done, [Role::Initiator, Role::Initiator, Role::Responder]);
    both.assert_connected();
    both.now_ns += 181 * SECOND_NS;
    both.ours.tunnel.poll(both.now_ns);
    both.ours.drain(both.now_ns);
    assert!(both.ours.session.is_none());
    both.send(&packet(100));
    both.got.clear();
    both.assert_connected();
}

#[test]
fn keepalives_pass_both_ways() {
    let mut both = Both::new(None, None);
    both.send(&packet(100));
    both.they_send(&packet(100));
    both.now_ns += 10 * SECOND_NS + 1;
    let before = both.theirs.stats().2;
    both.settle();
    assert_eq!(both.ours.keepalives(), 2, "one that confirmed, one for the data");
    assert_eq!(both.theirs.stats().2, before, "no payload in it");
    let mut buf = vec![0; 200];
    let TunnResult::WriteToNetwork(keepalive) = both.theirs.encapsulate(&[], &mut buf) else {
        panic!("boringtun has a session")
    };
    assert_eq!(both.ours.receive(both.now_ns, &source(2), keepalive), Handled::Keepalive { peer: PEER });
}

#[test]
fn their_cookie_is_taken_and_used() {
    // boringtun asks for cookies from the first handshake on.
    let mut both = Both::new(None, Some(0));
    both.send(&packet(100));
    assert!(both.ours.done.is_empty());
    both.now_ns += 6 * SECOND_NS;
    both.settle();
    assert_eq!(both.ours.done, [Role::Initiator]);
    both.got.clear();
    both.assert_connected();
}

#[test]
fn our_cookie_is_taken_and_used() {
    let mut both = Both::new(None, None);
    let config = TunnelConfig { private_key: private_key(1), handshakes_per_second: 0 };
    let peer = PeerConfig::new(both.their_public());
    both.ours = Node::new(&config, &peer, 1);
    let mut buf = vec![0; 2000];
    for (attempt, expected) in [(0, Handled::Refused(Refusal::UnderLoad)), (1, Handled::Handshake { peer: PEER })] {
        let TunnResult::WriteToNetwork(initiation) = both.theirs.format_handshake_initiation(&mut buf, true) else {
            panic!("boringtun was forced to initiate")
        };
        let initiation = initiation.to_vec();
        assert_eq!(both.ours.receive(both.now_ns, &source(2), &initiation), expected, "attempt {attempt}");
        both.settle();
    }
    assert_eq!(both.ours.done, [Role::Responder]);
    both.assert_connected();
}
