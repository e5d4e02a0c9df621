//! One UDP socket per address family, on one port where it can be had.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use socket2::{Domain, Protocol, Socket, Type};

use super::quirks::quirks;

/// A second of traffic at 50 Mbit/s, or the burst of a few full trains while a thread is not scheduled; the reference
/// client asks for the same.
const BUFFER_BYTES: libc::c_int = 7 << 20;
/// How often another port is tried when the one that v4 got is taken for v6.
const SAME_PORT_ATTEMPTS: usize = 8;
/// Trains that cost a second, split send before GSO is given up.
const MAX_REFUSED_TRAINS: u32 = 64;

#[derive(Debug)]
pub struct UdpSocket {
    socket: Socket,
    local: SocketAddr,
    /// Cleared for good when the kernel or the network card refuses a train.
    gso: AtomicBool,
    refused_trains: AtomicU32,
}

#[derive(Debug)]
pub struct Sockets {
    pub v4: UdpSocket,
    /// None where the system has no IPv6.
    pub v6: Option<UdpSocket>,
}

impl Sockets {
    pub fn bind(port: u16, mark: u32) -> io::Result<Self> {
        let mut attempts = if port == 0 { SAME_PORT_ATTEMPTS } else { 1 };
        loop {
            attempts -= 1;
            let v4 = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port).into(), mark)?;
            match UdpSocket::bind((Ipv6Addr::UNSPECIFIED, v4.port()).into(), mark) {
                Ok(v6) => return Ok(Self { v4, v6: Some(v6) }),
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => return Ok(Self { v4, v6: None }),
                Err(_) if attempts > 0 => {}
                Err(_) => {
                    let v6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0).into(), mark).ok();
                    return Ok(Self { v4, v6 });
                }
            }
        }
    }

    pub fn towards(&self, to: SocketAddr) -> Option<&UdpSocket> {
        match to {
            SocketAddr::V4(_) => Some(&self.v4),
            SocketAddr::V6(_) => self.v6.as_ref(),
        }
    }

    /// One datagram now, without a queue.
    pub fn send_now(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let socket = self.towards(to).ok_or_else(|| io::Error::from_raw_os_error(libc::EAFNOSUPPORT))?;
        socket.socket.send_to_with_flags(bytes, &to.into(), libc::MSG_DONTWAIT).map(drop)
    }
}

impl UdpSocket {
    fn bind(local: SocketAddr, mark: u32) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(local), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        if local.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        if mark != 0 {
            socket.set_mark(mark)?;
        }
        for (force, plain) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)] {
            // FORCE needs privilege; the plain option is cut to the system's limit. A small buffer is no failure.
            if set_option(&socket, libc::SOL_SOCKET, force, BUFFER_BYTES).is_err() {
                let _ = set_option(&socket, libc::SOL_SOCKET, plain, BUFFER_BYTES);
            }
        }
        if !quirks().no_udp_gro {
            let _ = set_option(&socket, libc::SOL_UDP, libc::UDP_GRO, 1);
        }
        let gso = AtomicBool::new(has_gso(&socket));
        socket.bind(&local.into())?;
        let local = socket.local_addr()?.as_socket().unwrap_or(local);
        Ok(Self { socket, local, gso, refused_trains: AtomicU32::new(0) })
    }

    pub fn port(&self) -> u16 {
        self.local.port()
    }

    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    pub fn gso(&self) -> bool {
        self.gso.load(Ordering::Relaxed)
    }

    pub fn give_up_gso(&self) {
        self.gso.store(false, Ordering::Relaxed);
    }

    /// EIO means that the card cannot do trains. Other errors may be about one route's MTU, so they need repeating.
    pub(super) fn train_refused(&self, for_good: bool) {
        if for_good || self.refused_trains.fetch_add(1, Ordering::Relaxed) >= MAX_REFUSED_TRAINS {
            self.give_up_gso();
        }
    }
}

fn set_option(socket: &Socket, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open while `socket` lives, and the option's value is one c_int.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reading the option is how one asks whether the kernel knows UDP GSO (Linux 4.18).
fn has_gso(socket: &Socket) -> bool {
    let mut value: libc::c_int = 0;
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and `value` and `len` outlive the call that writes to them.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, (&raw mut value).cast(), &raw mut len)
    };
    result == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_share_a_port() {
        let sockets = Sockets::bind(0, 0).expect("binds");
        assert_ne!(sockets.v4.port(), 0);
        if let Some(v6) = &sockets.v6 {
            assert_eq!(v6.port(), sockets.v4.port());
        }
    }

    #[test]
    fn a_taken_port_is_an_error() {
        let first = Sockets::bind(0, 0).expect("binds");
        let error = Sockets::bind(first.v4.port(), 0).expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
