use super::*;

#[test]
fn a_packet_without_a_session_makes_one_and_is_delivered() {
    let mut pair = Pair::new();
    pair.send(0, b"first");
    assert_eq!(&pair.nodes[1].got[0][..5], b"first");
    assert_eq!(pair.nodes[0].sent, [SendKind::Initiation, SendKind::Keepalive]);
    assert_eq!(pair.nodes[1].sent, [SendKind::Response]);
    pair.assert_connected();
}

#[test]
fn the_responder_gets_its_session_only_when_the_initiator_has_used_it() {
    let mut pair = Pair::new();
    pair.nodes[0].tunnel.initiate(pair.now_ns, PEER);
    let initiation = pair.nodes[0].drain(pair.now_ns);
    let from = source(1);
    assert_eq!(pair.nodes[1].receive(pair.now_ns, &from, &initiation[0]), Handled::Handshake { peer: PEER });
    let response = pair.nodes[1].drain(pair.now_ns);
    assert!(pair.nodes[1].session.is_none() && pair.nodes[1].done.is_empty());
    assert_eq!(pair.nodes[0].receive(pair.now_ns, &from, &response[0]), Handled::Handshake { peer: PEER });
    let confirmation = pair.nodes[0].drain(pair.now_ns);
    assert_eq!(confirmation[0].len(), 32);
    assert_eq!(pair.nodes[1].receive(pair.now_ns, &from, &confirmation[0]), Handled::Keepalive { peer: PEER });
    pair.nodes[1].drain(pair.now_ns);
    assert!(pair.nodes[1].session.is_some());
    assert_eq!(pair.nodes[1].done, [Role::Responder]);
}

#[test]
fn a_response_to_the_initiation_before_the_last_is_still_taken() {
    let mut pair = Pair::new();
    pair.nodes[0].tunnel.initiate(pair.now_ns, PEER);
    let first = pair.nodes[0].drain(pair.now_ns);
    pair.now_ns += SECOND_NS;
    pair.nodes[0].tunnel.initiate_now(pair.now_ns, PEER);
    let second = pair.nodes[0].drain(pair.now_ns);
    assert_ne!(first[0][4..8], second[0][4..8]);
    pair.carry(0, &first[0]);
    pair.settle();
    assert_eq!(pair.nodes[0].done, [Role::Initiator]);
    pair.assert_connected();
    // The retry arrives late: its answer finds nobody waiting, which harms nothing.
    pair.carry(0, &second[0]);
    pair.settle();
    pair.assert_connected();
}

#[test]
fn both_may_begin_at_once() {
    let mut pair = Pair::new();
    for node in &mut pair.nodes {
        node.tunnel.initiate(pair.now_ns, PEER);
    }
    let crossing: Vec<_> = pair.nodes.iter_mut().map(|n| n.drain(pair.now_ns)).collect();
    pair.carry(0, &crossing[0][0]);
    pair.carry(1, &crossing[1][0]);
    let responses: Vec<_> = pair.nodes.iter_mut().map(|n| n.drain(pair.now_ns)).collect();
    pair.carry(0, &responses[0][0]);
    pair.carry(1, &responses[1][0]);
    pair.settle();
    pair.assert_connected();
    pair.pass(60.0);
    pair.assert_connected();
    assert_eq!(pair.nodes[0].initiations() + pair.nodes[1].initiations(), 2, "nobody had to try again");
}

#[test]
fn a_preshared_key_has_to_be_the_same() {
    let mut pair = Pair::with(|_, peer| peer.preshared_key = Some([9; 32]));
    pair.send(0, b"hello");
    pair.assert_connected();

    // A new one on one side waits for the next handshake, which then fails until the other side has it as well.
    let publics = [pair.nodes[0].tunnel.public_key(), pair.nodes[1].tunnel.public_key()];
    let with_new_key = |public| PeerConfig { preshared_key: Some([8; 32]), ..PeerConfig::new(public) };
    let now_ns = pair.now_ns;
    pair.nodes[0].tunnel.set_peer(now_ns, PEER, &with_new_key(publics[1])).unwrap();
    pair.assert_connected();
    pair.pass(6.0);
    pair.nodes[0].tunnel.initiate(pair.now_ns, PEER);
    pair.settle();
    assert_eq!(pair.nodes[0].done.len(), 1);
    assert_eq!(pair.nodes[0].tunnel.counters().refused(Refusal::Forged), 1);
    let now_ns = pair.now_ns;
    pair.nodes[1].tunnel.set_peer(now_ns, PEER, &with_new_key(publics[0])).unwrap();
    pair.pass(6.0);
    assert_eq!(pair.nodes[0].done.len(), 2);
    pair.assert_connected();
}

#[test]
fn peers_are_checked_updated_and_removed() {
    let mut pair = Pair::connected();
    let now_ns = pair.now_ns;
    let other = PeerConfig::new(pair.nodes[1].tunnel.public_key());
    let tunnel = &mut pair.nodes[0].tunnel;
    assert_eq!(tunnel.set_peer(now_ns, 9, &other).err(), Some(PeerError::KeyInUse(PEER)));
    assert_eq!(tunnel.set_peer(now_ns, 9, &PeerConfig::new(tunnel.public_key())).err(), Some(PeerError::OwnKey));
    assert_eq!(tunnel.set_peer(now_ns, 9, &PeerConfig::new([0; 32])).err(), Some(PeerError::InvalidKey));
    assert_eq!(tunnel.peer_by_key(&other.public_key), Some(PEER));
    assert_eq!(tunnel.indices_in_use(), 1);

    assert!(tunnel.remove_peer(PEER));
    assert!(!tunnel.remove_peer(PEER));
    assert!(tunnel.activity(PEER).is_none());
    assert_eq!((tunnel.indices_in_use(), tunnel.next_wake()), (0, None));
    pair.settle();
    assert_eq!(pair.nodes[0].gone, 1);
    pair.send(1, b"into the void");
    assert_eq!(pair.nodes[0].tunnel.counters().refused(Refusal::UnknownIndex), 1);

    // Another key under the id of a peer: the old one's sessions are gone.
    let now_ns = pair.now_ns;
    pair.nodes[1].tunnel.set_peer(now_ns, PEER, &PeerConfig::new([9; 32])).unwrap();
    pair.settle();
    assert_eq!(pair.nodes[1].gone, 1);
    assert_eq!(pair.nodes[1].tunnel.indices_in_use(), 0);
}

#[test]
fn a_new_private_key_makes_a_new_node() {
    let mut pair = Pair::connected();
    pair.nodes[0].tunnel.set_private_key(&private_key(3));
    let public = pair.nodes[0].tunnel.public_key();
    pair.settle();
    assert_eq!(pair.nodes[0].gone, 1);
    pair.now_ns += 6 * SECOND_NS;
    pair.nodes[0].tunnel.initiate(pair.now_ns, PEER);
    pair.settle();
    assert_eq!(pair.nodes[1].tunnel.counters().refused(Refusal::UnknownPeer), 1);
    let now_ns = pair.now_ns;
    pair.nodes[1].activity = pair.nodes[1].tunnel.set_peer(now_ns, PEER, &PeerConfig::new(public)).unwrap();
    pair.pass(6.0);
    pair.assert_connected();
}

#[test]
fn packets_are_padded_to_16_but_not_above_the_mtu() {
    assert_eq!(sealed_len(0, 1280), 32);
    assert_eq!(sealed_len(1, 1280), 48);
    assert_eq!(sealed_len(16, 1280), 48);
    assert_eq!(sealed_len(1275, 1280), 1312);
    assert_eq!(sealed_len(1275, 1278), 1310);
    assert_eq!(sealed_len(1300, 1280), 1332);
    let mut pair = Pair::connected();
    let session = pair.nodes[0].session.clone().unwrap();
    let mut buf = vec![0xaa; 1310];
    assert_eq!(session.seal(pair.now_ns, &mut buf[..1309], 1275, 1278), Err(SealError::NoRoom));
    assert_eq!(session.seal(pair.now_ns, &mut buf, 1275, 1278), Ok(1310));
    pair.carry(0, &buf);
    assert_eq!(pair.nodes[1].got[0].len(), 1278);
    assert_eq!(session.seal(pair.now_ns, &mut buf, usize::MAX, 1278), Err(SealError::NoRoom));
}

#[test]
fn a_used_up_counter_seals_no_more_and_is_not_accepted() {
    let mut pair = Pair::connected();
    let session = pair.nodes[0].session.clone().unwrap();
    let mut buf = [0; 32];
    session.set_counter((1 << 60) - 1);
    session.seal(pair.now_ns, &mut buf, 0, MTU).unwrap();
    assert!(session.rekey_due(pair.now_ns) && !session.is_expired(pair.now_ns));
    let limit = u64::MAX - (1 << 13);
    session.set_counter(limit - 1);
    session.seal(pair.now_ns, &mut buf, 0, MTU).unwrap();
    let from = source(1);
    assert_eq!(pair.nodes[1].receive(pair.now_ns, &from, &buf), Handled::Keepalive { peer: PEER });
    assert_eq!(session.seal(pair.now_ns, &mut buf, 0, MTU), Err(SealError::Exhausted));
    assert!(session.is_expired(pair.now_ns));
    buf[8..16].copy_from_slice(&limit.to_le_bytes());
    assert_eq!(pair.nodes[1].receive(pair.now_ns, &from, &buf), Handled::Refused(Refusal::Expired));
    pair.pass(5.0);
    pair.assert_connected(); // through a new handshake
}

#[test]
fn threads_sealing_at_once_never_share_a_counter() {
    let mut pair = Pair::connected();
    let session = pair.nodes[0].session.clone().unwrap();
    let now_ns = pair.now_ns;
    let datagrams: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let sealers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let seal = |_| {
                        let mut buf = vec![0; 32];
                        session.seal(now_ns, &mut buf, 0, MTU).unwrap();
                        buf
                    };
                    (0..1500).map(seal).collect::<Vec<_>>()
                })
            })
            .collect();
        sealers.into_iter().flat_map(|sealer| sealer.join().unwrap()).collect()
    });
    let from = source(1);
    for datagram in &datagrams {
        assert_eq!(pair.nodes[1].receive(now_ns, &from, datagram), Handled::Keepalive { peer: PEER });
    }
}
