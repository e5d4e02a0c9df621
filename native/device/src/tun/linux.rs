//! /dev/net/tun with a vnet header, so that the kernel hands over and takes super-packets.
//!
//! Addresses, routes and the up flag are not set here: that belongs to the part that knows the host's network.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::packet::merge::{Item, Merger, Place, Takes};
use crate::packet::vnet::VNET_BYTES;

/// vnet header and the largest IP packet.
pub const READ_BYTES: usize = VNET_BYTES + 65_535;

// Linux include/uapi/linux/if_tun.h; libc lacks the ioctl numbers on some targets.
const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
const TUNGETIFF: libc::c_ulong = 0x8004_54d2;
const TUNSETOFFLOAD: libc::c_ulong = 0x4004_54d0;
const TUNSETVNETHDRSZ: libc::c_ulong = 0x4004_54d8;
const TUN_F_CSUM: libc::c_ulong = 0x01;
const TUN_F_TSO4: libc::c_ulong = 0x02;
const TUN_F_TSO6: libc::c_ulong = 0x04;
const TUN_F_USO4: libc::c_ulong = 0x20;
const TUN_F_USO6: libc::c_ulong = 0x40;
/// Packets the kernel queues for us; 500, the default, overflows within a millisecond of small packets.
const QUEUE_PACKETS: libc::c_int = 1000;

#[derive(Clone, Debug)]
pub enum TunSpec {
    /// Opens or creates the device of this name and sets its MTU.
    Name { name: String, mtu: u16 },
    /// A descriptor that a privileged helper opened and set up. Taken over.
    Fd { fd: RawFd, mtu: u16 },
}

#[derive(Debug)]
pub enum OpenError {
    /// No /dev/net/tun.
    NoDevice(io::Error),
    NoRights(io::Error),
    /// Another program has the name.
    Busy(io::Error),
    Failed(io::Error),
}

#[derive(Debug)]
pub struct Tun {
    file: File,
    name: String,
    mtu: u16,
    /// Cleared when the kernel refuses such a merged packet (Linux 6.6.44 and its like).
    takes_tcp: AtomicBool,
    takes_udp: AtomicBool,
}

impl Tun {
    pub fn open(spec: &TunSpec) -> Result<Self, OpenError> {
        match spec {
            TunSpec::Name { name, mtu } => Self::open_name(name, *mtu),
            TunSpec::Fd { fd, mtu } => {
                // SAFETY: the caller hands over a descriptor that nothing else closes.
                let file = File::from(unsafe { OwnedFd::from_raw_fd(*fd) });
                let request = interface_request(&file, TUNGETIFF, InterfaceRequest::named("")?)?;
                Self::set_up(file, request.name(), *mtu)
            }
        }
    }

    fn open_name(name: &str, mtu: u16) -> Result<Self, OpenError> {
        let file = File::options().read(true).write(true).open("/dev/net/tun").map_err(|error| {
            match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => OpenError::NoDevice(error),
                Some(libc::EACCES | libc::EPERM) => OpenError::NoRights(error),
                _ => OpenError::Failed(error),
            }
        })?;
        let mut request = InterfaceRequest::named(name)?;
        request.set_short((libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short);
        let request = interface_request(&file, TUNSETIFF, request)?;
        let tun = Self::set_up(file, request.name(), mtu)?;
        tun.set_link(libc::SIOCSIFMTU, libc::c_int::from(mtu)).map_err(OpenError::Failed)?;
        let _ = tun.set_link(libc::SIOCSIFTXQLEN, QUEUE_PACKETS);
        Ok(tun)
    }

    fn set_up(file: File, name: String, mtu: u16) -> Result<Self, OpenError> {
        let header_bytes = VNET_BYTES as libc::c_int;
        // SAFETY: the ioctl reads one c_int, which outlives the call.
        if unsafe { libc::ioctl(file.as_raw_fd(), TUNSETVNETHDRSZ as _, &raw const header_bytes) } != 0 {
            return Err(OpenError::Failed(io::Error::last_os_error()));
        }
        let tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
        // USO is known since Linux 6.2. Without any offload plain packets still work, so no answer is a failure.
        // SAFETY: the argument is a number.
        let offload = |flags: libc::c_ulong| unsafe { libc::ioctl(file.as_raw_fd(), TUNSETOFFLOAD as _, flags) == 0 };
        let takes_udp = offload(tcp | TUN_F_USO4 | TUN_F_USO6);
        let takes_tcp = takes_udp || offload(tcp);
        if !takes_tcp {
            offload(0);
        }
        set_flags(&file).map_err(OpenError::Failed)?;
        Ok(Self { file, name, mtu, takes_tcp: AtomicBool::new(takes_tcp), takes_udp: AtomicBool::new(takes_udp) })
    }

    /// An ioctl on the link itself, through any socket.
    fn set_link(&self, number: libc::Ioctl, value: libc::c_int) -> io::Result<()> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
        let mut request = InterfaceRequest::named(&self.name).map_err(io::Error::from)?;
        request.set_int(value);
        // SAFETY: the request is a whole ifreq that outlives the call.
        let result = unsafe { libc::ioctl(socket.as_raw_fd(), number as _, &raw mut request) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn mtu(&self) -> usize {
        usize::from(self.mtu)
    }

    pub fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    pub fn takes(&self) -> Takes {
        Takes { tcp: self.takes_tcp.load(Ordering::Relaxed), udp: self.takes_udp.load(Ordering::Relaxed) }
    }

    /// One packet with its vnet header; None when none waits.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        // SAFETY: the descriptor is open and the pointer and length are those of `buffer`.
        let read = unsafe { libc::read(self.fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
        if read >= 0 {
            return Ok(Some(read as usize));
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
            _ => Err(error),
        }
    }

    /// Writes one item; `bytes` finds the packet at a place. A refused merged packet is written as its parts.
    pub fn write_item<'b>(&self, merger: &Merger, item: &Item, bytes: impl Fn(Place) -> &'b [u8]) -> io::Result<()> {
        if item.is_merged() {
            let headers = item.header_bytes();
            let payloads = merger.places(item).map(|place| bytes(place).get(headers..).unwrap_or_default());
            match self.write(item.head(), payloads) {
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    let takes = if item.is_tcp() { &self.takes_tcp } else { &self.takes_udp };
                    takes.store(false, Ordering::Relaxed);
                }
                other => return other,
            }
        }
        let mut result = Ok(());
        for place in merger.places(item) {
            result = result.and(self.write(&[0; VNET_BYTES], std::iter::once(bytes(place))));
        }
        result
    }

    fn write<'b>(&self, head: &[u8], parts: impl Iterator<Item = &'b [u8]>) -> io::Result<()> {
        const MAX_VECTORS: usize = 129;
        let vector_of = |part: &[u8]| libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() };
        let mut vectors = [vector_of(head); MAX_VECTORS];
        let mut count = 1;
        for (vector, part) in vectors[1..].iter_mut().zip(parts) {
            *vector = vector_of(part);
            count += 1;
        }
        // SAFETY: the first `count` vectors point to slices that outlive the call, and writev only reads them.
        let written = unsafe { libc::writev(self.fd(), vectors.as_ptr(), count) };
        if written >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::NoDevice(error)
            | OpenError::NoRights(error)
            | OpenError::Busy(error)
            | OpenError::Failed(error) => error,
        }
    }
}

/// struct ifreq, of which libc's form differs between versions: a name and a union of up to 24 bytes.
#[repr(C, align(8))]
struct InterfaceRequest {
    name: [u8; libc::IFNAMSIZ],
    value: [u8; 24],
}

impl InterfaceRequest {
    fn named(name: &str) -> Result<Self, OpenError> {
        let mut request = Self { name: [0; libc::IFNAMSIZ], value: [0; 24] };
        if name.len() >= libc::IFNAMSIZ || name.bytes().any(|byte| byte == 0) {
            return Err(OpenError::Failed(io::Error::from_raw_os_error(libc::ENAMETOOLONG)));
        }
        request.name[..name.len()].copy_from_slice(name.as_bytes());
        Ok(request)
    }

    fn set_short(&mut self, value: libc::c_short) {
        self.value[..2].copy_from_slice(&value.to_ne_bytes());
    }

    fn set_int(&mut self, value: libc::c_int) {
        self.value[..4].copy_from_slice(&value.to_ne_bytes());
    }

    fn name(&self) -> String {
        let end = self.name.iter().position(|byte| *byte == 0).unwrap_or(self.name.len());
        String::from_utf8_lossy(&self.name[..end]).into_owned()
    }
}

fn interface_request(
    file: &File,
    number: libc::c_ulong,
    mut request: InterfaceRequest,
) -> Result<InterfaceRequest, OpenError> {
    // SAFETY: the request is a whole ifreq that outlives the call.
    if unsafe { libc::ioctl(file.as_raw_fd(), number as _, &raw mut request) } == 0 {
        return Ok(request);
    }
    let error = io::Error::last_os_error();
    Err(match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => OpenError::NoRights(error),
        // EINVAL: the name is that of a device of another kind.
        Some(libc::EBUSY | libc::EINVAL) => OpenError::Busy(error),
        _ => OpenError::Failed(error),
    })
}

/// Also for a passed descriptor, which a child of this process must not inherit.
fn set_flags(file: &File) -> io::Result<()> {
    let fd = file.as_raw_fd();
    // SAFETY: the descriptor is open; the calls take and give numbers only.
    let result = unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) | libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd;

    /// Runs `test` in a network namespace of its own, on a thread that ends with it.
    fn in_namespace(test: impl FnOnce() + Send + 'static) {
        let thread = std::thread::spawn(|| {
            // SAFETY: takes a flag; it changes the namespace of this thread alone.
            if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
                eprintln!("skipped: a network namespace needs root");
            } else {
                test();
            }
        });
        thread.join().expect("the test passes");
    }

    fn by_name(name: &str) -> Result<Tun, OpenError> {
        Tun::open(&TunSpec::Name { name: name.to_owned(), mtu: 1280 })
    }

    #[test]
    fn a_passed_descriptor_is_the_same_device() {
        in_namespace(|| {
            let tun = by_name("pw7").expect("opens");
            assert_eq!((tun.name(), tun.mtu()), ("pw7", 1280));
            let fd = tun.file.try_clone().expect("clones").into_raw_fd();
            let passed = Tun::open(&TunSpec::Fd { fd, mtu: 1420 }).expect("takes it");
            assert_eq!((passed.name(), passed.mtu()), ("pw7", 1420));
            assert_eq!(passed.read(&mut [0; 100]).expect("reads"), None);
        });
    }

    #[test]
    fn a_name_in_use_and_one_that_is_no_name_are_told_apart() {
        in_namespace(|| {
            let _first = by_name("pw7").expect("opens");
            assert!(matches!(by_name("pw7"), Err(OpenError::Busy(_))));
            assert!(matches!(by_name("lo"), Err(OpenError::Busy(_))));
            assert!(matches!(by_name("a-name-that-is-too-long"), Err(OpenError::Failed(_))));
        });
    }

    #[test]
    fn what_is_no_tun_is_refused() {
        let fd = File::open("/dev/null").expect("opens").into_raw_fd();
        assert!(Tun::open(&TunSpec::Fd { fd, mtu: 1280 }).is_err());
    }
}
