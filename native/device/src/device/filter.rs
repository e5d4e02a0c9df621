//! What may come in from the tunnel. Nothing that no rule allows; what this node asked for may answer.
//!
//! The order of the tests is that of control.md 9.2. That the source belongs to the peer was checked before.

use std::net::IpAddr;

use crate::packet::ip::{self, Fragment, IpHeader};

use super::flows::{Flow, Flows};
use super::prefix::{AddressSet, Prefix};

const DEFAULT_PROTOCOLS: [u8; 4] = [ip::TCP, ip::UDP, ip::ICMP, ip::ICMP_V6];
const TCP_SYN: u8 = 0x02;
const TCP_ACK: u8 = 0x10;
const ECHO_REQUEST: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;

/// A rule as the caller writes it.
#[derive(Clone, Debug)]
pub struct RuleSpec {
    pub sources: Vec<String>,
    pub destinations: Vec<DestinationSpec>,
    /// Empty means TCP, UDP, ICMP and ICMPv6.
    pub protocols: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct DestinationSpec {
    pub ip: String,
    pub first_port: u16,
    pub last_port: u16,
}

#[derive(Debug, Default)]
pub struct Filter {
    rules: Vec<Rule>,
    /// This node's own addresses.
    hosts: AddressSet,
    /// Those and the nets it serves.
    local: AddressSet,
}

#[derive(Debug)]
struct Rule {
    sources: AddressSet,
    destinations: Vec<Destination>,
    /// One bit per protocol number.
    protocols: [u64; 4],
}

#[derive(Debug)]
struct Destination {
    addresses: AddressSet,
    ports: std::ops::RangeInclusive<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// For this host itself.
    Accept,
    /// For a net that this node serves.
    Forward,
    /// An in-tunnel message for the program, not for the host.
    Tsmp,
    Drop,
}

impl Filter {
    /// Addresses that cannot be read are left out and counted.
    pub fn new(rules: &[RuleSpec], local_addresses: &[String], unreadable: &mut usize) -> Self {
        let is_host = |text: &&String| text.parse::<Prefix>().is_ok_and(|prefix| prefix.is_host());
        let hosts = local_addresses.iter().filter(is_host);
        Self {
            hosts: AddressSet::parse(hosts.map(String::as_str), unreadable),
            local: AddressSet::parse(local_addresses.iter().map(String::as_str), unreadable),
            rules: rules.iter().map(|rule| Rule::new(rule, unreadable)).collect(),
        }
    }

    /// `packet` is cut to `header.total_bytes`.
    pub fn inbound(&self, packet: &[u8], header: &IpHeader, flows: impl FnOnce(&Flow) -> bool) -> Verdict {
        if header.protocol == ip::TSMP && header.fragment == Fragment::Whole {
            return Verdict::Tsmp;
        }
        if is_refused_destination(header.dst) || !self.local.contains(header.dst) {
            return Verdict::Drop;
        }
        let accepted = if self.hosts.contains(header.dst) { Verdict::Accept } else { Verdict::Forward };
        if header.fragment == Fragment::Later || self.allows(packet, header, flows) { accepted } else { Verdict::Drop }
    }

    fn allows(&self, packet: &[u8], header: &IpHeader, flows: impl FnOnce(&Flow) -> bool) -> bool {
        let l4 = packet.get(header.l4_offset..).unwrap_or_default();
        match header.protocol {
            ip::ICMP | ip::ICMP_V6 => is_icmp_answer(header.protocol, l4) || self.matches(header, None),
            ip::TCP => {
                let Some(flags) = l4.get(13) else { return false };
                !opens(*flags) || self.matches_port(packet, header)
            }
            ip::UDP | ip::SCTP => {
                let Some((remote, local)) = ip::ports(packet, header) else { return false };
                let flow = Flow { protocol: header.protocol, local: (header.dst, local), remote: (header.src, remote) };
                flows(&flow) || self.matches(header, Some(local))
            }
            _ => self.matches_whole(header),
        }
    }

    fn matches_port(&self, packet: &[u8], header: &IpHeader) -> bool {
        ip::ports(packet, header).is_some_and(|(_, local)| self.matches(header, Some(local)))
    }

    /// Without a port only the addresses count.
    fn matches(&self, header: &IpHeader, port: Option<u16>) -> bool {
        self.any(header, |destination| port.is_none_or(|port| destination.ports.contains(&port)))
    }

    /// Protocols without ports need a rule for all ports.
    fn matches_whole(&self, header: &IpHeader) -> bool {
        self.any(header, |destination| destination.ports == (0..=u16::MAX))
    }

    fn any(&self, header: &IpHeader, port_fits: impl Fn(&Destination) -> bool) -> bool {
        self.rules.iter().any(|rule| {
            rule.has_protocol(header.protocol)
                && rule.sources.contains(header.src)
                && rule.destinations.iter().any(|to| port_fits(to) && to.addresses.contains(header.dst))
        })
    }
}

impl Rule {
    fn new(spec: &RuleSpec, unreadable: &mut usize) -> Self {
        let listed = if spec.protocols.is_empty() { &DEFAULT_PROTOCOLS[..] } else { &spec.protocols };
        let mut protocols = [0; 4];
        for protocol in listed {
            protocols[usize::from(protocol >> 6)] |= 1 << (protocol & 63);
        }
        let destinations = spec.destinations.iter().map(|to| Destination {
            addresses: AddressSet::parse([to.ip.as_str()], unreadable),
            ports: to.first_port..=to.last_port,
        });
        let destinations = destinations.collect();
        Self {
            sources: AddressSet::parse(spec.sources.iter().map(String::as_str), unreadable),
            destinations,
            protocols,
        }
    }

    fn has_protocol(&self, protocol: u8) -> bool {
        self.protocols[usize::from(protocol >> 6)] & 1 << (protocol & 63) != 0
    }
}

/// The flow of a packet on its way out, to be remembered; None for protocols whose answers need no memory.
pub fn outbound_flow(packet: &[u8], header: &IpHeader) -> Option<Flow> {
    if !matches!(header.protocol, ip::UDP | ip::SCTP) || header.fragment == Fragment::Later {
        return None;
    }
    let (local, remote) = ip::ports(packet, header)?;
    Some(Flow { protocol: header.protocol, local: (header.src, local), remote: (header.dst, remote) })
}

/// Of TCP.
fn opens(flags: u8) -> bool {
    flags & (TCP_SYN | TCP_ACK) == TCP_SYN
}

/// Whether somebody waits for an answer to this: it opens a TCP connection, or is an echo request.
pub fn asks(packet: &[u8], header: &IpHeader) -> bool {
    let l4 = packet.get(header.l4_offset..).unwrap_or_default();
    let asks = match header.protocol {
        ip::TCP => l4.get(13).is_some_and(|flags| opens(*flags)),
        ip::ICMP => l4.first() == Some(&ECHO_REQUEST),
        ip::ICMP_V6 => l4.first() == Some(&ECHO_REQUEST_V6),
        _ => false,
    };
    asks && header.fragment != Fragment::Later
}

/// Remembered flows behind a lock that only packets without a cached answer take.
pub fn known(flows: &std::sync::Mutex<Flows>, flow: &Flow) -> bool {
    flows.lock().unwrap_or_else(std::sync::PoisonError::into_inner).touch(flow)
}

fn is_refused_destination(ip: IpAddr) -> bool {
    match ip {
        // The cloud metadata address is link-local and yet routed on purpose.
        IpAddr::V4(ip) => ip.is_multicast() || (ip.is_link_local() && ip.octets() != [169, 254, 169, 254]),
        IpAddr::V6(ip) => ip.is_multicast() || ip.is_unicast_link_local(),
    }
}

/// Echo replies and errors: answers to something this node sent.
fn is_icmp_answer(protocol: u8, l4: &[u8]) -> bool {
    let Some(kind) = l4.first() else { return false };
    let answer = match protocol {
        ip::ICMP => matches!(kind, 0 | 3 | 4 | 5 | 11 | 12),
        _ => matches!(kind, 1..=4 | 129),
    };
    // A header without its eight bytes is nothing.
    answer && l4.len() >= 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::ip::tests::{tcp, udp, with_ip};

    const SYN: u8 = 0x02;
    const SYN_ACK: u8 = 0x12;
    const ACK: u8 = 0x10;

    fn rule(source: &str, destination: &str, ports: (u16, u16), protocols: &[u8]) -> RuleSpec {
        RuleSpec {
            sources: vec![source.to_owned()],
            destinations: vec![DestinationSpec { ip: destination.to_owned(), first_port: ports.0, last_port: ports.1 }],
            protocols: protocols.to_vec(),
        }
    }

    fn filter(rules: &[RuleSpec]) -> Filter {
        let local = ["100.64.0.1", "fd7a::1/128", "192.168.7.0/24", "169.254.169.254", "224.0.0.0/4", "169.254.0.0/16"];
        let mut unreadable = 0;
        let filter = Filter::new(rules, &local.map(str::to_owned), &mut unreadable);
        assert_eq!(unreadable, 0);
        filter
    }

    fn judge(filter: &Filter, packet: &[u8]) -> Verdict {
        let header = ip::parse(packet).expect("well-formed");
        filter.inbound(packet, &header, |_| false)
    }

    fn web() -> Filter {
        filter(&[rule("100.64.0.0/10", "100.64.0.1", (80, 80), &[])])
    }

    fn icmp(kind: u8) -> Vec<u8> {
        with_ip("100.64.0.2", "100.64.0.1", ip::ICMP, vec![kind, 0, 0, 0, 0, 0, 0, 0], 2)
    }

    #[test]
    fn without_rules_nothing_new_comes_in() {
        let none = filter(&[]);
        assert_eq!(judge(&none, &tcp("100.64.0.2", "100.64.0.1", (9, 80), 1, SYN, b"")), Verdict::Drop);
        assert_eq!(judge(&none, &udp("100.64.0.2", "100.64.0.1", (9, 80), b"x")), Verdict::Drop);
        assert_eq!(judge(&none, &icmp(8)), Verdict::Drop);
    }

    #[test]
    fn opening_tcp_needs_a_rule_for_its_port_and_established_tcp_none() {
        let filter = web();
        assert_eq!(judge(&filter, &tcp("100.64.0.2", "100.64.0.1", (9, 80), 1, SYN, b"")), Verdict::Accept);
        assert_eq!(judge(&filter, &tcp("100.64.0.2", "100.64.0.1", (9, 81), 1, SYN, b"")), Verdict::Drop);
        assert_eq!(judge(&filter, &tcp("10.0.0.2", "100.64.0.1", (9, 80), 1, SYN, b"")), Verdict::Drop);
        for flags in [ACK, SYN_ACK, 0x04] {
            assert_eq!(judge(&filter, &tcp("10.0.0.2", "100.64.0.1", (9, 81), 1, flags, b"")), Verdict::Accept);
        }
    }

    #[test]
    fn udp_needs_a_rule_or_a_flow_that_went_out() {
        let filter = web();
        assert_eq!(judge(&filter, &udp("100.64.0.2", "100.64.0.1", (9, 80), b"x")), Verdict::Accept);
        let answer = udp("100.64.0.2", "100.64.0.1", (53, 4000), b"x");
        assert_eq!(judge(&filter, &answer), Verdict::Drop);
        let question = udp("100.64.0.1", "100.64.0.2", (4000, 53), b"x");
        let sent = outbound_flow(&question, &ip::parse(&question).expect("valid")).expect("a flow");
        let header = ip::parse(&answer).expect("valid");
        assert_eq!(filter.inbound(&answer, &header, |flow| *flow == sent), Verdict::Accept);
    }

    #[test]
    fn icmp_answers_come_in_and_questions_need_a_rule() {
        let none = filter(&[]);
        for kind in [0, 3, 11] {
            assert_eq!(judge(&none, &icmp(kind)), Verdict::Accept, "{kind}");
        }
        assert_eq!(judge(&web(), &icmp(8)), Verdict::Accept);
        let v6 = |kind| with_ip("fd7a::2", "fd7a::1", ip::ICMP_V6, vec![kind, 0, 0, 0, 0, 0, 0, 0], 2);
        assert_eq!(judge(&none, &v6(129)), Verdict::Accept);
        assert_eq!(judge(&none, &v6(128)), Verdict::Drop);
    }

    #[test]
    fn what_begins_a_connection_or_asks_for_an_echo_waits_for_an_answer() {
        let asks = |packet: &[u8]| super::asks(packet, &ip::parse(packet).expect("valid"));
        assert!(asks(&tcp("100.64.0.2", "100.64.0.1", (9, 80), 1, SYN, b"")));
        assert!(!asks(&tcp("100.64.0.2", "100.64.0.1", (9, 80), 1, SYN_ACK, b"")));
        assert!(!asks(&tcp("100.64.0.2", "100.64.0.1", (9, 80), 1, ACK, b"")));
        assert!(!asks(&udp("100.64.0.2", "100.64.0.1", (9, 80), b"x")));
        assert!(asks(&icmp(8)) && !asks(&icmp(0)));
        assert!(asks(&with_ip("fd7a::2", "fd7a::1", ip::ICMP_V6, vec![128, 0, 0, 0, 0, 0, 0, 0], 2)));
    }

    #[test]
    fn destinations_must_be_ours() {
        let all = filter(&[rule("*", "*", (0, 65_535), &[])]);
        let to = |dst| judge(&all, &udp("100.64.0.2", dst, (9, 80), b"x"));
        assert_eq!(to("100.64.0.1"), Verdict::Accept);
        assert_eq!(to("192.168.7.9"), Verdict::Forward);
        assert_eq!(to("100.64.0.9"), Verdict::Drop);
        assert_eq!(to("224.0.0.1"), Verdict::Drop);
        assert_eq!(to("169.254.1.1"), Verdict::Drop);
        assert_eq!(to("169.254.169.254"), Verdict::Accept);
    }

    #[test]
    fn other_protocols_need_a_rule_that_names_them_for_all_ports() {
        let gre = with_ip("100.64.0.2", "100.64.0.1", 47, vec![0; 8], 100);
        assert_eq!(judge(&filter(&[rule("*", "*", (0, 65_535), &[])]), &gre), Verdict::Drop);
        assert_eq!(judge(&filter(&[rule("*", "*", (0, 80), &[47])]), &gre), Verdict::Drop);
        assert_eq!(judge(&filter(&[rule("*", "*", (0, 65_535), &[47])]), &gre), Verdict::Accept);
    }

    #[test]
    fn tsmp_goes_to_the_program_and_later_fragments_pass() {
        let none = filter(&[]);
        assert_eq!(judge(&none, &with_ip("100.64.0.2", "100.64.0.1", ip::TSMP, vec![0x70; 9], 100)), Verdict::Tsmp);
        let mut fragment = with_ip("100.64.0.2", "100.64.0.1", ip::UDP, vec![0; 100], 6);
        fragment[6..8].copy_from_slice(&20u16.to_be_bytes());
        assert_eq!(judge(&none, &fragment), Verdict::Accept);
    }

    #[test]
    fn an_unreadable_address_matches_nothing_and_is_counted() {
        let mut unreadable = 0;
        let rules = [rule("nonsense", "*", (0, 65_535), &[]), rule("*", "more nonsense", (0, 65_535), &[])];
        let filter = Filter::new(&rules, &["100.64.0.1".to_owned(), "10.0.0.0/40".to_owned()], &mut unreadable);
        assert_eq!(unreadable, 3);
        assert_eq!(judge(&filter, &udp("100.64.0.2", "100.64.0.1", (9, 80), b"x")), Verdict::Drop);
    }

    #[test]
    fn short_transport_headers_are_dropped() {
        let all = filter(&[rule("*", "*", (0, 65_535), &[])]);
        for protocol in [ip::TCP, ip::UDP] {
            let packet = with_ip("100.64.0.2", "100.64.0.1", protocol, vec![0; 3], 100);
            assert_eq!(judge(&all, &packet), Verdict::Drop);
        }
    }
}
