//! Whether a packet may start or continue a super-packet, and which flow it is of.

use std::net::IpAddr;

use super::csum;
use super::ip::{self, Fragment, IpHeader};

pub(super) const TCP_PSH: u8 = 0x08;
const TCP_ACK: u8 = 0x10;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FlowKey {
    protocol: u8,
    src: IpAddr,
    dst: IpAddr,
    ports: (u16, u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The segment with this sequence number.
    Seq(u32),
    Datagram,
}

/// What may be done with a packet besides writing it as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// For this host. The AEAD already proved the bytes, so checksums are not looked at, as in the kernel's WireGuard.
    Local,
    /// Going on to another host: a wrong checksum of the sender must stay visible there.
    Forwarded,
}

/// Which super-packets the TUN takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Takes {
    pub tcp: bool,
    pub udp: bool,
}

/// A packet with data that may start or continue a super-packet.
pub(super) struct Candidate {
    /// What it is, and what may follow it.
    pub(super) is: Next,
    pub(super) follower: Next,
    pub(super) header_bytes: usize,
    pub(super) payload_bytes: usize,
    pub(super) pushed: bool,
}

pub(super) fn flow(packet: &[u8], header: &IpHeader) -> Option<FlowKey> {
    if !matches!(header.protocol, ip::TCP | ip::UDP) || header.fragment == Fragment::Later {
        return None;
    }
    let ports = ip::ports(packet, header)?;
    Some(FlowKey { protocol: header.protocol, src: header.src, dst: header.dst, ports })
}

pub(super) fn candidate(packet: &[u8], header: &IpHeader, policy: Policy, takes: Takes) -> Option<Candidate> {
    // IP options and extension headers are odd enough to go alone.
    if header.fragment != Fragment::Whole || !matches!(header.l4_offset, 20 | 40) {
        return None;
    }
    let l4 = packet.get(header.l4_offset..)?;
    let candidate = match header.protocol {
        ip::TCP if takes.tcp => tcp_candidate(l4, header.l4_offset)?,
        ip::UDP if takes.udp => udp_candidate(l4, header.l4_offset)?,
        _ => return None,
    };
    if policy == Policy::Forwarded {
        let sum = csum::add(csum::pseudo_header(header.src, header.dst, header.protocol, l4.len()), l4);
        if csum::fold(sum) != 0xffff {
            return None;
        }
    }
    Some(candidate)
}

fn tcp_candidate(l4: &[u8], l4_offset: usize) -> Option<Candidate> {
    let tcp: &[u8; 20] = l4.first_chunk()?;
    let header_bytes = usize::from(tcp[12] >> 4) * 4;
    let plain = tcp[13] & !TCP_PSH == TCP_ACK && tcp[12] & 0x0f == 0;
    if !plain || header_bytes < 20 || l4.len() <= header_bytes {
        return None;
    }
    let payload_bytes = l4.len() - header_bytes;
    let seq = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
    Some(Candidate {
        is: Next::Seq(seq),
        follower: Next::Seq(seq.wrapping_add(payload_bytes as u32)),
        header_bytes: l4_offset + header_bytes,
        payload_bytes,
        pushed: tcp[13] & TCP_PSH != 0,
    })
}

fn udp_candidate(l4: &[u8], l4_offset: usize) -> Option<Candidate> {
    let udp: &[u8; 8] = l4.first_chunk()?;
    let whole = usize::from(u16::from_be_bytes([udp[4], udp[5]])) == l4.len();
    // Without a checksum there must be none afterwards either, which a super-packet cannot say.
    if !whole || udp[6..8] == [0, 0] || l4.len() == 8 {
        return None;
    }
    Some(Candidate {
        is: Next::Datagram,
        follower: Next::Datagram,
        header_bytes: l4_offset + 8,
        payload_bytes: l4.len() - 8,
        pushed: false,
    })
}
