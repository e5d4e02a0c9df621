//! Address prefixes and ranges as the control protocol writes them.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    v4: bool,
    bits: u8,
    network: u128,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadAddress(pub String);

pub fn as_number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    }
}

impl Prefix {
    /// Host bits are cut off; None when `bits` is more than the family has.
    pub fn new(ip: IpAddr, bits: u8) -> Option<Self> {
        let width = if ip.is_ipv4() { 32 } else { 128 };
        let host_bits = u32::from(width - bits.min(width));
        let network = as_number(ip).checked_shr(host_bits).unwrap_or(0).checked_shl(host_bits).unwrap_or(0);
        (bits <= width).then_some(Self { v4: ip.is_ipv4(), bits, network })
    }

    pub fn is_v4(&self) -> bool {
        self.v4
    }

    pub fn bits(&self) -> u8 {
        self.bits
    }

    pub fn network(&self) -> u128 {
        self.network
    }

    /// One address and not a net.
    pub fn is_host(&self) -> bool {
        self.bits == if self.v4 { 32 } else { 128 }
    }

    pub fn range(&self) -> RangeInclusive<u128> {
        let width = if self.v4 { 32 } else { 128 };
        let hosts = 1u128.checked_shl(u32::from(width - self.bits)).map_or(u128::MAX, |count| count - 1);
        self.network..=self.network + hosts
    }

    #[cfg(test)]
    pub fn contains(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.v4 && self.range().contains(&as_number(ip))
    }
}

/// "10.0.0.0/8" or a single address.
impl FromStr for Prefix {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let bad = || BadAddress(text.to_owned());
        let (ip, bits) = match text.split_once('/') {
            Some((ip, bits)) => (ip, Some(bits.parse().map_err(|_| bad())?)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| bad())?;
        Self::new(ip, bits.unwrap_or(if ip.is_ipv4() { 32 } else { 128 })).ok_or_else(bad)
    }
}

/// Addresses of one family, as sorted ranges that neither touch nor overlap.
#[derive(Clone, Debug, Default)]
pub struct AddressSet {
    v4: Vec<RangeInclusive<u128>>,
    v6: Vec<RangeInclusive<u128>>,
}

impl AddressSet {
    /// Each text is a CIDR, an address, an inclusive range "a-b", or "*" for everything. What cannot be read is left out
    /// and counted, which for a filter errs on the side of dropping (control.md 9.1).
    pub fn parse<'t>(texts: impl IntoIterator<Item = &'t str>, unreadable: &mut usize) -> Self {
        let mut set = Self::default();
        for text in texts {
            *unreadable += usize::from(set.add(text).is_err());
        }
        set.v4 = joined(set.v4);
        set.v6 = joined(set.v6);
        set
    }

    fn add(&mut self, text: &str) -> Result<(), BadAddress> {
        let bad = || BadAddress(text.to_owned());
        if text == "*" {
            self.v4.push(0..=u128::from(u32::MAX));
            self.v6.push(0..=u128::MAX);
        } else if let Some((first, last)) = text.split_once('-') {
            let first: IpAddr = first.parse().map_err(|_| bad())?;
            let last: IpAddr = last.parse().map_err(|_| bad())?;
            if first.is_ipv4() != last.is_ipv4() || as_number(first) > as_number(last) {
                return Err(bad());
            }
            let ranges = if first.is_ipv4() { &mut self.v4 } else { &mut self.v6 };
            ranges.push(as_number(first)..=as_number(last));
        } else {
            let prefix: Prefix = text.parse()?;
            if prefix.is_v4() { &mut self.v4 } else { &mut self.v6 }.push(prefix.range());
        }
        Ok(())
    }

    pub fn contains(&self, ip: IpAddr) -> bool {
        let ranges = if ip.is_ipv4() { &self.v4 } else { &self.v6 };
        let number = as_number(ip);
        let at = ranges.partition_point(|range| *range.end() < number);
        ranges.get(at).is_some_and(|range| range.contains(&number))
    }
}

fn joined(mut ranges: Vec<RangeInclusive<u128>>) -> Vec<RangeInclusive<u128>> {
    ranges.sort_by_key(|range| *range.start());
    let mut out: Vec<RangeInclusive<u128>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match out.last_mut() {
            Some(last) if *range.start() <= last.end().saturating_add(1) => {
                *last = *last.start()..=*range.end().max(last.end());
            }
            _ => out.push(range),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[&str]) -> AddressSet {
        let mut unreadable = 0;
        let set = AddressSet::parse(texts.iter().copied(), &mut unreadable);
        assert_eq!(unreadable, 0);
        set
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("address")
    }

    #[test]
    fn reads_every_form() {
        let set = parse(&["10.0.0.0/8", "1.2.3.4", "192.168.0.5-192.168.0.9", "fd7a::/16"]);
        for inside in ["10.255.0.1", "1.2.3.4", "192.168.0.5", "192.168.0.9", "fd7a::1"] {
            assert!(set.contains(ip(inside)), "{inside}");
        }
        for outside in ["11.0.0.0", "1.2.3.5", "192.168.0.4", "192.168.0.10", "fd7b::", "::10.0.0.1"] {
            assert!(!set.contains(ip(outside)), "{outside}");
        }
        let all = parse(&["*"]);
        assert!(all.contains(ip("255.255.255.255")) && all.contains(ip("::")));
        assert!(!AddressSet::default().contains(ip("1.1.1.1")));
    }

    #[test]
    fn joins_ranges_that_overlap_or_touch() {
        let set = parse(&["10.0.0.0/25", "10.0.0.128/25", "10.0.0.7"]);
        assert_eq!(set.v4.len(), 1);
        let wide = parse(&["*", "ffff::/16"]);
        assert_eq!(wide.v6.len(), 1);
    }

    #[test]
    fn leaves_out_what_is_no_address() {
        for text in ["", "x", "10.0.0.0/33", "::/129", "10.0.0.2-10.0.0.1", "1.1.1.1-::1", "10.0.0.1/", "1.1.1.1/-1"] {
            let mut unreadable = 0;
            let set = AddressSet::parse([text, "10.0.0.1"], &mut unreadable);
            assert_eq!((unreadable, set.contains(ip("10.0.0.1"))), (1, true), "{text}");
        }
    }

    #[test]
    fn cuts_host_bits_and_knows_hosts() {
        let prefix: Prefix = "10.1.2.3/8".parse().expect("valid");
        assert!(prefix.contains(ip("10.255.255.255")) && !prefix.is_host());
        assert!("fd7a::1".parse::<Prefix>().expect("valid").is_host());
        assert!("::/0".parse::<Prefix>().expect("valid").contains(ip("ffff::")));
    }
}
