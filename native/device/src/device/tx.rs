//! The thread from the TUN to the network: read, find the peer, seal in place, send in trains.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use peerway_wireguard::{HEADER_BYTES, SendSession, TAG_BYTES};

use crate::packet::classify::{GENEVE_BYTES, geneve_header};
use crate::packet::ip;
use crate::packet::split::Segments;
use crate::packet::vnet::{VNET_BYTES, VnetHeader};
use crate::tun::READ_BYTES;
use crate::udp::outbox::Outbox;
use crate::udp::socket::Sockets;

use super::clock::{Now, SECOND_NS, now};
use super::counters::add;
use super::filter::outbound_flow;
use super::flows::Flow;
use super::path::{Leg, Legs, Path};
use super::peers::{OncePerSecond, Peer, PeerTable};
use super::poller::Poller;
use super::published::Reader;
use super::records::Kind;
use super::routes::PeerId;
use super::shared::{Shared, lock};

/// Packets kept for one peer while a path or session is found; as many as wireguard-go keeps.
const MAX_STAGED: usize = 128;
/// For all peers together, about 10 MB.
const MAX_STAGED_TOTAL: usize = 8192;
/// TUN reads before other work is looked at again.
const READS_PER_TURN: usize = 32;
/// A train's worth: sending earlier would waste calls, later would leave the other end idle.
const FLUSH_BYTES: usize = 48 << 10;
/// What sealing and a relay add to a packet at most, padding included.
const OVERHEAD_BYTES: usize = GENEVE_BYTES + HEADER_BYTES + 16 + TAG_BYTES;

const TUN: u64 = 0;
const WAKE: u64 = 1;

pub struct Tx {
    shared: Arc<Shared>,
    poller: Poller,
    table: Reader<PeerTable>,
    peers: Vec<Option<TxPeer>>,
    /// Peers with staged packets.
    waiting: Vec<PeerId>,
    staged_total: usize,
    exit: Exit,
    last_flow: Option<(Flow, u64)>,
}

struct TxPeer {
    peer: Arc<Peer>,
    path: Reader<Path>,
    session: Reader<Option<Arc<SendSession>>>,
    staged: VecDeque<Vec<u8>>,
    last_outbound_ns: u64,
}

/// Where sealed packets are put.
struct Exit {
    outbox: Outbox,
    sockets: Reader<Sockets>,
    refused: OncePerSecond,
}

impl Tx {
    pub fn new(shared: Arc<Shared>) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(shared.tun.fd(), TUN)?;
        poller.add(shared.tx_wake.fd(), WAKE)?;
        Ok(Self {
            poller,
            table: shared.table.reader(),
            peers: Vec::new(),
            waiting: Vec::new(),
            staged_total: 0,
            exit: Exit { outbox: Outbox::new(), sockets: shared.sockets.reader(), refused: OncePerSecond::default() },
            last_flow: None,
            shared,
        })
    }

    pub fn run(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let (mut tun, mut woken) = (false, false);
            for token in self.poller.wait(None)? {
                tun |= token == TUN;
                woken |= token == WAKE;
            }
            if self.shared.stops() {
                return Ok(());
            }
            let now = now();
            if woken {
                self.shared.tx_wake.clear();
                self.synchronise();
                for (peer, mut packet) in self.shared.take_tunnel_packets() {
                    self.send_plain(peer, &mut packet, now);
                }
                self.send_staged(now);
            }
            if tun {
                self.read_tun(&mut buffer, now)?;
            }
            self.exit.flush(&self.shared, now);
        }
    }

    fn read_tun(&mut self, buffer: &mut [u8], now: Now) -> io::Result<()> {
        for _ in 0..READS_PER_TURN {
            let Some(len) = self.shared.tun.read(buffer)? else { break };
            add(&self.shared.totals.tun_reads, 1);
            let Some((vnet, packet)) = buffer[..len].split_first_chunk_mut::<VNET_BYTES>() else { continue };
            match Segments::new(&VnetHeader::read(vnet), packet) {
                Ok(segments) => self.route(&segments, now),
                Err(_) => add(&self.shared.totals.tx_malformed, 1),
            }
            if self.exit.outbox.bytes() >= FLUSH_BYTES {
                self.exit.flush(&self.shared, now);
            }
        }
        Ok(())
    }

    fn route(&mut self, segments: &Segments<'_>, now: Now) {
        let Some(peer) = self.table.seen().routes.lookup(segments.destination()) else {
            add(&self.shared.totals.tx_no_route, 1);
            return;
        };
        self.remember_flow(segments.packet(), now);
        self.send(peer, segments, now);
    }

    /// So that answers come in. A flow in full use is written down once a second and not for every packet.
    fn remember_flow(&mut self, packet: &[u8], now: Now) {
        let Some(flow) = ip::parse(packet).and_then(|header| outbound_flow(packet, &header)) else { return };
        let fresh = self.last_flow.is_some_and(|(last, at)| last == flow && now.mono_ns < at + SECOND_NS);
        if !fresh {
            lock(&self.shared.flows).remember(flow);
            self.last_flow = Some((flow, now.mono_ns));
        }
    }

    fn send_plain(&mut self, peer: PeerId, packet: &mut [u8], now: Now) {
        match Segments::new(&VnetHeader::default(), packet) {
            Ok(segments) => self.send(peer, &segments, now),
            Err(_) => add(&self.shared.totals.tx_malformed, 1),
        }
    }

    fn send(&mut self, id: PeerId, segments: &Segments<'_>, now: Now) {
        let shared = &self.shared;
        let Some(to) = self.peers.get_mut(usize::from(id)).and_then(Option::as_mut) else { return };
        if to.last_outbound_ns == 0 || now.mono_ns >= to.last_outbound_ns + SECOND_NS {
            shared.event(Kind::PeerActive, id);
        }
        to.last_outbound_ns = now.mono_ns;
        let ready = to.ready(shared, now);
        let Some((legs, session)) = ready else {
            if to.staged.is_empty() {
                self.waiting.push(id);
                // A failure before this packet says nothing about it.
                to.peer.discard_staged.store(false, Ordering::Relaxed);
            }
            for index in 0..segments.count() {
                let mut packet = vec![0; segments.len(index)];
                segments.write(index, &mut packet);
                self.staged_total += 1;
                to.staged.push_back(packet);
                if to.staged.len() > MAX_STAGED || self.staged_total > MAX_STAGED_TOTAL {
                    to.staged.pop_front();
                    self.staged_total -= 1;
                    add(&shared.totals.tx_staged_dropped, 1);
                }
            }
            return;
        };
        // Staged packets go first, so that a flow stays in order.
        while let Some(mut packet) = to.staged.pop_front() {
            self.staged_total -= 1;
            if let Ok(segments) = Segments::new(&VnetHeader::default(), &mut packet) {
                self.exit.send(shared, &to.peer, legs, &session, &segments, now);
            }
        }
        self.exit.send(shared, &to.peer, legs, &session, segments, now);
    }

    /// Sends what became sendable, drops what is not wanted any more.
    fn send_staged(&mut self, now: Now) {
        let shared = &self.shared;
        let (peers, exit, staged_total) = (&mut self.peers, &mut self.exit, &mut self.staged_total);
        self.waiting.retain(|id| {
            let Some(to) = peers.get_mut(usize::from(*id)).and_then(Option::as_mut) else { return false };
            if to.peer.discard_staged.swap(false, Ordering::Relaxed) {
                *staged_total -= to.staged.len();
                add(&shared.totals.tx_staged_dropped, to.staged.len() as u64);
                to.staged.clear();
            }
            if to.staged.is_empty() {
                return false;
            }
            let Some((legs, session)) = to.ready(shared, now) else { return true };
            while let Some(mut packet) = to.staged.pop_front() {
                *staged_total -= 1;
                if let Ok(segments) = Segments::new(&VnetHeader::default(), &mut packet) {
                    exit.send(shared, &to.peer, legs, &session, &segments, now);
                }
            }
            false
        });
    }

    /// Follows the peer table and lets go of sockets that were replaced.
    fn synchronise(&mut self) {
        self.exit.sockets.refresh(&self.shared.sockets);
        if !self.table.refresh(&self.shared.table) {
            return;
        }
        let table = self.table.seen();
        let mut old = std::mem::take(&mut self.peers);
        self.peers.resize_with(table.width(), || None);
        for peer in table.iter() {
            let at = usize::from(peer.id);
            let kept = old.get_mut(at).and_then(Option::take).filter(|kept| Arc::ptr_eq(&kept.peer, peer));
            self.peers[at] = Some(kept.unwrap_or_else(|| TxPeer::new(peer)));
        }
        self.staged_total = self.peers.iter().flatten().map(|peer| peer.staged.len()).sum();
    }
}

impl TxPeer {
    fn new(peer: &Arc<Peer>) -> Self {
        Self {
            path: peer.path.reader(),
            session: peer.session.reader(),
            peer: Arc::clone(peer),
            staged: VecDeque::new(),
            last_outbound_ns: 0,
        }
    }

    /// Path and session, or whatever has to be asked for to get them.
    fn ready(&mut self, shared: &Shared, now: Now) -> Option<(Legs, Arc<SendSession>)> {
        let peer = &self.peer;
        let path = self.path.get(&peer.path);
        let legs = path.legs(now.mono_ns);
        if legs.is_none() && peer.may_raise_need_path(now.mono_ns) {
            shared.event(Kind::NeedPath, peer.id);
        }
        if path.became_stale(now.mono_ns) {
            shared.event(Kind::PathStale, peer.id);
        }
        let session = self.session.get(&peer.session).as_ref().as_ref();
        let session = session.filter(|session| !session.is_expired(now.boot_ns));
        if session.is_none_or(|session| session.rekey_due(now.boot_ns)) {
            want_handshake(shared, peer);
        }
        Some((legs?, Arc::clone(session?)))
    }
}

fn want_handshake(shared: &Shared, peer: &Peer) {
    // Without an activity rx has not met the peer yet; it wakes this thread when it has.
    if peer.activity.get().is_some_and(|activity| activity.want_handshake()) {
        shared.rx_wake.wake();
    }
}

impl Exit {
    fn send(
        &mut self,
        shared: &Shared,
        peer: &Peer,
        legs: Legs,
        session: &SendSession,
        segments: &Segments<'_>,
        now: Now,
    ) {
        let mtu = shared.tun.mtu();
        let header = in_place_header(legs);
        let offset = header.map_or(0, |header| header.len());
        let mut bytes = 0;
        for index in 0..segments.count() {
            let len = segments.len(index);
            if !self.outbox.has_room(len + OVERHEAD_BYTES) {
                self.flush(shared, now);
                if !self.outbox.has_room(len + OVERHEAD_BYTES) {
                    add(&shared.totals.tx_malformed, 1);
                    continue;
                }
            }
            let slot = self.outbox.free();
            if let Some(header) = header {
                slot[..GENEVE_BYTES].copy_from_slice(&header);
            }
            segments.write(index, &mut slot[offset + HEADER_BYTES..]);
            match session.seal(now.boot_ns, &mut slot[offset..], len, mtu) {
                Ok(sealed) => self.emit(shared, peer, legs, offset, sealed),
                Err(_) => {
                    // It expired between two packets: the rest is lost as on any bad moment of a network.
                    want_handshake(shared, peer);
                    break;
                }
            }
            bytes += len as u64;
        }
        if bytes == 0 {
            return;
        }
        if let Some(activity) = peer.activity.get() {
            activity.note_data_sent(now.boot_ns);
        }
        add(&peer.tx_bytes, bytes);
        add(&shared.totals.tx_bytes, bytes);
        add(&shared.totals.tx_packets, segments.count() as u64);
    }

    /// The sealed packet lies `offset` into the outbox's free part. The first UDP leg takes it where it lies.
    fn emit(&mut self, shared: &Shared, peer: &Peer, legs: Legs, offset: usize, sealed: usize) {
        let mut placed = false;
        for leg in [Some(legs.first), legs.second].into_iter().flatten() {
            if let Leg::Derp { region } = leg {
                shared.derp_out(peer.id, region, &self.outbox.free()[offset..offset + sealed]);
            }
        }
        for leg in [Some(legs.first), legs.second].into_iter().flatten() {
            let Leg::Udp { to, vni } = leg else { continue };
            if placed {
                let header = vni.map(|vni| geneve_header(vni, true, false));
                self.outbox.commit_copy(sealed, header.as_ref().map_or(&[], |header| &header[..]), to);
            } else {
                self.outbox.commit(offset + sealed, to);
                placed = true;
            }
        }
    }

    fn flush(&mut self, shared: &Shared, now: Now) {
        if !self.outbox.is_empty() {
            let refused = &mut self.refused;
            let sockets = self.sockets.get(&shared.sockets);
            self.outbox.flush(sockets, |to, error| shared.send_failed(refused, to, &error, now));
        }
        shared.records.notify();
    }
}

/// The Geneve header that the packet in the outbox needs in front: that of the first UDP leg.
fn in_place_header(legs: Legs) -> Option<[u8; GENEVE_BYTES]> {
    let mut udp = [Some(legs.first), legs.second].into_iter().flatten().filter_map(|leg| match leg {
        Leg::Udp { vni, .. } => Some(vni),
        Leg::Derp { .. } => None,
    });
    udp.next().flatten().map(|vni| geneve_header(vni, true, false))
}
