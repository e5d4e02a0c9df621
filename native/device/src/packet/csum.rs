//! The Internet checksum (RFC 1071), summed eight bytes at a time.
//!
//! Sums are kept unfolded in a `u64` in big-endian meaning, so parts that begin at even offsets can simply be added.

use std::net::IpAddr;

/// Adds `bytes` to `sum`. An odd last byte counts as the high half of a word, so only the last part may be odd.
pub fn add(sum: u64, bytes: &[u8]) -> u64 {
    // Two lanes of 32-bit words in native order: a carry out of 16 bits lands in the next word, which one's complement
    // allows (RFC 1071 section 2, "parallel summation"), and swapping the folded result restores network order.
    let mut lanes = [0u64; 4];
    let mut blocks = bytes.chunks_exact(16);
    for block in &mut blocks {
        for (lane, word) in lanes.iter_mut().zip(block.chunks_exact(4)) {
            *lane += u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
        }
    }
    let mut native = lanes.iter().sum::<u64>();
    let mut words = blocks.remainder().chunks_exact(2);
    for word in &mut words {
        native += u64::from(u16::from_ne_bytes([word[0], word[1]]));
    }
    if let [last] = words.remainder() {
        native += u64::from(u16::from_ne_bytes([*last, 0]));
    }
    sum + u64::from(u16::from_be_bytes(fold(native).to_ne_bytes()))
}

/// Folds a sum to 16 bits without complementing it.
pub fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The value that goes into a header's checksum field.
pub fn finish(sum: u64) -> u16 {
    !fold(sum)
}

/// The pseudo-header of TCP and UDP (RFC 9293 section 3.1, RFC 8200 section 8.1).
pub fn pseudo_header(src: IpAddr, dst: IpAddr, protocol: u8, l4_bytes: usize) -> u64 {
    let addresses = match (src, dst) {
        (IpAddr::V4(s), IpAddr::V4(d)) => add(add(0, &s.octets()), &d.octets()),
        (IpAddr::V6(s), IpAddr::V6(d)) => add(add(0, &s.octets()), &d.octets()),
        _ => 0,
    };
    addresses + u64::from(protocol) + l4_bytes as u64
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, one word at a time.
    pub fn slow(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
            if sum > 0xffff {
                sum = (sum & 0xffff) + 1;
            }
        }
        sum as u16
    }

    #[test]
    fn gives_the_example_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(fold(add(0, &bytes)), 0xddf2);
    }

    proptest! {
        #[test]
        fn equals_the_slow_sum(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert_eq!(fold(add(0, &bytes)), slow(&bytes));
        }

        #[test]
        fn parts_of_even_length_add_up(
            head in proptest::collection::vec(any::<u16>(), 0..100),
            tail in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let head: Vec<u8> = head.iter().flat_map(|word| word.to_be_bytes()).collect();
            let whole = [head.clone(), tail.clone()].concat();
            prop_assert_eq!(fold(add(add(0, &head), &tail)), fold(add(0, &whole)));
        }
    }
}
