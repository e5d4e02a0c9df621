//! Layout of the four messages (whitepaper section 5.4). All integers are little-endian; bytes 1 to 3 are zero.
//!
//! ```text
//!   initiation, 148      response, 92         cookie reply, 64     transport, 32 and more
//!     0  type 1            0  type 2            0  type 3            0  type 4
//!     4  sender            4  sender            4  receiver          4  receiver
//!     8  ephemeral 32      8  receiver          8  nonce 24          8  counter 8
//!    40  static 32+16     12  ephemeral 32     32  cookie 16+16     16  payload, tag 16
//!    88  timestamp 12+16  44  nothing 0+16
//!   116  mac1 16          60  mac1 16
//!   132  mac2 16          76  mac2 16
//! ```

pub(crate) const INITIATION: u8 = 1;
pub(crate) const RESPONSE: u8 = 2;
pub(crate) const COOKIE_REPLY: u8 = 3;
pub(crate) const TRANSPORT: u8 = 4;

pub(crate) const INITIATION_BYTES: usize = 148;
pub(crate) const RESPONSE_BYTES: usize = 92;
pub(crate) const COOKIE_REPLY_BYTES: usize = 64;
/// mac1 and mac2 end both handshake messages.
pub(crate) const MACS_BYTES: usize = 32;

/// Four bytes at a fixed offset of a fixed-size message.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

/// `N` bytes at a fixed offset; zeros past the end, which callers rule out by the array type they hold.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let slice = bytes.get(at..at + N);
    slice.and_then(|s| s.try_into().ok()).unwrap_or([0; N])
}

pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}
