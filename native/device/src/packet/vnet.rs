//! The header that the kernel puts before each packet on a TUN opened with IFF_VNET_HDR.
//!
//!   offset  bytes  field
//!        0      1  flags        1 = NEEDS_CSUM
//!        1      1  gso_type     0 none, 1 TCPv4, 4 TCPv6, 5 UDP_L4; 0x80 is an ECN mark
//!        2      2  hdr_len      length of all headers
//!        4      2  gso_size     payload bytes per segment
//!        6      2  csum_start   where the sum starts
//!        8      2  csum_offset  where the result goes, from csum_start
//!
//! Native byte order. Source: Linux include/uapi/linux/virtio_net.h, struct virtio_net_hdr.

pub const VNET_BYTES: usize = 10;

pub const NEEDS_CSUM: u8 = 1;
pub const GSO_NONE: u8 = 0;
pub const GSO_TCP_V4: u8 = 1;
pub const GSO_TCP_V6: u8 = 4;
pub const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VnetHeader {
    pub flags: u8,
    pub gso_type: u8,
    pub hdr_len: u16,
    pub gso_size: u16,
    pub csum_start: u16,
    pub csum_offset: u16,
}

impl VnetHeader {
    pub fn read(bytes: &[u8; VNET_BYTES]) -> Self {
        let u16_at = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        Self {
            flags: bytes[0],
            gso_type: bytes[1] & !GSO_ECN,
            hdr_len: u16_at(2),
            gso_size: u16_at(4),
            csum_start: u16_at(6),
            csum_offset: u16_at(8),
        }
    }

    pub fn write(&self) -> [u8; VNET_BYTES] {
        let mut bytes = [0; VNET_BYTES];
        bytes[0] = self.flags;
        bytes[1] = self.gso_type;
        bytes[2..4].copy_from_slice(&self.hdr_len.to_ne_bytes());
        bytes[4..6].copy_from_slice(&self.gso_size.to_ne_bytes());
        bytes[6..8].copy_from_slice(&self.csum_start.to_ne_bytes());
        bytes[8..10].copy_from_slice(&self.csum_offset.to_ne_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_wrote() {
        let header = VnetHeader { flags: 1, gso_type: 4, hdr_len: 60, gso_size: 1220, csum_start: 40, csum_offset: 16 };
        assert_eq!(VnetHeader::read(&header.write()), header);
    }
}
