//! The TUN device.

mod linux;

pub use linux::{OpenError, READ_BYTES, Tun, TunSpec};
