//! Both halves of a session: the send half is shared between threads, the receive half belongs to one.

use crate::aead::AeadKey;
use crate::constants::*;
use crate::crypto::Key;
use crate::replay::ReplayWindow;
use crate::wire::{TRANSPORT, array_at, u32_at};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Which side began the handshake. Only the initiator renews a session by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Initiator,
    Responder,
}

/// Why a packet was not sealed. After `Expired` and `Exhausted` the session is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealError {
    /// The session is 180 s old.
    Expired,
    /// The counter reached 2^64 - 2^13 - 1.
    Exhausted,
    /// The buffer is shorter than `sealed_len` says.
    NoRoom,
}

/// Length of the datagram for a packet of `plaintext_len`: header, packet padded to 16 but not above `mtu`, tag.
pub const fn sealed_len(plaintext_len: usize, mtu: usize) -> usize {
    HEADER_BYTES + padded_len(plaintext_len, mtu) + TAG_BYTES
}

const fn padded_len(len: usize, mtu: usize) -> usize {
    if len >= mtu {
        return len; // also a packet above the MTU: it is the caller's to refuse
    }
    let padded = len.next_multiple_of(16);
    if padded > mtu { mtu } else { padded }
}

/// Seals packets. Any number of threads may do so at once: the counter is atomic, everything else is constant.
pub struct SendSession {
    key: AeadKey,
    counter: AtomicU64,
    peer_index: u32,
    created_ns: u64,
    role: Role,
}

impl SendSession {
    pub(crate) fn new(key: &Key, peer_index: u32, created_ns: u64, role: Role) -> Self {
        Self { key: AeadKey::new(key), counter: AtomicU64::new(0), peer_index, created_ns, role }
    }

    /// Seals in place. `buf` holds 16 free bytes, then `plaintext_len` bytes of packet, then room for padding and tag.
    /// Returns the length of the datagram, which starts at `buf[0]`. An empty packet makes a keepalive.
    pub fn seal(&self, now_ns: u64, buf: &mut [u8], plaintext_len: usize, mtu: usize) -> Result<usize, SealError> {
        if self.age_ns(now_ns) >= REJECT_AFTER_TIME_NS {
            return Err(SealError::Expired);
        }
        let padded = padded_len(plaintext_len, mtu);
        let total = padded.checked_add(HEADER_BYTES + TAG_BYTES).ok_or(SealError::NoRoom)?;
        let datagram = buf.get_mut(..total).ok_or(SealError::NoRoom)?;
        let counter = self.take_counter()?;

        datagram[..4].copy_from_slice(&[TRANSPORT, 0, 0, 0]);
        datagram[4..8].copy_from_slice(&self.peer_index.to_le_bytes());
        datagram[8..16].copy_from_slice(&counter.to_le_bytes());
        datagram[HEADER_BYTES + plaintext_len..HEADER_BYTES + padded].fill(0);
        let (rest, room) = datagram.split_at_mut(HEADER_BYTES + padded);
        let tag = self.key.seal(counter, &[], &mut rest[HEADER_BYTES..]);
        room.copy_from_slice(&tag);
        Ok(total)
    }

    /// The test before the addition keeps the counter from ever wrapping: each thread overshoots by one at most.
    fn take_counter(&self) -> Result<u64, SealError> {
        if self.counter.load(Relaxed) >= REJECT_AFTER_MESSAGES {
            return Err(SealError::Exhausted);
        }
        let counter = self.counter.fetch_add(1, Relaxed);
        if counter >= REJECT_AFTER_MESSAGES { Err(SealError::Exhausted) } else { Ok(counter) }
    }

    /// Nothing can be sealed any more.
    pub fn is_expired(&self, now_ns: u64) -> bool {
        self.age_ns(now_ns) >= REJECT_AFTER_TIME_NS || self.counter.load(Relaxed) >= REJECT_AFTER_MESSAGES
    }

    /// Whoever sends on this session now should also ask for the next one.
    pub fn rekey_due(&self, now_ns: u64) -> bool {
        (self.role == Role::Initiator && self.age_ns(now_ns) >= REKEY_AFTER_TIME_NS)
            || self.counter.load(Relaxed) >= REKEY_AFTER_MESSAGES
    }

    pub fn created_ns(&self) -> u64 {
        self.created_ns
    }

    /// The index under which the peer knows this session.
    pub fn peer_index(&self) -> u32 {
        self.peer_index
    }

    fn age_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.created_ns)
    }

    #[cfg(test)]
    pub(crate) fn set_counter(&self, counter: u64) {
        self.counter.store(counter, Relaxed);
    }
}

/// Why a transport message was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Shorter than header and tag.
    Short,
    /// The session is 180 s old, or the counter is beyond the limit.
    Expired,
    /// The counter was seen, or is too old to tell.
    Replayed,
    /// Not sealed with this session's key.
    Forged,
}

/// Opens packets, in any order, each once.
pub struct ReceiveSession {
    key: AeadKey,
    window: ReplayWindow,
    created_ns: u64,
}

impl ReceiveSession {
    pub(crate) fn new(key: &Key, created_ns: u64) -> Self {
        Self { key: AeadKey::new(key), window: ReplayWindow::new(), created_ns }
    }

    /// Opens a whole transport message in place and says where its (padded) packet lies.
    pub fn open_in_place(&mut self, now_ns: u64, message: &mut [u8]) -> Result<Range<usize>, OpenError> {
        if message.len() < HEADER_BYTES + TAG_BYTES {
            return Err(OpenError::Short);
        }
        let counter = u64::from_le_bytes(array_at(message, 8));
        if now_ns.saturating_sub(self.created_ns) >= REJECT_AFTER_TIME_NS || counter >= REJECT_AFTER_MESSAGES {
            return Err(OpenError::Expired);
        }
        if !self.window.is_fresh(counter) {
            return Err(OpenError::Replayed);
        }
        let len = self.key.open(counter, &[], &mut message[HEADER_BYTES..]).ok_or(OpenError::Forged)?;
        self.window.mark(counter);
        Ok(HEADER_BYTES..HEADER_BYTES + len)
    }
}

/// A pair of halves as rx holds it.
pub(crate) struct Session {
    pub send: std::sync::Arc<SendSession>,
    pub receive: ReceiveSession,
    pub local_index: u32,
    pub role: Role,
    /// A renewal was asked for because data arrived on an old session; once is enough.
    pub renewed: bool,
}

impl Session {
    pub fn created_ns(&self) -> u64 {
        self.send.created_ns
    }

    pub fn expires_ns(&self) -> u64 {
        self.send.created_ns.saturating_add(REJECT_AFTER_TIME_NS)
    }
}

/// Receiver index of a message that is long enough to have one.
pub(crate) fn receiver_index(message: &[u8]) -> u32 {
    u32_at(message, 4)
}
