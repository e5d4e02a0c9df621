//! Packets as bytes: headers, checksums, super-packets, and what arrives on the shared UDP socket. No I/O here.

mod candidate;
pub mod classify;
pub mod csum;
pub mod ip;
pub mod merge;
pub mod split;
pub mod vnet;
