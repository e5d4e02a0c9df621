//! Receives several datagrams per call, each perhaps a train that the kernel merged (UDP GRO).

use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::socket::UdpSocket;

/// Messages per call. A message holds up to 64 kB under load, so more would only grow the cache footprint.
pub const MESSAGES: usize = 8;
/// The largest UDP payload, rounded up.
const MESSAGE_BYTES: usize = 65_536;
const CONTROL_BYTES: usize = 64;

#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

pub struct Receiver {
    buffers: Vec<u8>,
    names: [libc::sockaddr_storage; MESSAGES],
    controls: [Control; MESSAGES],
    messages: [Message; MESSAGES],
}

/// One received message: `len` bytes of which every `stride` form a datagram; the last may be shorter.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    pub from: SocketAddr,
    pub len: usize,
    pub stride: usize,
}

const NO_ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));

impl Receiver {
    pub fn new() -> Self {
        Self {
            buffers: vec![0; MESSAGES * MESSAGE_BYTES],
            // SAFETY: sockaddr_storage is plain data for which all zeros is a value.
            names: unsafe { zeroed() },
            controls: [const { Control([0; CONTROL_BYTES]) }; MESSAGES],
            messages: [Message { from: NO_ADDRESS, len: 0, stride: 1 }; MESSAGES],
        }
    }

    /// How many messages came; 0 when none waits.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let mut vectors: [MaybeUninit<libc::iovec>; MESSAGES] = [const { MaybeUninit::uninit() }; MESSAGES];
        // SAFETY: mmsghdr is plain data for which all zeros (null pointers, zero lengths) is a value.
        let mut headers: [libc::mmsghdr; MESSAGES] = unsafe { zeroed() };
        let buffers = self.buffers.chunks_exact_mut(MESSAGE_BYTES);
        for (index, buffer) in buffers.enumerate() {
            let vector =
                vectors[index].write(libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() });
            let header = &mut headers[index].msg_hdr;
            header.msg_name = (&raw mut self.names[index]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            header.msg_control = (&raw mut self.controls[index]).cast();
            header.msg_controllen = CONTROL_BYTES as _;
        }
        // SAFETY: every pointer in `headers` leads to memory of `self` or of this frame that outlives the call, with its length.
        let received = unsafe {
            libc::recvmmsg(
                socket.fd(),
                headers.as_mut_ptr(),
                MESSAGES as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        if received < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            };
        }
        let received = received as usize;
        for (index, header) in headers.iter().enumerate().take(received) {
            let len = header.msg_len as usize;
            // SAFETY: the kernel filled the header and the control buffer it points to, which belongs to `self`.
            let stride = unsafe { gro_size(&header.msg_hdr) }.filter(|size| *size > 0).unwrap_or(len.max(1));
            let from = socket_addr(&self.names[index]).unwrap_or(NO_ADDRESS);
            self.messages[index] = Message { from, len, stride };
        }
        Ok(received)
    }

    pub fn message(&self, index: usize) -> Message {
        self.messages[index]
    }

    pub fn bytes(&self, index: usize) -> &[u8] {
        &self.buffers[index * MESSAGE_BYTES..][..self.messages[index].len]
    }

    pub fn bytes_mut(&mut self, index: usize) -> &mut [u8] {
        &mut self.buffers[index * MESSAGE_BYTES..][..self.messages[index].len]
    }
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

/// The segment size from the UDP_GRO control message, when the message is a train.
///
/// # Safety
/// `header` must be one that recvmmsg filled, with its control buffer still in place.
unsafe fn gro_size(header: &libc::msghdr) -> Option<usize> {
    // SAFETY: by the contract above; the CMSG functions stay within msg_controllen.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(header);
        while let Some(message) = control.as_ref() {
            if message.cmsg_level == libc::SOL_UDP && message.cmsg_type == libc::UDP_GRO {
                let size = libc::CMSG_DATA(control).cast::<libc::c_int>().read_unaligned();
                return usize::try_from(size).ok();
            }
            control = libc::CMSG_NXTHDR(header, control);
        }
    }
    None
}

fn socket_addr(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says what the storage, which is large and aligned enough, holds.
            let name = unsafe { &*(&raw const *name).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(name.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let name = unsafe { &*(&raw const *name).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, u16::from_be(name.sin6_port), 0, name.sin6_scope_id).into())
        }
        _ => None,
    }
}
