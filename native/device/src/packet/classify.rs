//! One UDP socket carries four protocols; the first bytes tell them apart (paths.md 7.1).

const STUN_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const DISCO_MAGIC: [u8; 6] = *b"TS\xf0\x9f\x92\xac";
/// Magic and the sender's key; below this a packet is not taken for disco.
const DISCO_MIN_BYTES: usize = 38;
pub const GENEVE_BYTES: usize = 8;
const GENEVE_DISCO: u16 = 0x7a11;
const GENEVE_WIREGUARD: u16 = 0x7a12;
const GENEVE_CONTROL: u8 = 0x80;
pub const VNI_MAX: u32 = 0x00ff_ffff;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Stun,
    Disco,
    /// Disco inside Geneve; the payload starts after the eight bytes.
    GeneveDisco {
        vni: u32,
        control: bool,
    },
    /// WireGuard inside Geneve.
    GeneveWireguard {
        vni: u32,
    },
    /// Everything else: WireGuard decides whether it is one of its messages.
    Wireguard,
}

pub fn classify(datagram: &[u8]) -> Kind {
    if is_stun(datagram) {
        return Kind::Stun;
    }
    if let Some((header, inner)) = datagram.split_first_chunk::<GENEVE_BYTES>() {
        let plain = header[0] & 0xc0 == 0 && header[1] & 0x3f == 0 && header[7] == 0;
        let vni = u32::from_be_bytes([0, header[4], header[5], header[6]]);
        match u16::from_be_bytes([header[2], header[3]]) {
            GENEVE_DISCO if plain && is_disco(inner) => {
                return Kind::GeneveDisco { vni, control: header[1] & GENEVE_CONTROL != 0 };
            }
            GENEVE_WIREGUARD if plain => return Kind::GeneveWireguard { vni },
            _ => {}
        }
    }
    if is_disco(datagram) { Kind::Disco } else { Kind::Wireguard }
}

/// Byte 1 must be 1 (a binding message), which a Geneve header never has there.
fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= 20 && datagram[0] & 0xc0 == 0 && datagram[1] == 0x01 && datagram[4..8] == STUN_COOKIE
}

fn is_disco(datagram: &[u8]) -> bool {
    datagram.len() >= DISCO_MIN_BYTES && datagram.starts_with(&DISCO_MAGIC)
}

/// The header in front of a relayed packet. `control` marks the relay's own handshake, which is always disco.
pub fn geneve_header(vni: u32, wireguard: bool, control: bool) -> [u8; GENEVE_BYTES] {
    let protocol = if wireguard { GENEVE_WIREGUARD } else { GENEVE_DISCO }.to_be_bytes();
    let vni = vni.to_be_bytes();
    [0, if control { GENEVE_CONTROL } else { 0 }, protocol[0], protocol[1], vni[1], vni[2], vni[3], 0]
}

/// What `sendRaw` wraps is disco when it carries the magic, else WireGuard.
pub fn looks_like_disco(datagram: &[u8]) -> bool {
    is_disco(datagram)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disco() -> Vec<u8> {
        let mut packet = DISCO_MAGIC.to_vec();
        packet.resize(80, 7);
        packet
    }

    #[test]
    fn knows_stun_by_its_cookie() {
        let mut packet = vec![0x01, 0x01, 0, 0];
        packet.extend_from_slice(&STUN_COOKIE);
        packet.resize(20, 0);
        assert_eq!(classify(&packet), Kind::Stun);
        assert_eq!(classify(&packet[..19]), Kind::Wireguard);
        packet[1] = 0;
        assert_eq!(classify(&packet), Kind::Wireguard);
    }

    #[test]
    fn knows_disco_naked_and_in_geneve() {
        assert_eq!(classify(&disco()), Kind::Disco);
        assert_eq!(classify(&disco()[..37]), Kind::Wireguard);
        for control in [false, true] {
            let mut packet = geneve_header(0x010203, false, control).to_vec();
            packet.extend_from_slice(&disco());
            assert_eq!(classify(&packet), Kind::GeneveDisco { vni: 0x010203, control });
        }
    }

    #[test]
    fn a_geneve_header_with_a_bad_inner_packet_falls_through() {
        let mut packet = geneve_header(5, false, false).to_vec();
        packet.extend_from_slice(&[0; 60]);
        assert_eq!(classify(&packet), Kind::Wireguard);
    }

    #[test]
    fn knows_wireguard_in_geneve_and_naked() {
        let mut packet = geneve_header(VNI_MAX, true, false).to_vec();
        assert_eq!(packet, [0, 0, 0x7a, 0x12, 0xff, 0xff, 0xff, 0]);
        packet.extend_from_slice(&[4, 0, 0, 0]);
        assert_eq!(classify(&packet), Kind::GeneveWireguard { vni: VNI_MAX });
        packet[7] = 1;
        assert_eq!(classify(&packet), Kind::Wireguard);
        assert_eq!(classify(&[4, 0, 0, 0, 1, 2, 3, 4]), Kind::Wireguard);
        assert_eq!(classify(&[]), Kind::Wireguard);
    }
}
