//! The forwarding thread: a received train whose packets all belong to one session leaves as the train it came as, from
//! the buffer it lies in. Trains of mixed sessions are cut into runs.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::device::clock::{Now, now};
use crate::device::counters::add;
use crate::device::poller::Poller;
use crate::device::records::Kind;
use crate::packet::classify::{GENEVE_BYTES, looks_like_disco};
use crate::udp::outbox::{Batch, MAX_SEGMENTS, MAX_TRAIN_BYTES};
use crate::udp::receive::Receiver;
use crate::udp::socket::UdpSocket;

use super::Shared;
use super::limit::Limiter;
use super::shaper::Shaper;

const WAKE: u64 = 0;
const V4: u64 = 1;
const V6: u64 = 2;
/// Receive calls per turn, so that the other family and the timers get theirs.
const RECEIVES_PER_TURN: usize = 4;
/// Receive errors in a row after which the socket is taken for broken.
const MAX_RECEIVE_ERRORS: u32 = 1000;
/// A bind handshake's message has 158 bytes behind the header, discovery at most some 130.
const SMALL_BYTES: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packet {
    Data {
        vni: u32,
        is_disco: bool,
    },
    Control {
        vni: u32,
    },
    /// Outside Geneve: a peer that was asked to knock here.
    Disco,
    Stun,
    Other,
}

fn classify(packet: &[u8]) -> Packet {
    let Some(header) = packet.first_chunk::<GENEVE_BYTES>() else { return Packet::Other };
    let vni = u32::from_be_bytes([0, header[4], header[5], header[6]]);
    let is_disco = header[2..4] == [0x7a, 0x11];
    match header[..2] {
        [0, 0] => Packet::Data { vni, is_disco },
        [0, 0x80] if is_disco && packet.len() <= SMALL_BYTES => Packet::Control { vni },
        // A binding response; its first byte is never that of a Geneve header.
        [1, 1] if packet.len() >= 20 && packet.len() <= SMALL_BYTES && header[4..8] == [0x21, 0x12, 0xa4, 0x42] => {
            Packet::Stun
        }
        _ if packet.len() <= SMALL_BYTES && looks_like_disco(packet) => Packet::Disco,
        _ => Packet::Other,
    }
}

/// Packets of one received message that leave together.
#[derive(Clone, Copy, Debug)]
struct Run {
    message: usize,
    start: usize,
    end: usize,
    stride: usize,
    vni: u32,
    is_disco: bool,
    to: SocketAddr,
}

pub struct Forward {
    shared: Arc<Shared>,
    poller: Poller,
    receiver: Receiver,
    limiter: Limiter,
    shaper: Shaper,
    runs: Vec<Run>,
    receive_errors: u32,
}

impl Forward {
    pub fn new(shared: Arc<Shared>) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(shared.wake.fd(), WAKE)?;
        poller.add(shared.sockets.v4.fd(), V4)?;
        if let Some(v6) = &shared.sockets.v6 {
            poller.add(v6.fd(), V6)?;
        }
        Ok(Self {
            shared,
            poller,
            receiver: Receiver::new(),
            limiter: Limiter::new(),
            shaper: Shaper::new(),
            runs: Vec::new(),
            receive_errors: 0,
        })
    }

    pub fn run(&mut self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        loop {
            let (mut v4, mut v6) = (false, false);
            for token in self.poller.wait(self.shaper.wait_ms(now().mono_ns))? {
                match token {
                    WAKE => shared.wake.clear(),
                    V4 => v4 = true,
                    _ => v6 = true,
                }
            }
            if shared.stop.load(Ordering::SeqCst) {
                return Ok(());
            }
            let now = now();
            self.shaper.set_rate(shared.rate.load(Ordering::Relaxed), now.mono_ns);
            if v4 {
                self.receive(&shared.sockets.v4, now)?;
            }
            if let (true, Some(socket)) = (v6, &shared.sockets.v6) {
                self.receive(socket, now)?;
            }
            self.send_queued(now);
            shared.records.notify();
        }
    }

    fn receive(&mut self, socket: &UdpSocket, now: Now) -> io::Result<()> {
        for _ in 0..RECEIVES_PER_TURN {
            let count = match self.receiver.receive(socket) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => {
                    add(&self.shared.counters.rx_error, 1);
                    self.receive_errors += 1;
                    return if self.receive_errors < MAX_RECEIVE_ERRORS { Ok(()) } else { Err(error) };
                }
            };
            self.receive_errors = 0;
            self.runs.clear();
            for message in 0..count {
                self.sort(message, now);
            }
            self.send(now);
        }
        Ok(())
    }

    /// Cuts a message into runs, and tells TypeScript of what is its business.
    fn sort(&mut self, message: usize, now: Now) {
        let received = self.receiver.message(message);
        let shared = Arc::clone(&self.shared);
        let mut start = 0;
        while start < received.len {
            let first = self.packet(message, start);
            let mut end = start + first.len();
            match classify(first) {
                Packet::Data { vni, is_disco } => {
                    let mut packets = 1;
                    while end < received.len && packets < MAX_SEGMENTS && end - start < MAX_TRAIN_BYTES {
                        let next = self.packet(message, end);
                        if classify(next) != (Packet::Data { vni, is_disco })
                            || end + next.len() - start > MAX_TRAIN_BYTES
                        {
                            break;
                        }
                        end += next.len();
                        packets += 1;
                    }
                    let bytes = (end - start) as u64;
                    let sessions = shared.table.read();
                    let session = sessions.get(&vni);
                    match session.and_then(|session| session.route(received.from)) {
                        Some((to, side)) => {
                            side.count(packets as u64, bytes, now.mono_ns);
                            self.runs.push(Run { message, start, end, stride: received.stride, vni, is_disco, to });
                            add(&shared.counters.forwarded_packets, packets as u64);
                            add(&shared.counters.forwarded_bytes, bytes);
                        }
                        None => {
                            add(&shared.counters.not_bound, packets as u64);
                            if let Some(session) = session
                                && is_disco
                                && packets == 1
                                && end - start <= SMALL_BYTES
                            {
                                session.hold(received.from, self.packet(message, start), now.mono_ns);
                            }
                        }
                    }
                }
                Packet::Control { vni } => {
                    // Whoever cannot name a session's VNI costs one look into the table.
                    if !shared.table.read().contains_key(&vni) {
                        add(&shared.counters.unknown_vni, 1);
                    } else if self.limiter.allows(received.from, now.mono_ns) {
                        let body = &self.packet(message, start)[GENEVE_BYTES..];
                        shared.tell(Kind::GeneveControl, received.from, Some(vni), body, now);
                    } else {
                        add(&shared.counters.limited, 1);
                    }
                }
                Packet::Disco
                    if self.limiter.allows(received.from, now.mono_ns) || shared.takes_expected(received.from.ip()) =>
                {
                    shared.tell(Kind::Disco, received.from, None, self.packet(message, start), now);
                }
                Packet::Stun if self.limiter.allows(received.from, now.mono_ns) => {
                    shared.tell(Kind::Stun, received.from, None, self.packet(message, start), now);
                }
                Packet::Stun | Packet::Disco => add(&shared.counters.limited, 1),
                Packet::Other => add(&shared.counters.malformed, 1),
            }
            start = end;
        }
    }

    /// The packet of a train that begins at `start`.
    fn packet(&self, message: usize, start: usize) -> &[u8] {
        let received = self.receiver.message(message);
        &self.receiver.bytes(message)[start..received.len.min(start + received.stride)]
    }

    fn send(&mut self, now: Now) {
        let shared = Arc::clone(&self.shared);
        let mut failures = 0;
        let (mut v4, mut v6) = (Batch::default(), Batch::default());
        for run in &self.runs {
            let bytes = &self.receiver.bytes(run.message)[run.start..run.end];
            if !self.shaper.is_off() {
                let small = run.is_disco && bytes.len() <= SMALL_BYTES;
                if !small || !self.shaper.admits_first(bytes.len(), now.mono_ns) {
                    self.shaper.push(run.vni, run.to, bytes, run.stride, now.mono_ns);
                    continue;
                }
            }
            match shared.sockets.towards(run.to) {
                Some(socket) if run.to.is_ipv4() => v4.push_train(socket, run.to, bytes, run.stride),
                Some(socket) => v6.push_train(socket, run.to, bytes, run.stride),
                None => failures += 1,
            }
        }
        v4.send(&shared.sockets.v4, &mut |_, _| failures += 1);
        if let Some(socket) = &shared.sockets.v6 {
            v6.send(socket, &mut |_, _| failures += 1);
        }
        add(&shared.counters.send_failed, failures);
    }

    fn send_queued(&mut self, now: Now) {
        let shared = Arc::clone(&self.shared);
        let mut failures = 0;
        while let Some(part) = self.shaper.take(now.mono_ns) {
            let Some(socket) = shared.sockets.towards(part.to) else { continue };
            let mut batch = Batch::default();
            batch.push_train(socket, part.to, &part.bytes, part.stride);
            batch.send(socket, &mut |_, _| failures += 1);
        }
        add(&shared.counters.send_failed, failures);
        add(&shared.counters.shaped_dropped, std::mem::take(&mut self.shaper.dropped));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_packets_apart() {
        let geneve = |second: u8, protocol: u8| [0, second, 0x7a, protocol, 1, 2, 3, 0, 9];
        assert_eq!(classify(&geneve(0, 0x12)), Packet::Data { vni: 0x010203, is_disco: false });
        assert_eq!(classify(&geneve(0, 0x11)), Packet::Data { vni: 0x010203, is_disco: true });
        assert_eq!(classify(&geneve(0x80, 0x11)), Packet::Control { vni: 0x010203 });
        assert_eq!(classify(&geneve(0x80, 0x12)), Packet::Other);
        assert_eq!(classify(&geneve(0x01, 0x11)), Packet::Other);
        assert_eq!(classify(&[0, 0, 0x7a]), Packet::Other);
        assert_eq!(classify(&[0xff; 40]), Packet::Other);
        let mut stun = [0u8; 32];
        stun[..8].copy_from_slice(&[1, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42]);
        assert_eq!(classify(&stun), Packet::Stun);
        assert_eq!(classify(&[0x80; 600]), Packet::Other);
        let mut disco = [0u8; 124];
        disco[..6].copy_from_slice(b"TS\xf0\x9f\x92\xac");
        assert_eq!(classify(&disco), Packet::Disco);
    }
}
