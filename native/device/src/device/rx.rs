//! The thread from the network to the TUN: receive, tell protocols apart, open in place, judge, write in batches. It also
//! owns the tunnel, so handshakes and timers run here.
//!
//! It never changes a path. That a packet came from elsewhere is an event; what follows from it is TypeScript's to decide.

use std::io;
use std::sync::Arc;

use peerway_wireguard::Tunnel;

use crate::packet::merge::Place;
use crate::udp::receive::{MESSAGES, Receiver};
use crate::udp::socket::{Sockets, UdpSocket};

use super::clock::{NS_PER_MS, Now, SECOND_NS, now, unix_ns};
use super::counters::add;
use super::inbound::{Batch, Origin};
use super::peer_side::PeerSide;
use super::poller::Poller;
use super::published::Reader;
use super::shared::{Injected, Shared};

const WAKE: u64 = 0;
const V4: u64 = 1;
const V6: u64 = 2;
/// The buffer number of injected packets, behind those of the receiver.
const INJECTED: u32 = MESSAGES as u32;
/// The wall clock only matters to the timestamps of handshakes.
const WALL_CLOCK_NS: u64 = 3600 * SECOND_NS;
/// Receive errors in a row after which the socket is taken for broken.
const MAX_RECEIVE_ERRORS: u32 = 1000;

pub struct Rx {
    shared: Arc<Shared>,
    poller: Poller,
    sockets: Reader<Sockets>,
    receiver: Receiver,
    injected: Injected,
    peers: PeerSide,
    batch: Batch,
    wall_clock_at_ns: u64,
    receive_errors: u32,
}

impl Rx {
    pub fn new(shared: Arc<Shared>, tunnel: Tunnel) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(shared.rx_wake.fd(), WAKE)?;
        let sockets = shared.sockets.reader();
        watch(&poller, sockets.seen())?;
        Ok(Self {
            poller,
            sockets,
            receiver: Receiver::new(),
            injected: Injected::default(),
            peers: PeerSide::new(Arc::clone(&shared), tunnel),
            batch: Batch::new(&shared),
            wall_clock_at_ns: now().boot_ns,
            receive_errors: 0,
            shared,
        })
    }

    pub fn run(&mut self) -> io::Result<()> {
        loop {
            let (mut woken, mut v4, mut v6) = (false, false, false);
            let timeout_ms = self.timeout_ms(now());
            for token in self.poller.wait(timeout_ms)? {
                woken |= token == WAKE;
                v4 |= token == V4;
                v6 |= token == V6;
            }
            if self.shared.stops() {
                return Ok(());
            }
            let now = now();
            if woken {
                self.shared.rx_wake.clear();
                self.follow_sockets()?;
                self.peers.synchronise(now);
                self.receive_injected(now);
            }
            self.batch.refresh(&self.shared);
            let sockets = Arc::clone(self.sockets.seen());
            if v4 {
                self.receive(&sockets.v4, now)?;
            }
            if let (true, Some(socket)) = (v6, &sockets.v6) {
                self.receive(socket, now)?;
            }
            self.peers.run_timers(now);
            self.tell_wall_clock(now);
            self.shared.records.notify();
        }
    }

    fn receive(&mut self, socket: &UdpSocket, now: Now) -> io::Result<()> {
        let count = match self.receiver.receive(socket) {
            Ok(count) => count,
            Err(error) => {
                add(&self.shared.totals.rx_error, 1);
                self.receive_errors += 1;
                return if self.receive_errors < MAX_RECEIVE_ERRORS { Ok(()) } else { Err(error) };
            }
        };
        self.receive_errors = 0;
        for index in 0..count {
            let message = self.receiver.message(index);
            let bytes = self.receiver.bytes_mut(index);
            let mut start = 0;
            self.batch.start_message(Origin::Udp { from: message.from, vni: None });
            while start < message.len {
                let end = message.len.min(start + message.stride);
                let place = Place { buffer: index as u32, offset: start as u32, len: (end - start) as u32 };
                self.batch.datagram(&mut self.peers, place, &mut bytes[start..end], now);
                start = end;
            }
        }
        // A new session becomes known before the host can answer what came through it: the peer may have lost the old one.
        self.peers.run_outputs(None, now);
        let receiver = &self.receiver;
        self.batch.write(&self.shared, |place| {
            let start = place.offset as usize;
            &receiver.bytes(place.buffer as usize)[start..start + place.len as usize]
        });
        Ok(())
    }

    fn receive_injected(&mut self, now: Now) {
        self.shared.swap_injected(&mut self.injected);
        let Injected { bytes, packets } = &mut self.injected;
        if packets.is_empty() {
            return;
        }
        self.batch.refresh(&self.shared);
        for packet in packets.iter() {
            let place = Place { buffer: INJECTED, offset: packet.start as u32, len: packet.len as u32 };
            self.batch.start_message(Origin::Derp { region: packet.region });
            let bytes = &mut bytes[packet.start..packet.start + packet.len];
            self.batch.wireguard(&mut self.peers, place, bytes, now);
        }
        self.peers.run_outputs(None, now);
        self.batch.write(&self.shared, |place| &bytes[place.offset as usize..][..place.len as usize]);
        self.injected.clear();
    }

    fn follow_sockets(&mut self) -> io::Result<()> {
        let old = Arc::clone(self.sockets.seen());
        if self.sockets.refresh(&self.shared.sockets) {
            for socket in [Some(&old.v4), old.v6.as_ref()].into_iter().flatten() {
                self.poller.remove(socket.fd());
            }
            watch(&self.poller, self.sockets.seen())?;
        }
        Ok(())
    }

    /// Until the tunnel's next timer, rounded up so that it is due when the wait ends.
    fn timeout_ms(&self, now: Now) -> Option<u64> {
        let wake_ns = self.peers.next_wake()?;
        Some(wake_ns.saturating_sub(now.boot_ns).div_ceil(NS_PER_MS))
    }

    fn tell_wall_clock(&mut self, now: Now) {
        if now.boot_ns >= self.wall_clock_at_ns + WALL_CLOCK_NS {
            self.wall_clock_at_ns = now.boot_ns;
            self.peers.set_wall_clock(now, unix_ns());
        }
    }
}

fn watch(poller: &Poller, sockets: &Sockets) -> io::Result<()> {
    poller.add(sockets.v4.fd(), V4)?;
    match &sockets.v6 {
        Some(v6) => poller.add(v6.fd(), V6),
        None => Ok(()),
    }
}
