//! What happens to one received datagram, and the batch of packets on their way to the TUN.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use peerway_wireguard::{Handled, Refusal, Source};

use crate::packet::classify::{GENEVE_BYTES, Kind as DatagramKind, classify};
use crate::packet::ip;
use crate::packet::merge::{Merger, Place, Policy, Takes};

use super::clock::Now;
use super::counters::add;
use super::filter::{Filter, Verdict, asks, known};
use super::peer_side::PeerSide;
use super::published::Reader;
use super::records::{Kind, Record};
use super::routes::PeerId;
use super::shared::Shared;

/// The first four bytes of a WireGuard data packet; no other protocol on the socket can begin so.
const DATA_START: [u8; 4] = [4, 0, 0, 0];

/// Often enough for whoever asks to be told why nothing comes; a flood of refused packets is no flood of records.
const REFUSED_NS: u64 = 100_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Udp { from: SocketAddr, vni: Option<u32> },
    Derp { region: u32 },
}

pub struct Batch {
    merger: Merger,
    filter: Reader<Filter>,
    origin: Origin,
    source: Source,
    /// The peer whose origin was compared for this message already: a train is from one place.
    checked: Option<PeerId>,
    takes: Takes,
    /// No refused packet is told of before.
    refused_due_ns: u64,
}

impl Batch {
    pub fn new(shared: &Shared) -> Self {
        let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        Self {
            merger: Merger::default(),
            filter: shared.filter.reader(),
            origin: Origin::Udp { from: nowhere, vni: None },
            source: Source::udp(nowhere),
            checked: None,
            takes: shared.tun.takes(),
            refused_due_ns: 0,
        }
    }

    pub fn refresh(&mut self, shared: &Shared) {
        self.filter.refresh(&shared.filter);
        self.takes = shared.tun.takes();
    }

    /// The datagrams that follow came from here.
    pub fn start_message(&mut self, origin: Origin) {
        self.origin = origin;
        self.source = match origin {
            Origin::Udp { from, .. } => Source::udp(from),
            // Which sender it was is not known here; DERP itself limits how fast each may send.
            Origin::Derp { region } => Source::derp(region as u16, &[0; 32]),
        };
        self.checked = None;
    }

    /// One datagram from the socket, whatever it is.
    pub fn datagram(&mut self, peers: &mut PeerSide, place: Place, bytes: &mut [u8], now: Now) {
        if bytes.starts_with(&DATA_START) {
            self.set_vni(None);
            return self.wireguard(peers, place, bytes, now);
        }
        match classify(bytes) {
            DatagramKind::Stun => self.record(peers.shared(), Kind::Stun, None, bytes, now),
            DatagramKind::Disco => self.record(peers.shared(), Kind::Disco, None, bytes, now),
            DatagramKind::GeneveDisco { vni, control } => {
                let kind = if control { Kind::GeneveControl } else { Kind::Disco };
                self.record(peers.shared(), kind, Some(vni), &bytes[GENEVE_BYTES..], now);
            }
            DatagramKind::GeneveWireguard { vni } => {
                let inner =
                    Place { offset: place.offset + GENEVE_BYTES as u32, len: place.len - GENEVE_BYTES as u32, ..place };
                self.set_vni(Some(vni));
                self.wireguard(peers, inner, &mut bytes[GENEVE_BYTES..], now);
            }
            DatagramKind::Wireguard => {
                self.set_vni(None);
                self.wireguard(peers, place, bytes, now);
            }
        }
    }

    /// A change within a message means another way, whose peer has to be looked at again.
    fn set_vni(&mut self, now: Option<u32>) {
        if let Origin::Udp { vni, .. } = &mut self.origin
            && *vni != now
        {
            *vni = now;
            self.checked = None;
        }
    }

    /// A WireGuard message; `place` is where `bytes` lie.
    pub fn wireguard(&mut self, peers: &mut PeerSide, place: Place, bytes: &mut [u8], now: Now) {
        match peers.tunnel.handle(now.boot_ns, &self.source, bytes) {
            Handled::Data { peer, payload } => {
                self.authenticated(peers, peer, now);
                let place = Place { offset: place.offset + payload.start as u32, ..place };
                self.inner(peers, peer, place, &bytes[payload], now);
            }
            Handled::Keepalive { peer } => self.authenticated(peers, peer, now),
            Handled::Handshake { peer } => {
                self.authenticated(peers, peer, now);
                peers.run_outputs(Some(self.origin), now);
            }
            Handled::Refused(Refusal::UnderLoad) => peers.run_outputs(Some(self.origin), now),
            Handled::Cookie { .. } | Handled::Refused(_) => {}
        }
    }

    fn authenticated(&mut self, peers: &mut PeerSide, peer: PeerId, now: Now) {
        if self.checked != Some(peer) {
            self.checked = Some(peer);
            peers.saw(peer, self.origin, now);
        }
    }

    /// A decrypted packet, padded.
    fn inner(&mut self, peers: &PeerSide, peer: PeerId, place: Place, padded: &[u8], now: Now) {
        let shared = peers.shared();
        add(&shared.totals.rx_packets, 1);
        let Some(header) = ip::parse(padded) else {
            add(&shared.totals.rx_malformed, 1);
            return;
        };
        let packet = &padded[..header.total_bytes];
        add(&shared.totals.rx_bytes, packet.len() as u64);
        peers.count_received(peer, packet.len());
        if !peers.may_send_from(peer, header.src) {
            add(&shared.totals.rx_wrong_source, 1);
            return;
        }
        let place = Place { len: packet.len() as u32, ..place };
        let policy = match self.filter.seen().inbound(packet, &header, |flow| known(&shared.flows, flow)) {
            Verdict::Accept => Policy::Local,
            Verdict::Forward => Policy::Forwarded,
            Verdict::Tsmp => {
                let record =
                    Record { body: packet, time_ms: shared.time.ms_of(now.mono_ns), ..Record::event(Kind::Tsmp, peer) };
                shared.records.push(&record, &shared.totals);
                return;
            }
            Verdict::Drop => {
                add(&shared.totals.filter_dropped, 1);
                if now.mono_ns >= self.refused_due_ns && asks(packet, &header) {
                    self.refused_due_ns = now.mono_ns + REFUSED_NS;
                    shared.records.push(&Record { body: packet, ..Record::event(Kind::Refused, peer) }, &shared.totals);
                }
                return;
            }
        };
        self.merger.push(place, packet, &header, policy, self.takes);
    }

    fn record(&self, shared: &Shared, kind: Kind, vni: Option<u32>, body: &[u8], now: Now) {
        let Origin::Udp { from, .. } = self.origin else { return };
        let text = from.to_string();
        let record =
            Record { kind, peer: 0, vni, region: None, time_ms: shared.time.ms_of(now.mono_ns), text: &text, body };
        shared.records.push(&record, &shared.totals);
    }

    /// Hands the batch to the host; `bytes` finds the packet at a place.
    pub fn write<'b>(&mut self, shared: &Shared, bytes: impl Fn(Place) -> &'b [u8]) {
        if self.merger.is_empty() {
            return;
        }
        self.merger.finish();
        for item in self.merger.items() {
            add(&shared.totals.tun_writes, 1);
            if shared.tun.write_item(&self.merger, item, &bytes).is_err() {
                add(&shared.totals.tun_write_error, 1);
            }
        }
        self.merger.clear();
    }
}
