//! The shared UDP sockets and batched I/O on them: trains of equal packets out (UDP GSO), merged packets in (UDP GRO).

pub mod outbox;
pub mod quirks;
pub mod receive;
pub mod socket;
