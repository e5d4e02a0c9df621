use super::*;
use proptest::prelude::*;

#[test]
fn an_initiation_replayed_is_refused() {
    let mut pair = Pair::new();
    pair.nodes[0].tunnel.initiate(pair.now_ns, PEER);
    let initiation = pair.nodes[0].drain(pair.now_ns).remove(0);
    pair.carry(0, &initiation);
    pair.settle();
    pair.now_ns += SECOND_NS;
    let from = source(66);
    assert_eq!(pair.nodes[1].receive(pair.now_ns, &from, &initiation), Handled::Refused(Refusal::StaleTimestamp));
    assert!(pair.nodes[1].drain(pair.now_ns).is_empty());
    pair.assert_connected();
}

#[test]
fn initiations_of_one_peer_keep_20_ms_apart() {
    let mut pair = Pair::new();
    let mut initiations = Vec::new();
    for i in 0..3 {
        pair.nodes[0].tunnel.initiate_now(SECOND_NS + i * SECOND_NS, PEER);
        initiations.extend(pair.nodes[0].drain(pair.now_ns));
    }
    let from = source(1);
    assert_eq!(pair.nodes[1].receive(pair.now_ns, &from, &initiations[0]), Handled::Handshake { peer: PEER });
    pair.now_ns += 19_999_999;
    assert_eq!(pair.nodes[1].receive(pair.now_ns, &from, &initiations[1]), Handled::Refused(Refusal::TooSoon));
    pair.now_ns += 1;
    assert_eq!(pair.nodes[1].receive(pair.now_ns, &from, &initiations[2]), Handled::Handshake { peer: PEER });
    pair.now_ns += SECOND_NS;
    assert_eq!(pair.nodes[1].receive(pair.now_ns, &from, &initiations[1]), Handled::Refused(Refusal::StaleTimestamp));
}

#[test]
fn timestamps_increase_even_if_the_wall_clock_goes_back() {
    let mut pair = Pair::connected();
    let now_ns = pair.now_ns;
    pair.nodes[0].tunnel.set_wall_clock(now_ns, SECOND_NS);
    pair.pass(6.0);
    pair.nodes[0].tunnel.initiate(pair.now_ns, PEER);
    pair.settle();
    assert_eq!(pair.nodes[0].done.len(), 2);
}

#[test]
fn a_packet_replayed_is_refused_and_a_forged_one_changes_nothing() {
    let mut pair = Pair::connected();
    let datagram = pair.nodes[0].seal(pair.now_ns, b"once").unwrap();
    let from = source(1);
    for at in 0..datagram.len() {
        let mut forged = datagram.clone();
        forged[at] ^= 0x10;
        assert!(matches!(pair.nodes[1].receive(pair.now_ns, &from, &forged), Handled::Refused(_)));
    }
    assert!(matches!(pair.nodes[1].receive(pair.now_ns, &from, &datagram), Handled::Data { .. }));
    assert_eq!(pair.nodes[1].receive(pair.now_ns, &from, &datagram), Handled::Refused(Refusal::Replayed));
    assert_eq!(pair.nodes[1].got.len(), 1);
}

#[test]
fn handshake_messages_with_one_wrong_bit_are_refused_and_the_right_ones_still_work() {
    let mut pair = Pair::new();
    pair.nodes[0].tunnel.initiate(pair.now_ns, PEER);
    let initiation = pair.nodes[0].drain(pair.now_ns).remove(0);
    let from = source(1);
    for at in 0..132 {
        let mut forged = initiation.clone();
        forged[at] ^= 0x10;
        let why = if at < 4 { Refusal::Malformed } else { Refusal::WrongMac1 };
        assert_eq!(pair.nodes[1].receive(pair.now_ns, &from, &forged), Handled::Refused(why), "byte {at}");
    }
    pair.carry(0, &initiation);
    let response = pair.nodes[1].drain(pair.now_ns).remove(0);
    for at in 0..76 {
        let mut forged = response.clone();
        forged[at] ^= 0x10;
        assert!(matches!(pair.nodes[0].receive(pair.now_ns, &from, &forged), Handled::Refused(_)), "byte {at}");
    }
    pair.carry(1, &response);
    pair.settle();
    pair.assert_connected();
}

/// With a right mac1, which anyone who knows the public key can make, only the AEADs stand in the way.
#[test]
fn a_forged_message_with_a_right_mac1_changes_nothing() {
    let mut pair = Pair::new();
    pair.nodes[0].tunnel.initiate(pair.now_ns, PEER);
    let initiation = pair.nodes[0].drain(pair.now_ns).remove(0);
    let from = source(1);
    let with_mac1 = |message: &mut [u8], public: &[u8; 32]| {
        let mac1_at = message.len() - 32;
        let key = crate::crypto::hash(&[b"mac1----", public]);
        let mac1 = crate::crypto::mac(&key, &[&message[..mac1_at]]);
        message[mac1_at..mac1_at + 16].copy_from_slice(&mac1);
    };
    let publics = [pair.nodes[0].tunnel.public_key(), pair.nodes[1].tunnel.public_key()];
    for at in 8..116 {
        let mut forged = initiation.clone();
        forged[at] ^= 0x10;
        with_mac1(&mut forged, &publics[1]);
        assert_eq!(pair.nodes[1].receive(pair.now_ns, &from, &forged), Handled::Refused(Refusal::Forged), "byte {at}");
        pair.now_ns += 5_000_000; // stays below the load limit
    }
    let mut zero_point = initiation.clone();
    zero_point[8..40].fill(0);
    with_mac1(&mut zero_point, &publics[1]);
    assert_eq!(pair.nodes[1].receive(pair.now_ns, &from, &zero_point), Handled::Refused(Refusal::Forged));
    assert_eq!(pair.nodes[1].tunnel.indices_in_use(), 0);

    pair.carry(0, &initiation);
    let response = pair.nodes[1].drain(pair.now_ns).remove(0);
    for at in 8..60 {
        let mut forged = response.clone();
        forged[at] ^= 0x10;
        with_mac1(&mut forged, &publics[0]);
        let why = if at < 12 { Refusal::UnknownIndex } else { Refusal::Forged };
        assert_eq!(pair.nodes[0].receive(pair.now_ns, &from, &forged), Handled::Refused(why), "byte {at}");
    }
    pair.carry(1, &response);
    pair.settle();
    pair.assert_connected();
}

#[test]
fn a_stranger_gets_no_answer() {
    let mut pair = Pair::new();
    let public = pair.nodes[1].tunnel.public_key();
    let mut stranger = Node::new(&TunnelConfig::new(private_key(50)), &PeerConfig::new(public), 50);
    stranger.tunnel.initiate(pair.now_ns, PEER);
    let initiation = stranger.drain(pair.now_ns).remove(0);
    let from = source(50);
    assert_eq!(pair.nodes[1].receive(pair.now_ns, &from, &initiation), Handled::Refused(Refusal::UnknownPeer));
    assert!(pair.nodes[1].drain(pair.now_ns).is_empty());
}

#[test]
fn waiting_outputs_are_bounded() {
    let mut pair = Pair::with(|config, _| config.handshakes_per_second = 0);
    pair.nodes[0].tunnel.initiate(pair.now_ns, PEER);
    let initiation = pair.nodes[0].drain(pair.now_ns).remove(0);
    let from = source(1);
    for _ in 0..1000 {
        pair.nodes[1].receive(pair.now_ns, &from, &initiation);
    }
    let counters = pair.nodes[1].tunnel.counters();
    assert_eq!((counters.refused(Refusal::UnderLoad), counters.refused(Refusal::Busy)), (256, 744));
    assert_eq!(pair.nodes[1].drain(pair.now_ns).len(), 256);
}

#[test]
fn datagrams_of_any_length_are_survived() {
    let mut pair = Pair::connected();
    let genuine = pair.nodes[0].seal(pair.now_ns, &[5; 1280]).unwrap();
    let from = source(1);
    for kind in 0..6u8 {
        for len in (0..200).chain([1500, 9000, 65_507, 65_535, 200_000]) {
            let mut datagram = genuine.clone();
            datagram.resize(len, 0);
            datagram[..len.min(1)].fill(kind);
            let handled = pair.nodes[1].receive(pair.now_ns, &from, &datagram);
            assert!(matches!(handled, Handled::Refused(_)), "kind {kind}, {len} bytes");
        }
    }
    // A packet far above the MTU is just a packet.
    let session = pair.nodes[0].session.clone().unwrap();
    let mut big = vec![1; 65_535];
    assert_eq!(session.seal(pair.now_ns, &mut big, 65_503, MTU), Ok(65_535));
    assert!(matches!(pair.nodes[1].receive(pair.now_ns, &from, &big), Handled::Data { .. }));
    pair.assert_connected();
}

#[derive(Clone, Debug)]
enum Junk {
    Random(Vec<u8>),
    /// A message that was on the wire before (by position), with some bytes changed, cut or grown.
    Changed {
        which: usize,
        at: usize,
        value: u8,
        len: usize,
    },
    Replay(usize),
    Pass(u64),
}

fn junk() -> impl Strategy<Value = Junk> {
    prop_oneof![
        1 => proptest::collection::vec(any::<u8>(), 0..200).prop_map(Junk::Random),
        2 => (1u8..5, proptest::collection::vec(any::<u8>(), 0..160)).prop_map(|(kind, mut bytes)| {
            bytes.splice(..0, [kind, 0, 0, 0]);
            Junk::Random(bytes)
        }),
        4 => (any::<usize>(), any::<usize>(), any::<u8>(), 0usize..400)
            .prop_map(|(which, at, value, len)| Junk::Changed { which, at, value, len }),
        3 => any::<usize>().prop_map(Junk::Replay),
        2 => (0u64..20_000).prop_map(Junk::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    /// Whatever arrives in between, both sides can talk afterwards, and no index is lost.
    #[test]
    fn junk_breaks_nothing(steps in proptest::collection::vec(junk(), 1..60)) {
        let mut pair = Pair::new();
        let mut wire: Vec<Vec<u8>> = Vec::new();
        for step in steps {
            let now_ns = pair.now_ns;
            if let Some(datagram) = pair.nodes[0].seal(now_ns, b"genuine") {
                wire.push(datagram);
            }
            let datagram = match step {
                Junk::Random(bytes) => bytes,
                Junk::Changed { which, at, value, len } if !wire.is_empty() => {
                    let mut bytes = wire[which % wire.len()].clone();
                    if len < 200 { bytes.resize(len, value) }
                    if !bytes.is_empty() {
                        let at = at % bytes.len();
                        bytes[at] = value;
                    }
                    bytes
                }
                Junk::Replay(which) if !wire.is_empty() => wire[which % wire.len()].clone(),
                Junk::Pass(ms) => {
                    pair.pass(ms as f64 / 1000.0);
                    continue;
                }
                _ => continue,
            };
            for to in [0, 1] {
                let from = source(9);
                pair.nodes[to].receive(now_ns, &from, &datagram);
                let node = &mut pair.nodes[to];
                node.tunnel.poll(now_ns);
                for message in node.drain(now_ns) {
                    pair.carry(to, &message);
                    wire.push(message);
                }
                prop_assert!(pair.nodes[to].tunnel.indices_in_use() <= 5);
            }
        }
        pair.pass(25.0);
        pair.assert_connected();
    }
}
