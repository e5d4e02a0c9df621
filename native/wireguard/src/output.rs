//! What comes out of the tunnel: results of a datagram, and work for its owner.

use crate::PeerId;
use crate::session::{Role, SendSession};
use crate::source::Source;
use crate::wire::INITIATION_BYTES;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// What a datagram was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handled {
    /// A padded IP packet lies at `payload`. Whether this peer may send from its source address is the caller's to check.
    Data { peer: PeerId, payload: Range<usize> },
    /// Authenticated and empty.
    Keepalive { peer: PeerId },
    /// An authenticated initiation or response; outputs follow.
    Handshake { peer: PeerId },
    /// A cookie was taken. It does not prove that the peer is at the source.
    Cookie { peer: PeerId },
    /// Nothing changed but a counter, except that `UnderLoad` left a reply in the outputs.
    Refused(Refusal),
}

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No message of the protocol: unknown type or wrong length.
    Malformed,
    /// For a session or handshake that we do not have (any more).
    UnknownIndex,
    /// For a session that is too old.
    Expired,
    /// Its counter was seen before.
    Replayed,
    /// Not made with the key it needs.
    Forged,
    /// A handshake message by someone who does not know our public key.
    WrongMac1,
    /// An initiation by a node that is no peer.
    UnknownPeer,
    /// An initiation not newer than the last one of this peer.
    StaleTimestamp,
    /// An initiation within 20 ms of the last one of this peer.
    TooSoon,
    /// Under load; a cookie reply is in the outputs.
    UnderLoad,
    /// Under load, and the source had its share.
    RateLimited,
    /// Too many outputs wait to be fetched.
    Busy,
    /// The system gave no random bytes.
    NoRandom,
}

impl Refusal {
    pub const ALL: [Refusal; 13] = [
        Refusal::Malformed,
        Refusal::UnknownIndex,
        Refusal::Expired,
        Refusal::Replayed,
        Refusal::Forged,
        Refusal::WrongMac1,
        Refusal::UnknownPeer,
        Refusal::StaleTimestamp,
        Refusal::TooSoon,
        Refusal::UnderLoad,
        Refusal::RateLimited,
        Refusal::Busy,
        Refusal::NoRandom,
    ];
}

/// How many datagrams were dropped, by reason.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    refused: [u64; Refusal::ALL.len()],
}

impl Counters {
    pub fn refused(&self, why: Refusal) -> u64 {
        self.refused[why as usize]
    }

    pub(crate) fn count(&mut self, why: Refusal) {
        self.refused[why as usize] += 1;
    }
}

/// Work for the owner of the tunnel, in order.
pub enum Output {
    /// A message on the peer's path.
    Send { peer: PeerId, kind: SendKind, message: Message },
    /// A message to where a datagram came from, and nowhere else.
    Reply { source: Source, message: Message },
    /// From now on packets to `peer` are sealed with this; it replaces any older one.
    SessionReady { peer: PeerId, session: Arc<SendSession> },
    /// Packets to `peer` cannot be sealed any more. The key is zeroed when the last `Arc` of it is dropped.
    SessionGone { peer: PeerId },
    /// Both sides have the same keys: the response was accepted, or the first packet of a session we answered came.
    HandshakeDone { peer: PeerId, role: Role },
    /// Nobody answered for 90 s. Nothing more happens until the next request.
    HandshakeFailed { peer: PeerId },
}

/// The session in `SessionReady` holds a key, so it is not printed.
impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Output::Send { peer, kind, .. } => write!(f, "Send({peer}, {kind:?})"),
            Output::Reply { source, .. } => write!(f, "Reply({source:?})"),
            Output::SessionReady { peer, .. } => write!(f, "SessionReady({peer})"),
            Output::SessionGone { peer } => write!(f, "SessionGone({peer})"),
            Output::HandshakeDone { peer, role } => write!(f, "HandshakeDone({peer}, {role:?})"),
            Output::HandshakeFailed { peer } => write!(f, "HandshakeFailed({peer})"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendKind {
    Initiation,
    /// Belongs to the datagram just handled; without a path to the peer it may go to where that came from.
    Response,
    Keepalive,
}

/// A message short enough to be carried by value.
#[derive(Clone, Copy)]
pub struct Message {
    bytes: [u8; INITIATION_BYTES],
    len: u8,
}

impl Message {
    /// `from` is one of ours, so never longer than an initiation.
    pub(crate) fn new(from: &[u8]) -> Self {
        let mut bytes = [0; INITIATION_BYTES];
        bytes[..from.len()].copy_from_slice(from);
        Self { bytes, len: from.len() as u8 }
    }
}

impl Deref for Message {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}
