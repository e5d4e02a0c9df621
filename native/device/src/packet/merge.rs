//! Joins received packets into super-packets before they are written to the TUN, as the kernel's own GRO would. TCP: same
//! flow, next sequence number, same flags, window and options, equal size except the last. UDP: same flow, equal size
//! except the last. Nothing is copied but the first headers; the payloads stay where they were decrypted and are gathered
//! by the write.
//!
//! One super-packet costs the kernel about as much as one packet, so this is most of the receive throughput.

use super::candidate::{Candidate, FlowKey, Next, TCP_PSH, candidate, flow};
pub use super::candidate::{Policy, Takes};
use super::csum;
use super::ip::{self, IpHeader};
use super::vnet::{GSO_TCP_V4, GSO_TCP_V6, GSO_UDP_L4, NEEDS_CSUM, VNET_BYTES, VnetHeader};

/// How many open flows of one batch are compared with a new packet; a batch seldom holds more.
const LOOK_BACK: usize = 8;
/// Keeps the gather list of one write short.
const MAX_PIECES: usize = 128;
/// Linux UDP_MAX_SEGMENTS before 6.9; more is refused.
const MAX_DATAGRAMS: usize = 64;
const MAX_IP_BYTES: usize = 65_535;
/// IPv6 header and the longest TCP header.
const MAX_HEADER_BYTES: usize = 40 + 60;

/// Where a packet lies: which receive buffer, and what part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub buffer: u32,
    pub offset: u32,
    pub len: u32,
}

#[derive(Debug)]
struct Piece {
    place: Place,
    next: Option<u32>,
}

/// One write to the TUN: a lone packet, or several merged ones.
#[derive(Debug)]
pub struct Item {
    first: u32,
    last: u32,
    count: usize,
    flow: Option<FlowKey>,
    /// What may still be appended; None when nothing.
    next: Option<Next>,
    merged: Merged,
}

/// The headers of a merged packet: vnet header, then IP and TCP or UDP. Meaningful from two pieces on.
#[derive(Debug)]
struct Merged {
    head: [u8; VNET_BYTES + MAX_HEADER_BYTES],
    tcp: bool,
    l4_offset: usize,
    header_bytes: usize,
    payload_per_segment: usize,
    total_bytes: usize,
    pushed: bool,
}

#[derive(Debug, Default)]
pub struct Merger {
    pieces: Vec<Piece>,
    items: Vec<Item>,
}

impl Merger {
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.items.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Takes the packet at `place`; `packet` is its bytes, cut to `header.total_bytes`.
    pub fn push(&mut self, place: Place, packet: &[u8], header: &IpHeader, policy: Policy, takes: Takes) {
        let flow = flow(packet, header);
        let candidate = flow.and(candidate(packet, header, policy, takes));
        if let (Some(flow), Some(candidate)) = (flow, &candidate) {
            let same_flow = self.items.iter_mut().rev().take(LOOK_BACK).find(|item| item.flow == Some(flow));
            if let Some(item) = same_flow
                && item.accepts(packet, candidate)
            {
                let index = self.pieces.len() as u32;
                self.pieces[item.last as usize].next = Some(index);
                self.pieces.push(Piece { place, next: None });
                item.append(index, candidate);
                return;
            }
        }
        let index = self.pieces.len() as u32;
        self.pieces.push(Piece { place, next: None });
        self.items.push(Item::new(index, packet, header, flow, candidate));
    }

    /// Completes the headers. Call once, when the batch is over and before `items`.
    pub fn finish(&mut self) {
        for item in self.items.iter_mut().filter(|item| item.count > 1) {
            item.merged.finish();
        }
    }

    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The packets of an item, whole, in order.
    pub fn places<'m>(&'m self, item: &Item) -> impl Iterator<Item = Place> + use<'m> {
        let mut next = Some(item.first);
        std::iter::from_fn(move || {
            let piece = &self.pieces[next? as usize];
            next = piece.next;
            Some(piece.place)
        })
    }
}

impl Item {
    fn new(index: u32, packet: &[u8], header: &IpHeader, flow: Option<FlowKey>, candidate: Option<Candidate>) -> Self {
        let mut merged = Merged {
            head: [0; VNET_BYTES + MAX_HEADER_BYTES],
            tcp: header.protocol == ip::TCP,
            l4_offset: header.l4_offset,
            header_bytes: 0,
            payload_per_segment: 0,
            total_bytes: packet.len(),
            pushed: false,
        };
        let next = candidate.map(|candidate| {
            merged.header_bytes = candidate.header_bytes;
            merged.payload_per_segment = candidate.payload_bytes;
            merged.head[VNET_BYTES..VNET_BYTES + candidate.header_bytes]
                .copy_from_slice(&packet[..candidate.header_bytes]);
            merged.pushed = candidate.pushed;
            candidate.follower
        });
        let next = next.filter(|_| !merged.pushed);
        Self { first: index, last: index, count: 1, flow, next, merged }
    }

    pub fn is_merged(&self) -> bool {
        self.count > 1
    }

    pub fn is_tcp(&self) -> bool {
        self.merged.tcp
    }

    /// vnet, IP and transport header of a merged item.
    pub fn head(&self) -> &[u8] {
        &self.merged.head[..VNET_BYTES + self.merged.header_bytes]
    }

    /// How much of the front of each piece's packet `head` replaces.
    pub fn header_bytes(&self) -> usize {
        self.merged.header_bytes
    }

    fn accepts(&self, packet: &[u8], candidate: &Candidate) -> bool {
        let merged = &self.merged;
        self.next == Some(candidate.is)
            && candidate.header_bytes == merged.header_bytes
            && candidate.payload_bytes <= merged.payload_per_segment
            && merged.total_bytes + candidate.payload_bytes <= MAX_IP_BYTES
            && self.count < if merged.tcp { MAX_PIECES } else { MAX_DATAGRAMS }
            && merged.same_headers(packet)
    }

    fn append(&mut self, index: u32, candidate: &Candidate) {
        self.last = index;
        self.count += 1;
        self.merged.total_bytes += candidate.payload_bytes;
        self.merged.pushed |= candidate.pushed;
        let ends = candidate.pushed || candidate.payload_bytes < self.merged.payload_per_segment;
        self.next = (!ends).then_some(candidate.follower);
    }
}

impl Merged {
    /// Apart from length, id, checksums, sequence number and PSH. Addresses and ports were compared as the flow.
    fn same_headers(&self, packet: &[u8]) -> bool {
        let ours = &self.head[VNET_BYTES..VNET_BYTES + self.header_bytes];
        let theirs = &packet[..self.header_bytes];
        let ip_same = if self.l4_offset == 20 {
            // Version, header length and TOS; fragment flags and TTL.
            ours[..2] == theirs[..2] && ours[6..9] == theirs[6..9]
        } else {
            // Version, traffic class and flow label; next header and hop limit.
            ours[..4] == theirs[..4] && ours[6..8] == theirs[6..8]
        };
        let (ours, theirs) = (&ours[self.l4_offset..], &theirs[self.l4_offset..]);
        ip_same && (!self.tcp || same_tcp(ours, theirs))
    }

    fn finish(&mut self) {
        let v4 = self.l4_offset == 20;
        let vnet = VnetHeader {
            flags: NEEDS_CSUM,
            gso_type: match (self.tcp, v4) {
                (true, true) => GSO_TCP_V4,
                (true, false) => GSO_TCP_V6,
                (false, _) => GSO_UDP_L4,
            },
            hdr_len: self.header_bytes as u16,
            gso_size: self.payload_per_segment as u16,
            csum_start: self.l4_offset as u16,
            csum_offset: if self.tcp { 16 } else { 6 },
        };
        self.head[..VNET_BYTES].copy_from_slice(&vnet.write());
        let headers = &mut self.head[VNET_BYTES..VNET_BYTES + self.header_bytes];
        let addresses = if v4 {
            headers[2..4].copy_from_slice(&(self.total_bytes as u16).to_be_bytes());
            headers[10..12].fill(0);
            let sum = csum::finish(csum::add(0, &headers[..20]));
            headers[10..12].copy_from_slice(&sum.to_be_bytes());
            csum::add(0, &headers[12..20])
        } else {
            headers[4..6].copy_from_slice(&((self.total_bytes - 40) as u16).to_be_bytes());
            csum::add(0, &headers[8..40])
        };
        let l4 = &mut headers[self.l4_offset..];
        let l4_bytes = self.total_bytes - self.l4_offset;
        let (protocol, checksum_at) = if self.tcp { (ip::TCP, 16) } else { (ip::UDP, 6) };
        if self.pushed {
            l4[13] |= TCP_PSH;
        }
        if !self.tcp {
            l4[4..6].copy_from_slice(&(l4_bytes as u16).to_be_bytes());
        }
        // NEEDS_CSUM: the field holds the pseudo-header's sum, and the kernel or its checks add the rest.
        let partial = csum::fold(addresses + u64::from(protocol) + l4_bytes as u64);
        l4[checksum_at..checksum_at + 2].copy_from_slice(&partial.to_be_bytes());
    }
}

fn same_tcp(ours: &[u8], theirs: &[u8]) -> bool {
    ours[8..13] == theirs[8..13] // acknowledgement, header length
        && (ours[13] ^ theirs[13]) & !TCP_PSH == 0
        && ours[14..16] == theirs[14..16] // window
        && ours[18..] == theirs[18..] // urgent pointer, options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::ip::tests::{tcp, udp};
    use crate::packet::split::tests::{assert_checksums, split_all, super_packet};
    use proptest::prelude::*;

    const ALL: Takes = Takes { tcp: true, udp: true };

    fn merge(packets: &[Vec<u8>], policy: Policy) -> Merger {
        merge_for(packets, policy, ALL)
    }

    fn merge_for(packets: &[Vec<u8>], policy: Policy, takes: Takes) -> Merger {
        let mut merger = Merger::default();
        for (index, packet) in packets.iter().enumerate() {
            let header = ip::parse(packet).expect("well-formed");
            let place = Place { buffer: index as u32, offset: 0, len: packet.len() as u32 };
            merger.push(place, packet, &header, policy, takes);
        }
        merger.finish();
        merger
    }

    /// What the kernel would see for each item: vnet header and packet.
    fn gather(merger: &Merger, packets: &[Vec<u8>]) -> Vec<(VnetHeader, Vec<u8>)> {
        let bytes = |place: Place| packets[place.buffer as usize].clone();
        let gathered = merger.items().iter().map(|item| {
            if !item.is_merged() {
                return (VnetHeader::default(), merger.places(item).flat_map(bytes).collect());
            }
            let (vnet, headers) = item.head().split_first_chunk().expect("has a vnet header");
            let mut packet = headers.to_vec();
            for place in merger.places(item) {
                packet.extend_from_slice(&bytes(place)[item.header_bytes()..]);
            }
            (VnetHeader::read(vnet), packet)
        });
        gathered.collect()
    }

    fn segment(seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        tcp("100.64.0.1", "100.64.0.2", (80, 5000), seq, flags, payload)
    }

    #[test]
    fn joins_consecutive_segments_and_ends_at_a_push() {
        let packets = [
            segment(0, 0x10, &[1; 100]),
            segment(100, 0x10, &[2; 100]),
            segment(200, 0x18, &[3; 100]),
            segment(300, 0x10, &[4; 100]),
        ];
        let merger = merge(&packets, Policy::Local);
        let out = gather(&merger, &packets);
        assert_eq!(out.iter().map(|(_, packet)| packet.len()).collect::<Vec<_>>(), [340, 140]);
        assert_eq!(out[0].0.gso_size, 100);
        assert_eq!(out[0].1[33], 0x18);
    }

    #[test]
    fn a_shorter_segment_is_the_last_and_a_longer_one_starts_anew() {
        let packets = [
            segment(0, 0x10, &[1; 100]),
            segment(100, 0x10, &[2; 40]),
            segment(140, 0x10, &[3; 40]),
            segment(180, 0x10, &[3; 80]),
        ];
        let merger = merge(&packets, Policy::Local);
        assert_eq!(merger.items().iter().map(|item| item.count).collect::<Vec<_>>(), [2, 1, 1]);
    }

    #[test]
    fn keeps_apart_what_the_kernel_would_keep_apart() {
        let base = segment(100, 0x10, &[2; 100]);
        let mut other_window = base.clone();
        other_window[34] ^= 1;
        let mut other_ttl = base.clone();
        other_ttl[8] -= 1;
        let mut other_ack = base.clone();
        other_ack[31] ^= 1;
        let gap = segment(101, 0x10, &[2; 100]);
        let fin = segment(100, 0x11, &[2; 100]);
        let other_flow = tcp("100.64.0.1", "100.64.0.2", (80, 5001), 100, 0x10, &[2; 100]);
        let datagram = udp("100.64.0.1", "100.64.0.2", (80, 5000), &[0; 100]);
        for second in [other_window, other_ttl, other_ack, gap, fin, other_flow, datagram] {
            let packets = [segment(0, 0x10, &[1; 100]), second];
            assert_eq!(merge(&packets, Policy::Local).items().len(), 2);
        }
        let packets = [segment(0, 0x10, &[1; 100]), base];
        assert_eq!(merge(&packets, Policy::Local).items().len(), 1);
        assert_eq!(merge_for(&packets, Policy::Local, Takes { tcp: false, udp: true }).items().len(), 2);
    }

    #[test]
    fn joins_equal_datagrams_and_ends_at_a_shorter_one() {
        let datagram = |len| udp("100.64.0.1", "100.64.0.2", (80, 5000), &vec![5; len]);
        let packets = [100, 100, 40, 40, 50].map(datagram);
        let merger = merge(&packets, Policy::Local);
        assert_eq!(merger.items().iter().map(|item| item.count).collect::<Vec<_>>(), [3, 1, 1]);
        assert_eq!(merge_for(&packets, Policy::Local, Takes { tcp: true, udp: false }).items().len(), 5);
    }

    #[test]
    fn leaves_datagrams_alone_that_have_no_checksum_or_no_payload() {
        let mut unsummed = udp("100.64.0.1", "100.64.0.2", (80, 5000), &[5; 100]);
        unsummed[26..28].fill(0);
        assert_eq!(merge(&[unsummed.clone(), unsummed], Policy::Local).items().len(), 2);
        let empty = udp("100.64.0.1", "100.64.0.2", (80, 5000), &[]);
        assert_eq!(merge(&[empty.clone(), empty], Policy::Local).items().len(), 2);
    }

    #[test]
    fn never_reorders_one_flow() {
        let packets = [
            segment(0, 0x10, &[1; 100]),
            segment(500, 0x10, &[9; 100]), // a hole
            segment(100, 0x10, &[2; 100]), // the retransmission must not slip in before it
        ];
        assert_eq!(merge(&packets, Policy::Local).items().len(), 3);
    }

    #[test]
    fn interleaved_flows_are_joined_each() {
        let other = |seq| tcp("fd7a::1", "fd7a::2", (80, 5001), seq, 0x10, &[2; 100]);
        let packets = [segment(0, 0x10, &[1; 100]), other(0), segment(100, 0x10, &[1; 100]), other(100)];
        let merger = merge(&packets, Policy::Local);
        let out = gather(&merger, &packets);
        assert_eq!(out.len(), 2);
        for (vnet, mut packet) in out {
            for packet in split_all(&vnet, &mut packet) {
                assert_checksums(&packet);
            }
        }
    }

    #[test]
    fn forwarded_packets_with_a_wrong_checksum_are_left_alone() {
        let mut wrong = segment(100, 0x10, &[2; 100]);
        wrong[36] ^= 1;
        let packets = [segment(0, 0x10, &[1; 100]), wrong];
        assert_eq!(merge(&packets, Policy::Forwarded).items().len(), 2);
        let packets = [segment(0, 0x10, &[1; 100]), segment(100, 0x10, &[2; 100])];
        assert_eq!(merge(&packets, Policy::Forwarded).items().len(), 1);
    }

    proptest! {
        /// Splitting a super-packet, merging the parts and splitting the result gives the same parts, byte by byte but
        /// for the IPv4 id of later segments.
        #[test]
        fn merging_undoes_splitting(
            v6 in any::<bool>(),
            tcp in any::<bool>(),
            gso_size in 1u16..1400,
            payload in proptest::collection::vec(any::<u8>(), 1..8000),
        ) {
            let (vnet, mut packet) = super_packet(v6, tcp, gso_size, &payload);
            if tcp {
                let at = usize::from(vnet.csum_start) + 13;
                packet[at] = 0x18; // ACK and PSH: the flags a merger takes
            }
            let parts = split_all(&vnet, &mut packet);
            let merger = merge(&parts, Policy::Forwarded);
            let most = if tcp { MAX_PIECES } else { MAX_DATAGRAMS };
            prop_assert_eq!(merger.items().len(), parts.len().div_ceil(most));
            let mut again = Vec::new();
            for (vnet, mut packet) in gather(&merger, &parts) {
                if vnet.gso_size == 0 {
                    again.push(packet);
                } else {
                    again.extend(split_all(&vnet, &mut packet));
                }
            }
            prop_assert_eq!(again, parts);
        }
    }
}
