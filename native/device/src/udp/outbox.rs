//! Packets on their way out. Sealed packets lie one after another in one buffer; equal ones for one address form a train
//! that a single send hands to the kernel (UDP GSO), and several trains go out in one call (sendmmsg).

use std::io;
use std::net::SocketAddr;

use socket2::SockAddr;

use super::quirks::quirks;
use super::socket::{Sockets, UdpSocket};

/// Linux UDP_MAX_SEGMENTS before 6.9.
pub const MAX_SEGMENTS: usize = 64;
/// IPv4's limit, the lower one.
pub const MAX_TRAIN_BYTES: usize = 65_507;
/// Room for a few trains: whoever fills it sends before adding more.
const ARENA_BYTES: usize = 4 * 65_536;
const MAX_TRAINS: usize = 64;
/// How long a full send buffer may hold up the thread before packets are dropped.
const SEND_WAIT_MS: libc::c_int = 10;
/// Shorter all-equal trains go out one by one where the kernel corrupts them; a tail would not pay.
const EQUAL_TAIL_MIN_SEGMENTS: usize = 8;
/// Receivers drop it as too short for any of the protocols.
const EQUAL_TAIL: u8 = 0x07;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Train {
    to: SocketAddr,
    start: usize,
    len: usize,
    stride: usize,
    count: usize,
    /// A shorter packet ended it, or it is full.
    closed: bool,
}

pub struct Outbox {
    arena: Vec<u8>,
    used: usize,
    trains: Vec<Train>,
    equal_tail_corrupts: bool,
}

impl Outbox {
    pub fn new() -> Self {
        Self {
            arena: vec![0; ARENA_BYTES],
            used: 0,
            trains: Vec::with_capacity(MAX_TRAINS),
            equal_tail_corrupts: quirks().equal_tail_corrupts,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.trains.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.used
    }

    /// Whether a packet of up to `bytes`, and a copy of it for a second leg, still fit.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.used + 2 * bytes + 2 <= self.arena.len() && self.trains.len() + 2 <= MAX_TRAINS
    }

    /// Free memory behind the last packet; what is written there counts only after `commit`.
    pub fn free(&mut self) -> &mut [u8] {
        &mut self.arena[self.used..]
    }

    /// The first `len` bytes of `free` are a packet for `to`.
    pub fn commit(&mut self, len: usize, to: SocketAddr) {
        debug_assert!(len > 0);
        let start = self.used;
        self.used += len;
        if let Some(train) = self.trains.last_mut()
            && train.to == to
            && !train.closed
            && len <= train.stride
            && train.len + len <= MAX_TRAIN_BYTES
        {
            train.len += len;
            train.count += 1;
            train.closed = len < train.stride || train.count == MAX_SEGMENTS - usize::from(self.equal_tail_corrupts);
            return;
        }
        self.trains.push(Train { to, start, len, stride: len, count: 1, closed: false });
    }

    /// The last `len` bytes of the packet just committed once more, behind `header`, for another address.
    pub fn commit_copy(&mut self, len: usize, header: &[u8], to: SocketAddr) {
        let from = self.used - len;
        self.arena[self.used..][..header.len()].copy_from_slice(header);
        self.arena.copy_within(from..from + len, self.used + header.len());
        self.commit(header.len() + len, to);
    }

    /// Sends everything. `failed` hears of each address that the system refused; its packets are lost.
    pub fn flush(&mut self, sockets: &Sockets, mut failed: impl FnMut(SocketAddr, io::Error)) {
        self.add_tails();
        for v6 in [false, true] {
            let mut trains = self.trains.iter().filter(|train| train.to.is_ipv6() == v6).peekable();
            let Some(first) = trains.peek() else { continue };
            match sockets.towards(first.to) {
                Some(socket) => send_trains(socket, &self.arena, trains, &mut failed),
                None => failed(first.to, io::Error::from_raw_os_error(libc::EAFNOSUPPORT)),
            }
        }
        self.trains.clear();
        self.used = 0;
    }

    /// Forgets everything unsent.
    pub fn clear(&mut self) {
        self.trains.clear();
        self.used = 0;
    }

    /// See `Quirks::equal_tail_corrupts`. A tail can only follow the last train, since packets lie densely; the trains
    /// before it are cut to sizes that go out one by one.
    fn add_tails(&mut self) {
        if !self.equal_tail_corrupts {
            return;
        }
        let count = self.trains.len();
        for (index, train) in self.trains.iter_mut().enumerate() {
            if train.count < 2 || train.len < train.stride * train.count {
                continue; // alone, or with a shorter last packet already
            }
            if index + 1 == count && train.count >= EQUAL_TAIL_MIN_SEGMENTS && train.len < MAX_TRAIN_BYTES {
                self.arena[self.used] = EQUAL_TAIL;
                train.len += 1;
                train.count += 1;
            } else {
                train.count = 0; // marks "one by one"
            }
        }
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}

fn send_trains<'t>(
    socket: &UdpSocket,
    arena: &[u8],
    trains: impl Iterator<Item = &'t Train>,
    failed: &mut impl FnMut(SocketAddr, io::Error),
) {
    let mut batch = Batch::default();
    for train in trains {
        let bytes = &arena[train.start..train.start + train.len];
        if train.count != 1 && (train.count == 0 || !socket.gso()) {
            for packet in bytes.chunks(train.stride) {
                batch.push(train.to, packet, None);
            }
        } else {
            batch.push(train.to, bytes, (train.count > 1).then_some(train.stride));
        }
    }
    batch.send(socket, failed);
}

/// Messages of one sendmmsg call.
#[derive(Default)]
pub struct Batch<'a> {
    entries: Vec<Entry<'a>>,
}

struct Entry<'a> {
    to: SocketAddr,
    name: SockAddr,
    bytes: &'a [u8],
    segment: Option<usize>,
}

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct SegmentControl([u8; 32]);

/// sendmmsg takes at most this many (UIO_MAXIOV); a stack-sized part of it is enough here.
const MESSAGES_PER_CALL: usize = 64;

impl<'a> Batch<'a> {
    fn push(&mut self, to: SocketAddr, bytes: &'a [u8], segment: Option<usize>) {
        self.entries.push(Entry { to, name: to.into(), bytes, segment });
    }

    /// Packets of `stride` bytes, the last perhaps shorter; at most `MAX_SEGMENTS` and `MAX_TRAIN_BYTES`.
    pub fn push_train(&mut self, socket: &UdpSocket, to: SocketAddr, bytes: &'a [u8], stride: usize) {
        let corrupts = quirks().equal_tail_corrupts && bytes.len().is_multiple_of(stride);
        if bytes.len() <= stride {
            self.push(to, bytes, None);
        } else if socket.gso() && !corrupts {
            self.push(to, bytes, Some(stride));
        } else {
            for packet in bytes.chunks(stride) {
                self.push(to, packet, None);
            }
        }
    }

    pub fn send(&self, socket: &UdpSocket, failed: &mut impl FnMut(SocketAddr, io::Error)) {
        let mut next = 0;
        let mut waited = false;
        while let Some(rest) = self.entries.get(next..)
            && !rest.is_empty()
        {
            let rest = &rest[..rest.len().min(MESSAGES_PER_CALL)];
            let error = match send_messages(socket, rest) {
                Ok(sent) => {
                    next += sent;
                    waited = false;
                    continue;
                }
                Err(error) => error,
            };
            match error.raw_os_error() {
                Some(libc::EINTR) => continue,
                Some(libc::EAGAIN | libc::ENOBUFS) if !waited => {
                    wait_writable(socket);
                    waited = true;
                    continue;
                }
                // A card, kernel or route that cannot do this train: the same packets one by one.
                Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE) if rest[0].segment.is_some() => {
                    socket.train_refused(error.raw_os_error() == Some(libc::EIO));
                    let stride = rest[0].segment.unwrap_or(rest[0].bytes.len()).max(1);
                    let mut singles = Batch::default();
                    for packet in rest[0].bytes.chunks(stride) {
                        singles.push(rest[0].to, packet, None);
                    }
                    singles.send(socket, failed);
                }
                _ => failed(rest[0].to, error),
            }
            next += 1;
            waited = false;
        }
    }
}

/// How many messages went out; the error is that of the first when none did.
fn send_messages(socket: &UdpSocket, entries: &[Entry<'_>]) -> io::Result<usize> {
    let count = entries.len().min(MESSAGES_PER_CALL);
    let mut vectors = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; MESSAGES_PER_CALL];
    let mut controls = [SegmentControl([0; 32]); MESSAGES_PER_CALL];
    // SAFETY: mmsghdr is plain data for which all zeros (null pointers, zero lengths) is a value.
    let mut headers: [libc::mmsghdr; MESSAGES_PER_CALL] = unsafe { std::mem::zeroed() };
    for (index, entry) in entries.iter().enumerate().take(count) {
        vectors[index] = libc::iovec { iov_base: entry.bytes.as_ptr().cast_mut().cast(), iov_len: entry.bytes.len() };
        let header = &mut headers[index].msg_hdr;
        header.msg_name = entry.name.as_ptr().cast_mut().cast();
        header.msg_namelen = entry.name.len();
        header.msg_iov = &raw mut vectors[index];
        header.msg_iovlen = 1;
        if let Some(segment) = entry.segment {
            header.msg_control = (&raw mut controls[index]).cast();
            // SAFETY: CMSG_SPACE only computes.
            header.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<u16>() as u32) } as _;
            // SAFETY: the control buffer is aligned and longer than CMSG_SPACE(2), so the first header and its two bytes fit.
            unsafe {
                let control = libc::CMSG_FIRSTHDR(header);
                (*control).cmsg_level = libc::SOL_UDP;
                (*control).cmsg_type = libc::UDP_SEGMENT;
                (*control).cmsg_len = libc::CMSG_LEN(size_of::<u16>() as u32) as _;
                libc::CMSG_DATA(control).cast::<u16>().write_unaligned(segment as u16);
            }
        }
    }
    // SAFETY: the pointers in the first `count` headers lead to memory that outlives the call, and sendmmsg only reads it.
    let sent =
        unsafe { libc::sendmmsg(socket.fd(), headers.as_mut_ptr(), count as libc::c_uint, libc::MSG_DONTWAIT as _) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent as usize) }
}

fn wait_writable(socket: &UdpSocket) {
    let mut poll = libc::pollfd { fd: socket.fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: one pollfd that outlives the call.
    unsafe { libc::poll(&raw mut poll, 1, SEND_WAIT_MS) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::udp::receive::Receiver;
    use std::time::{Duration, Instant};

    fn receive_all(sockets: &Sockets, expected: usize) -> Vec<Vec<u8>> {
        let mut receiver = Receiver::new();
        let mut packets = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(5);
        while packets.len() < expected && Instant::now() < deadline {
            for index in 0..receiver.receive(&sockets.v4).expect("receives") {
                let stride = receiver.message(index).stride;
                packets.extend(receiver.bytes(index).chunks(stride).map(<[u8]>::to_vec));
            }
        }
        packets
    }

    fn send(outbox: &mut Outbox, to: SocketAddr, packets: &[Vec<u8>], sockets: &Sockets) {
        for packet in packets {
            assert!(outbox.has_room(packet.len()));
            outbox.free()[..packet.len()].copy_from_slice(packet);
            outbox.commit(packet.len(), to);
        }
        outbox.flush(sockets, |to, error| panic!("{to}: {error}"));
    }

    fn packets() -> Vec<Vec<u8>> {
        let lens = [1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 300, 1000, 1200, 1200, 50, 60];
        lens.iter().enumerate().map(|(index, len)| vec![index as u8; *len]).collect()
    }

    #[test]
    fn trains_arrive_as_the_packets_that_went_in() {
        let (a, b) = (Sockets::bind(0, 0).expect("binds"), Sockets::bind(0, 0).expect("binds"));
        let to = SocketAddr::from(([127, 0, 0, 1], b.v4.port()));
        let mut outbox = Outbox::new();
        for gso in [true, false] {
            if !gso {
                a.v4.give_up_gso();
            }
            send(&mut outbox, to, &packets(), &a);
            assert_eq!(receive_all(&b, packets().len()), packets());
        }
    }

    #[test]
    fn a_shorter_packet_ends_a_train_and_a_longer_one_starts_the_next() {
        let to = SocketAddr::from(([127, 0, 0, 1], 9));
        let other = SocketAddr::from(([127, 0, 0, 2], 9));
        let mut outbox = Outbox::new();
        for (len, to) in [(100, to), (100, to), (40, to), (40, to), (100, to), (100, other)] {
            outbox.commit(len, to);
        }
        let shapes: Vec<_> = outbox.trains.iter().map(|train| (train.count, train.len, train.stride)).collect();
        assert_eq!(shapes, [(3, 240, 100), (1, 40, 40), (1, 100, 100), (1, 100, 100)]);
    }

    #[test]
    fn equal_trains_get_a_tail_where_the_kernel_needs_one() {
        let (a, b) = (Sockets::bind(0, 0).expect("binds"), Sockets::bind(0, 0).expect("binds"));
        let to = SocketAddr::from(([127, 0, 0, 1], b.v4.port()));
        let mut outbox = Outbox::new();
        outbox.equal_tail_corrupts = true;
        let equal = vec![vec![1; 500]; 10];
        send(&mut outbox, to, &equal, &a);
        let mut expected = equal;
        expected.push(vec![EQUAL_TAIL]);
        assert_eq!(receive_all(&b, expected.len()), expected);
    }

    #[test]
    fn an_unreachable_address_is_reported_and_the_rest_still_goes_out() {
        let (a, b) = (Sockets::bind(0, 0).expect("binds"), Sockets::bind(0, 0).expect("binds"));
        let to = SocketAddr::from(([127, 0, 0, 1], b.v4.port()));
        let unreachable = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut outbox = Outbox::new();
        for to in [unreachable, to] {
            outbox.free()[0] = 5;
            outbox.commit(1, to);
        }
        let mut refused = Vec::new();
        outbox.flush(&a, |to, _| refused.push(to));
        assert_eq!(refused, [unreachable]);
        assert_eq!(receive_all(&b, 1), [vec![5]]);
    }
}
