//! The parts of IPv4 and IPv6 headers that routing, the filter and merging need.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMP_V6: u8 = 58;
/// In-tunnel messages between nodes (paths.md 7.6); the number is one IANA keeps for private encryption schemes.
pub const TSMP: u8 = 99;
pub const SCTP: u8 = 132;
const IPV6_FRAGMENT: u8 = 44;

/// A later fragment that starts below this offset could overwrite a transport header (RFC 1858): longest IPv4 header
/// plus the shortest TCP header.
const MIN_FRAGMENT_BYTES: usize = 80;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    Whole,
    First,
    Later,
}

/// Facts read from one IP packet. `total_bytes` is what the header says and never more than was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpHeader {
    pub src: IpAddr,
    pub dst: IpAddr,
    pub protocol: u8,
    /// Where the transport header starts.
    pub l4_offset: usize,
    pub total_bytes: usize,
    pub fragment: Fragment,
}

/// None for anything that is not a whole, well-formed IP packet.
pub fn parse(packet: &[u8]) -> Option<IpHeader> {
    match packet.first()? >> 4 {
        4 => parse_v4(packet),
        6 => parse_v6(packet),
        _ => None,
    }
}

fn parse_v4(packet: &[u8]) -> Option<IpHeader> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let header_bytes = usize::from(header[0] & 0x0f) * 4;
    let total_bytes = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header_bytes < 20 || total_bytes < header_bytes || total_bytes > packet.len() {
        return None;
    }
    let flags = u16::from_be_bytes([header[6], header[7]]);
    let offset_bytes = usize::from(flags & 0x1fff) * 8;
    let fragment = match (offset_bytes, flags & 0x2000 != 0) {
        (0, false) => Fragment::Whole,
        (0, true) if total_bytes - header_bytes < MIN_FRAGMENT_BYTES => return None,
        (0, true) => Fragment::First,
        (offset, _) if offset < MIN_FRAGMENT_BYTES => return None,
        _ => Fragment::Later,
    };
    Some(IpHeader {
        src: IpAddr::V4(Ipv4Addr::new(header[12], header[13], header[14], header[15])),
        dst: IpAddr::V4(Ipv4Addr::new(header[16], header[17], header[18], header[19])),
        protocol: header[9],
        l4_offset: header_bytes,
        total_bytes,
        fragment,
    })
}

fn parse_v6(packet: &[u8]) -> Option<IpHeader> {
    let header: &[u8; 40] = packet.first_chunk()?;
    let total_bytes = 40 + usize::from(u16::from_be_bytes([header[4], header[5]]));
    if total_bytes > packet.len() {
        return None;
    }
    let mut protocol = header[6];
    let mut l4_offset = 40;
    let mut fragment = Fragment::Whole;
    if protocol == IPV6_FRAGMENT {
        let extension: &[u8; 8] = packet.get(40..total_bytes)?.first_chunk()?;
        protocol = extension[0];
        l4_offset = 48;
        let offset = u16::from_be_bytes([extension[2], extension[3]]);
        fragment = match (usize::from(offset >> 3) * 8, offset & 1 != 0) {
            (0, false) => Fragment::Whole, // an atomic fragment, RFC 6946
            (0, true) if total_bytes - l4_offset < MIN_FRAGMENT_BYTES => return None,
            (0, true) => Fragment::First,
            (offset, _) if offset < MIN_FRAGMENT_BYTES => return None,
            _ => Fragment::Later,
        };
    }
    let octets = |at: usize| -> Option<[u8; 16]> { header.get(at..at + 16)?.try_into().ok() };
    Some(IpHeader {
        src: IpAddr::V6(Ipv6Addr::from(octets(8)?)),
        dst: IpAddr::V6(Ipv6Addr::from(octets(24)?)),
        protocol,
        l4_offset,
        total_bytes,
        fragment,
    })
}

/// Only the destination: all that the way out needs to know.
pub fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => {
            let header: &[u8; 20] = packet.first_chunk()?;
            Some(IpAddr::V4(Ipv4Addr::new(header[16], header[17], header[18], header[19])))
        }
        6 => {
            let octets: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
            Some(IpAddr::V6(Ipv6Addr::from(octets)))
        }
        _ => None,
    }
}

/// Source and destination port of a TCP, UDP or SCTP header.
pub fn ports(packet: &[u8], header: &IpHeader) -> Option<(u16, u16)> {
    let l4 = packet.get(header.l4_offset..header.total_bytes)?;
    let ports: &[u8; 4] = l4.first_chunk()?;
    Some((u16::from_be_bytes([ports[0], ports[1]]), u16::from_be_bytes([ports[2], ports[3]])))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::packet::csum;

    /// A valid TCP packet, checksums included.
    pub fn tcp(src: &str, dst: &str, ports: (u16, u16), seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut l4 = Vec::new();
        l4.extend_from_slice(&ports.0.to_be_bytes());
        l4.extend_from_slice(&ports.1.to_be_bytes());
        l4.extend_from_slice(&seq.to_be_bytes());
        l4.extend_from_slice(&7u32.to_be_bytes());
        l4.extend_from_slice(&[0x50, flags, 0x20, 0x00, 0, 0, 0, 0]);
        l4.extend_from_slice(payload);
        with_ip(src, dst, TCP, l4, 16)
    }

    pub fn udp(src: &str, dst: &str, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
        let mut l4 = Vec::new();
        l4.extend_from_slice(&ports.0.to_be_bytes());
        l4.extend_from_slice(&ports.1.to_be_bytes());
        l4.extend_from_slice(&((payload.len() + 8) as u16).to_be_bytes());
        l4.extend_from_slice(&[0, 0]);
        l4.extend_from_slice(payload);
        with_ip(src, dst, UDP, l4, 6)
    }

    /// Puts an IP header before `l4` and fills the checksum at `checksum_at` of it.
    pub fn with_ip(src: &str, dst: &str, protocol: u8, mut l4: Vec<u8>, checksum_at: usize) -> Vec<u8> {
        let (src, dst): (IpAddr, IpAddr) = (src.parse().expect("address"), dst.parse().expect("address"));
        if checksum_at + 2 <= l4.len() {
            let sum = csum::add(csum::pseudo_header(src, dst, protocol, l4.len()), &l4);
            l4[checksum_at..checksum_at + 2].copy_from_slice(&csum::finish(sum).to_be_bytes());
        }
        let mut packet = Vec::new();
        match (src, dst) {
            (IpAddr::V4(s), IpAddr::V4(d)) => {
                packet.extend_from_slice(&[0x45, 0]);
                packet.extend_from_slice(&((l4.len() + 20) as u16).to_be_bytes());
                packet.extend_from_slice(&[0x12, 0x34, 0x40, 0, 64, protocol, 0, 0]);
                packet.extend_from_slice(&s.octets());
                packet.extend_from_slice(&d.octets());
                let sum = csum::finish(csum::add(0, &packet));
                packet[10..12].copy_from_slice(&sum.to_be_bytes());
            }
            (IpAddr::V6(s), IpAddr::V6(d)) => {
                packet.extend_from_slice(&[0x60, 0, 0, 0]);
                packet.extend_from_slice(&(l4.len() as u16).to_be_bytes());
                packet.extend_from_slice(&[protocol, 64]);
                packet.extend_from_slice(&s.octets());
                packet.extend_from_slice(&d.octets());
            }
            _ => panic!("mixed families"),
        }
        packet.extend_from_slice(&l4);
        packet
    }

    #[test]
    fn reads_both_families() {
        for (src, dst, l4_offset) in [("100.64.0.1", "100.64.0.2", 20), ("fd7a::1", "fd7a::2", 40)] {
            let packet = udp(src, dst, (1000, 53), b"hello");
            let header = parse(&packet).expect("valid");
            assert_eq!(header.src, src.parse::<IpAddr>().expect("address"));
            assert_eq!(header.dst, dst.parse::<IpAddr>().expect("address"));
            assert_eq!((header.protocol, header.l4_offset, header.total_bytes), (UDP, l4_offset, packet.len()));
            assert_eq!(ports(&packet, &header), Some((1000, 53)));
            assert_eq!(destination(&packet), Some(header.dst));
        }
    }

    #[test]
    fn refuses_lengths_that_do_not_fit() {
        let good = udp("10.0.0.1", "10.0.0.2", (1, 2), b"x");
        assert!(parse(&good[..good.len() - 1]).is_none());
        let mut short_header = good.clone();
        short_header[0] = 0x44;
        assert!(parse(&short_header).is_none());
        let mut length_below_header = good.clone();
        length_below_header[2..4].copy_from_slice(&19u16.to_be_bytes());
        assert!(parse(&length_below_header).is_none());
        assert!(parse(&[]).is_none());
        assert!(parse(&[0x60; 39]).is_none());
    }

    #[test]
    fn tells_fragments_apart_and_refuses_overlapping_ones() {
        let mut packet = with_ip("10.0.0.1", "10.0.0.2", UDP, vec![0; 200], 6);
        packet[6..8].copy_from_slice(&0x2000u16.to_be_bytes());
        assert_eq!(parse(&packet).map(|h| h.fragment), Some(Fragment::First));
        packet[6..8].copy_from_slice(&10u16.to_be_bytes());
        assert_eq!(parse(&packet).map(|h| h.fragment), Some(Fragment::Later));
        packet[6..8].copy_from_slice(&1u16.to_be_bytes());
        assert_eq!(parse(&packet), None);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..120)) {
            if let Some(header) = parse(&bytes) {
                proptest::prop_assert!(header.total_bytes <= bytes.len());
                let _ = ports(&bytes, &header);
            }
            let _ = destination(&bytes);
        }
    }
}
