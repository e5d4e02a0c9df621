//! Cuts a super-packet from the TUN (TSO, USO) into packets that fit the tunnel, and finishes partial checksums.
//!
//! What the kernel hands over and expects is described in the virtio specification 5.1.6.2 ("Packet Transmission"):
//! one set of headers, a long payload, `gso_size` payload bytes per segment.

use std::net::IpAddr;

use super::vnet::{GSO_NONE, GSO_TCP_V4, GSO_TCP_V6, GSO_UDP_L4, NEEDS_CSUM, VnetHeader};
use super::{csum, ip};

const TCP_FIN: u8 = 0x01;
const TCP_PSH: u8 = 0x08;
const TCP_CWR: u8 = 0x80;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitError {
    /// Headers or lengths that do not fit the packet: a kernel of another mind, or a bug of ours.
    Malformed,
    /// A kind of super-packet we never asked for.
    Unsupported,
}

/// One packet as read from the TUN, seen as a row of segments. A plain packet is a row of one.
#[derive(Debug)]
pub struct Segments<'a> {
    packet: &'a [u8],
    dst: IpAddr,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    Whole,
    Gso(Gso),
}

#[derive(Debug)]
struct Gso {
    src: IpAddr,
    tcp: bool,
    l4_offset: usize,
    header_bytes: usize,
    payload_per_segment: usize,
    count: usize,
}

impl<'a> Segments<'a> {
    /// Finishes a partial checksum in place when the packet is a plain one.
    pub fn new(vnet: &VnetHeader, packet: &'a mut [u8]) -> Result<Self, SplitError> {
        let dst = ip::destination(packet).ok_or(SplitError::Malformed)?;
        if vnet.gso_type == GSO_NONE {
            if vnet.flags & NEEDS_CSUM != 0 {
                finish_checksum(vnet, packet)?;
            }
            return Ok(Self { packet, dst, shape: Shape::Whole });
        }
        let gso = Gso::new(vnet, packet)?;
        Ok(Self { packet, dst, shape: Shape::Gso(gso) })
    }

    pub fn destination(&self) -> IpAddr {
        self.dst
    }

    /// The headers of the first segment are those of all, apart from lengths.
    pub fn packet(&self) -> &[u8] {
        self.packet
    }

    pub fn count(&self) -> usize {
        match &self.shape {
            Shape::Whole => 1,
            Shape::Gso(gso) => gso.count,
        }
    }

    /// Bytes of segment `index`, headers included.
    pub fn len(&self, index: usize) -> usize {
        match &self.shape {
            Shape::Whole => self.packet.len(),
            Shape::Gso(gso) => gso.header_bytes + gso.payload(index, self.packet).len(),
        }
    }

    /// Writes segment `index` to the front of `out`, which holds at least `len(index)` bytes.
    pub fn write(&self, index: usize, out: &mut [u8]) {
        match &self.shape {
            Shape::Whole => out[..self.packet.len()].copy_from_slice(self.packet),
            Shape::Gso(gso) => gso.write(self.packet, self.dst, index, out),
        }
    }
}

impl Gso {
    fn new(vnet: &VnetHeader, packet: &[u8]) -> Result<Self, SplitError> {
        let version = packet.first().ok_or(SplitError::Malformed)? >> 4;
        let tcp = match (vnet.gso_type, version) {
            (GSO_TCP_V4, 4) | (GSO_TCP_V6, 6) => true,
            (GSO_UDP_L4, 4 | 6) => false,
            _ => return Err(SplitError::Unsupported),
        };
        let src = match version {
            4 => IpAddr::from(slice::<4>(packet, 12)?),
            _ => IpAddr::from(slice::<16>(packet, 8)?),
        };
        // `hdr_len` is a hint that old kernels got wrong, so the length is read from the headers themselves.
        let l4_offset = usize::from(vnet.csum_start);
        let ip_bytes_least = if version == 4 { 20 } else { 40 };
        if vnet.flags & NEEDS_CSUM == 0 || l4_offset < ip_bytes_least {
            return Err(SplitError::Malformed);
        }
        let l4_bytes =
            if tcp { usize::from(packet.get(l4_offset + 12).ok_or(SplitError::Malformed)? >> 4) * 4 } else { 8 };
        let header_bytes = l4_offset + l4_bytes;
        let payload_per_segment = usize::from(vnet.gso_size);
        if (tcp && l4_bytes < 20) || header_bytes >= packet.len() || payload_per_segment == 0 {
            return Err(SplitError::Malformed);
        }
        let count = (packet.len() - header_bytes).div_ceil(payload_per_segment);
        Ok(Self { src, tcp, l4_offset, header_bytes, payload_per_segment, count })
    }

    fn payload<'p>(&self, index: usize, packet: &'p [u8]) -> &'p [u8] {
        let start = self.header_bytes + index * self.payload_per_segment;
        &packet[start..packet.len().min(start + self.payload_per_segment)]
    }

    fn write(&self, packet: &[u8], dst: IpAddr, index: usize, out: &mut [u8]) {
        let payload = self.payload(index, packet);
        let total = self.header_bytes + payload.len();
        let out = &mut out[..total];
        out[..self.header_bytes].copy_from_slice(&packet[..self.header_bytes]);
        out[self.header_bytes..].copy_from_slice(payload);
        self.fix_ip(index, out);
        let l4_bytes = total - self.l4_offset;
        let l4 = &mut out[self.l4_offset..];
        let (protocol, checksum_at) = if self.tcp { (ip::TCP, 16) } else { (ip::UDP, 6) };
        if self.tcp {
            let seq = u32::from_be_bytes([l4[4], l4[5], l4[6], l4[7]]);
            let seq = seq.wrapping_add((index * self.payload_per_segment) as u32);
            l4[4..8].copy_from_slice(&seq.to_be_bytes());
            if index + 1 < self.count {
                l4[13] &= !(TCP_FIN | TCP_PSH);
            }
            if index > 0 {
                l4[13] &= !TCP_CWR;
            }
        } else {
            l4[4..6].copy_from_slice(&(l4_bytes as u16).to_be_bytes());
        }
        l4[checksum_at..checksum_at + 2].fill(0);
        let sum = csum::finish(csum::add(csum::pseudo_header(self.src, dst, protocol, l4_bytes), l4));
        // RFC 768: a computed zero is sent as all ones, because zero means "no checksum".
        let sum = if !self.tcp && sum == 0 { 0xffff } else { sum };
        l4[checksum_at..checksum_at + 2].copy_from_slice(&sum.to_be_bytes());
    }

    fn fix_ip(&self, index: usize, out: &mut [u8]) {
        let total = out.len();
        if out[0] >> 4 == 4 {
            out[2..4].copy_from_slice(&(total as u16).to_be_bytes());
            let id = u16::from_be_bytes([out[4], out[5]]).wrapping_add(index as u16);
            out[4..6].copy_from_slice(&id.to_be_bytes());
            out[10..12].fill(0);
            let sum = csum::finish(csum::add(0, &out[..self.l4_offset]));
            out[10..12].copy_from_slice(&sum.to_be_bytes());
        } else {
            out[4..6].copy_from_slice(&((total - 40) as u16).to_be_bytes());
        }
    }
}

/// The kernel left the pseudo-header's sum in the checksum field; the rest is added here.
fn finish_checksum(vnet: &VnetHeader, packet: &mut [u8]) -> Result<(), SplitError> {
    let start = usize::from(vnet.csum_start);
    let at = start + usize::from(vnet.csum_offset);
    if at + 2 > packet.len() {
        return Err(SplitError::Malformed);
    }
    let sum = csum::finish(csum::add(0, &packet[start..]));
    // Offset 6 is UDP's, where zero would mean "no checksum".
    let sum = if vnet.csum_offset == 6 && sum == 0 { 0xffff } else { sum };
    packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    Ok(())
}

fn slice<const N: usize>(packet: &[u8], at: usize) -> Result<[u8; N], SplitError> {
    packet.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).ok_or(SplitError::Malformed)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::packet::csum::tests::slow;
    use proptest::prelude::*;

    /// Every packet's checksums are right by the slow sum: over IPv4 header, and pseudo-header plus transport.
    pub fn assert_checksums(packet: &[u8]) {
        let header = ip::parse(packet).expect("well-formed");
        assert_eq!(header.total_bytes, packet.len());
        if packet[0] >> 4 == 4 {
            assert_eq!(slow(&packet[..header.l4_offset]), 0xffff, "IPv4 header checksum");
        }
        let l4 = &packet[header.l4_offset..];
        let mut pseudo = Vec::new();
        match (header.src, header.dst) {
            (IpAddr::V4(s), IpAddr::V4(d)) => pseudo.extend_from_slice(&[s.octets(), d.octets()].concat()),
            (IpAddr::V6(s), IpAddr::V6(d)) => pseudo.extend_from_slice(&[s.octets(), d.octets()].concat()),
            _ => panic!("mixed families"),
        }
        pseudo.extend_from_slice(&[0, header.protocol]);
        pseudo.extend_from_slice(&(l4.len() as u16).to_be_bytes());
        pseudo.extend_from_slice(l4);
        assert_eq!(slow(&pseudo), 0xffff, "transport checksum");
    }

    /// As the kernel hands it over: pseudo-header sum in the checksum field.
    pub fn super_packet(v6: bool, tcp: bool, gso_size: u16, payload: &[u8]) -> (VnetHeader, Vec<u8>) {
        let (src, dst) = if v6 { ("fd7a::1", "fd7a::2") } else { ("100.64.0.1", "100.64.0.2") };
        let mut packet = if tcp {
            ip::tests::tcp(src, dst, (5, 6), 0xffff_fff0, 0x99, payload)
        } else {
            ip::tests::udp(src, dst, (5, 6), payload)
        };
        let header = ip::parse(&packet).expect("well-formed");
        let offset = if tcp { 16 } else { 6 };
        let at = header.l4_offset + offset;
        let l4_bytes = packet.len() - header.l4_offset;
        let partial = csum::fold(csum::pseudo_header(header.src, header.dst, header.protocol, l4_bytes));
        packet[at..at + 2].copy_from_slice(&partial.to_be_bytes());
        let vnet = VnetHeader {
            flags: NEEDS_CSUM,
            gso_type: match (tcp, v6) {
                (true, false) => GSO_TCP_V4,
                (true, true) => GSO_TCP_V6,
                (false, _) => GSO_UDP_L4,
            },
            hdr_len: 0,
            gso_size,
            csum_start: header.l4_offset as u16,
            csum_offset: offset as u16,
        };
        (vnet, packet)
    }

    pub fn split_all(vnet: &VnetHeader, packet: &mut [u8]) -> Vec<Vec<u8>> {
        let segments = Segments::new(vnet, packet).expect("splits");
        (0..segments.count())
            .map(|index| {
                let mut out = vec![0; segments.len(index)];
                segments.write(index, &mut out);
                out
            })
            .collect()
    }

    #[test]
    fn finishes_a_partial_checksum() {
        let (mut vnet, mut packet) = super_packet(false, false, 0, b"odd");
        vnet.gso_type = GSO_NONE;
        let out = split_all(&vnet, &mut packet);
        assert_eq!(out.len(), 1);
        assert_checksums(&out[0]);
    }

    #[test]
    fn keeps_push_and_fin_for_the_last_segment_and_cwr_for_the_first() {
        let (vnet, mut packet) = super_packet(false, true, 100, &[1; 250]);
        let out = split_all(&vnet, &mut packet);
        let flags: Vec<u8> = out.iter().map(|segment| segment[20 + 13]).collect();
        assert_eq!(flags, [0x90, 0x10, 0x19]);
        let ids: Vec<u8> = out.iter().map(|segment| segment[5]).collect();
        assert_eq!(ids, [0x34, 0x35, 0x36]);
    }

    #[test]
    fn refuses_headers_that_do_not_fit() {
        for change in [
            |v: &mut VnetHeader| v.gso_size = 0,
            |v: &mut VnetHeader| v.csum_start = 0,
            |v: &mut VnetHeader| v.csum_start = 60_000,
            |v: &mut VnetHeader| v.gso_type = GSO_TCP_V6,
            |v: &mut VnetHeader| v.gso_type = 3,
            |v: &mut VnetHeader| v.flags = 0,
        ] {
            let (mut vnet, mut packet) = super_packet(false, true, 100, &[1; 250]);
            change(&mut vnet);
            assert!(Segments::new(&vnet, &mut packet).is_err());
        }
    }

    proptest! {
        #[test]
        fn segments_join_to_the_payload_with_right_checksums(
            v6 in any::<bool>(),
            tcp in any::<bool>(),
            gso_size in 1u16..1400,
            payload in proptest::collection::vec(any::<u8>(), 1..8000),
        ) {
            let (vnet, mut packet) = super_packet(v6, tcp, gso_size, &payload);
            let out = split_all(&vnet, &mut packet);
            prop_assert_eq!(out.len(), payload.len().div_ceil(usize::from(gso_size)));
            let mut joined = Vec::new();
            for segment in &out {
                assert_checksums(segment);
                let header = ip::parse(segment).expect("well-formed");
                let header_bytes = if tcp { 20 } else { 8 };
                if tcp {
                    let at = header.l4_offset + 4;
                    let seq = u32::from_be_bytes(segment[at..at + 4].try_into().expect("four bytes"));
                    prop_assert_eq!(seq, 0xffff_fff0u32.wrapping_add(joined.len() as u32));
                }
                joined.extend_from_slice(&segment[header.l4_offset + header_bytes..]);
            }
            prop_assert_eq!(joined, payload);
        }

        #[test]
        fn never_panics(
            raw in proptest::array::uniform10(any::<u8>()),
            gso in 0u8..6,
            mut packet in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut vnet = VnetHeader::read(&raw);
            vnet.gso_type = gso;
            vnet.csum_start %= 128;
            if let Ok(segments) = Segments::new(&vnet, &mut packet) {
                for index in 0..segments.count() {
                    let mut out = vec![0; segments.len(index)];
                    segments.write(index, &mut out);
                }
            }
        }
    }
}
