//! The WireGuard protocol without sockets, clock or threads.
//!
//! Bytes and the time go in, bytes and events come out. [`Tunnel`] belongs to the receiving thread: it runs handshakes and
//! timers and opens packets. For sending, it hands out [`SendSession`]s, with which any thread seals packets, and an
//! [`Activity`] per peer, through which that thread tells the timers what it sent.
//!
//! Times are nanoseconds above 0 of one clock that goes on while the machine sleeps (Linux `CLOCK_BOOTTIME`), so that a
//! session from before a suspend is known to be old. Opening and sealing never allocate.
//!
//! Reference: "WireGuard: Next Generation Kernel Network Tunnel" (Donenfeld, NDSS 2017), called the whitepaper here.

#![forbid(unsafe_code)]

mod activity;
mod aead;
mod constants;
mod cookie;
mod crypto;
mod deadlines;
mod handshake;
mod indices;
mod limit;
mod noise;
mod output;
mod peer;
mod replay;
#[cfg(test)]
mod scenarios;
mod session;
mod source;
#[cfg(test)]
mod testing;
mod timers;
mod tunnel;
mod wire;

pub use activity::Activity;
pub use constants::{HEADER_BYTES, TAG_BYTES};
pub use crypto::RandomError;
pub use output::{Counters, Handled, Message, Output, Refusal, SendKind};
pub use session::{OpenError, ReceiveSession, Role, SealError, SendSession, sealed_len};
pub use source::Source;
pub use tunnel::{PeerConfig, PeerError, Tunnel, TunnelConfig};

/// Names a peer; given out by the agent. Peers are kept in a table by this number, so low numbers are cheap.
pub type PeerId = u16;
