//! The data plane: everything between a TUN device and UDP sockets, without Node-API.
//!
//! `packet` holds what is pure; `udp` and `tun` do batched I/O; `device` has the threads and what they share;
//! `relay` forwards between other nodes.

#[cfg(target_os = "linux")]
pub mod device;
pub mod packet;
#[cfg(target_os = "linux")]
pub mod relay;
#[cfg(target_os = "linux")]
pub mod tun;
#[cfg(target_os = "linux")]
pub mod udp;
