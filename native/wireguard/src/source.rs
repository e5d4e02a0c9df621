//! Where a datagram came from, as far as cookies and rate limits care.

use std::net::{IpAddr, SocketAddr};

/// The origin of a datagram: an address, or a sender behind a DERP region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Udp(SocketAddr),
    Derp { region: u16, sender: [u8; 32] },
}

impl Source {
    pub fn udp(addr: SocketAddr) -> Self {
        Self(Kind::Udp(SocketAddr::new(addr.ip().to_canonical(), addr.port())))
    }

    pub fn derp(region: u16, sender: &[u8; 32]) -> Self {
        Self(Kind::Derp { region, sender: *sender })
    }

    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self.0 {
            Kind::Udp(addr) => Some(addr),
            Kind::Derp { .. } => None,
        }
    }

    pub fn derp_sender(&self) -> Option<(u16, [u8; 32])> {
        match self.0 {
            Kind::Udp(_) => None,
            Kind::Derp { region, sender } => Some((region, sender)),
        }
    }

    /// The bytes a cookie is bound to: address and port. The three kinds differ in length, so none can stand for another.
    pub(crate) fn cookie_input(&self) -> ([u8; 34], usize) {
        let mut bytes = [0; 34];
        let mut len = 0;
        let mut add = |part: &[u8]| {
            bytes[len..len + part.len()].copy_from_slice(part);
            len += part.len();
        };
        match self.0 {
            Kind::Udp(addr) => {
                match addr.ip() {
                    IpAddr::V4(ip) => add(&ip.octets()),
                    IpAddr::V6(ip) => add(&ip.octets()),
                }
                add(&addr.port().to_be_bytes());
            }
            Kind::Derp { region, sender } => {
                add(&region.to_be_bytes());
                add(&sender);
            }
        }
        (bytes, len)
    }

    /// Whom a rate limit counts: an IPv4 address, an IPv6 /64 (one host owns that much), a DERP sender.
    pub(crate) fn limit_key(&self) -> [u8; 33] {
        let mut key = [0; 33];
        match self.0 {
            Kind::Udp(addr) => match addr.ip() {
                IpAddr::V4(ip) => {
                    key[0] = 4;
                    key[1..5].copy_from_slice(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    key[0] = 6;
                    key[1..9].copy_from_slice(&ip.octets()[..8]);
                }
            },
            Kind::Derp { sender, .. } => {
                key[0] = 1;
                key[1..].copy_from_slice(&sender);
            }
        }
        key
    }
}
