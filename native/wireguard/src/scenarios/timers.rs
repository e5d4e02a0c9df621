use super::*;

#[test]
fn the_initiator_renews_a_used_session_at_120_seconds() {
    let mut pair = Pair::connected();
    for second in 1..=119 {
        pair.pass(1.0);
        pair.assert_connected();
        assert_eq!(pair.nodes[0].initiations(), 1, "after {second} s");
    }
    pair.pass(1.5);
    pair.assert_connected();
    pair.assert_connected();
    assert_eq!((pair.nodes[0].initiations(), pair.nodes[1].initiations()), (2, 0));
    assert_eq!(pair.nodes[0].done, [Role::Initiator; 2]);
    assert_eq!(pair.nodes[1].done, [Role::Responder; 2]);
    assert!(pair.nodes[1].tunnel.indices_in_use() <= 2);
}

#[test]
fn an_hour_of_traffic_never_stops_and_leaks_no_index() {
    let mut pair = Pair::connected();
    for _ in 0..3600 {
        pair.pass(1.0);
        pair.assert_connected();
        for node in &pair.nodes {
            assert!(node.tunnel.indices_in_use() <= 5);
        }
    }
    let handshakes = pair.nodes[0].done.len();
    assert!((28..=31).contains(&handshakes), "{handshakes} handshakes in an hour");
    assert_eq!(pair.nodes[0].gone + pair.nodes[1].gone, 0);
    assert_eq!(pair.nodes[0].failed, 0);
}

#[test]
fn a_session_without_traffic_dies_at_180_seconds_and_nothing_wakes_us_after() {
    let mut pair = Pair::connected();
    pair.pass(179.9);
    assert_eq!((pair.nodes[0].gone, pair.nodes[1].gone), (0, 0));
    pair.pass(0.2);
    assert_eq!((pair.nodes[0].gone, pair.nodes[1].gone), (1, 1));
    assert_eq!(pair.nodes[0].initiations() + pair.nodes[1].initiations(), 1);
    for node in &pair.nodes {
        assert_eq!((node.tunnel.next_wake(), node.tunnel.indices_in_use()), (None, 0));
    }
    pair.assert_connected();
}

#[test]
fn an_idle_connected_pair_wakes_rarely() {
    let mut pair = Pair::connected();
    let mut wakes = 0;
    while let Some(at_ns) = pair.nodes[0].tunnel.next_wake() {
        pair.now_ns = at_ns;
        pair.nodes[0].tunnel.poll(at_ns);
        wakes += 1;
    }
    assert!(wakes <= 14, "{wakes} wakes in the 180 s of a session's life");
}

#[test]
fn one_way_data_is_answered_by_a_keepalive_after_10_seconds() {
    let mut pair = Pair::connected();
    pair.pass(3.0);
    pair.send(0, b"one way");
    let before = pair.nodes[1].keepalives();
    pair.pass(9.9);
    assert_eq!(pair.nodes[1].keepalives(), before);
    pair.pass(0.2);
    assert_eq!(pair.nodes[1].keepalives(), before + 1);
    // Keepalives are not data: nobody answers them, and nobody thinks the peer is gone.
    pair.pass(60.0);
    assert_eq!(pair.nodes[1].keepalives(), before + 1);
    assert_eq!(pair.nodes[0].keepalives(), 1);
    assert_eq!(pair.nodes[0].initiations(), 1);
}

#[test]
fn data_sent_back_takes_the_place_of_the_keepalive() {
    let mut pair = Pair::connected();
    pair.send(0, b"question");
    pair.pass(5.0);
    pair.send(1, b"answer");
    pair.pass(9.9);
    assert_eq!(pair.nodes[1].keepalives(), 0);
    assert_eq!(pair.nodes[0].keepalives(), 1, "the one that confirmed the session");
    pair.pass(30.0);
    assert_eq!(pair.nodes[1].keepalives(), 0);
    assert_eq!(pair.nodes[0].keepalives(), 2, "for the answer");
}

#[test]
fn unanswered_data_makes_a_new_handshake_after_15_seconds() {
    let mut pair = Pair::connected();
    pair.pass(2.0);
    pair.nodes[1].mute = true;
    pair.send(0, b"anybody there?");
    pair.pass(14.9);
    assert_eq!(pair.nodes[0].initiations(), 1);
    pair.pass(0.5);
    assert_eq!(pair.nodes[0].initiations(), 2);
    pair.nodes[1].mute = false;
    pair.pass(6.0);
    assert_eq!(pair.nodes[0].done.len(), 2);
    pair.assert_connected();
}

#[test]
fn a_peer_that_lost_everything_is_found_again() {
    let mut pair = Pair::connected();
    pair.nodes[1].tunnel.forget_sessions();
    pair.settle();
    assert_eq!(pair.nodes[1].gone, 1);
    pair.pass(1.0);
    pair.send(0, b"lost");
    assert!(pair.nodes[1].got.is_empty());
    pair.pass(16.0);
    pair.assert_connected();
}

#[test]
fn asking_in_vain_is_told_from_the_first_initiation_until_an_answer() {
    let mut pair = Pair::new();
    pair.nodes[1].mute = true;
    assert_eq!(pair.nodes[0].activity.asking_since_ns(), 0);
    let start = pair.now_ns;
    pair.send(0, b"anyone?");
    for _ in 0..3 {
        pair.pass(6.0);
        assert_eq!(pair.nodes[0].activity.asking_since_ns(), start);
    }
    pair.nodes[1].mute = false;
    pair.pass(6.0);
    assert_eq!(pair.nodes[0].done, [Role::Initiator]);
    assert_eq!(pair.nodes[0].activity.asking_since_ns(), 0);
}

#[test]
fn an_attempt_retries_every_5_seconds_with_jitter_and_ends_after_90() {
    let mut pair = Pair::new();
    pair.nodes[1].mute = true;
    pair.send(0, b"anybody there?");
    let mut times = Vec::new();
    let start = pair.now_ns;
    while pair.nodes[0].failed == 0 {
        assert!(!pair.nodes[0].activity.want_handshake(), "already under way");
        let count = pair.nodes[0].initiations();
        if count > times.len() {
            times.push(pair.now_ns);
        }
        let at_ns = pair.nodes[0].tunnel.next_wake().expect("an end to the attempt");
        pair.now_ns = at_ns.max(pair.now_ns);
        pair.settle();
    }
    assert!((17..=19).contains(&times.len()), "{} initiations", times.len());
    let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| (5_000_000_000..=5_333_000_000).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().any(|gap| *gap != gaps[0]), "jitter");
    assert!((90 * SECOND_NS..96 * SECOND_NS).contains(&(pair.now_ns - start)));
    assert_eq!((pair.nodes[0].tunnel.indices_in_use(), pair.nodes[0].tunnel.next_wake()), (0, None));

    // The next packet begins afresh.
    pair.nodes[1].mute = false;
    pair.pass(10.0);
    pair.send(0, b"still there?");
    assert_eq!(pair.nodes[0].done, [Role::Initiator]);
}

#[test]
fn an_initiation_is_repeated_at_once_when_a_path_appears_but_not_in_a_storm() {
    let mut pair = Pair::new();
    pair.nodes[0].mute = true;
    pair.send(0, b"hello");
    pair.nodes[0].mute = false;
    for _ in 0..10 {
        pair.now_ns += 1_000_000;
        pair.nodes[0].tunnel.initiate(pair.now_ns, PEER);
        pair.nodes[0].tunnel.initiate_now(pair.now_ns, PEER);
    }
    pair.settle();
    assert_eq!(pair.nodes[0].initiations(), 1);
    pair.pass(0.1);
    assert_eq!(pair.nodes[0].initiations(), 2);
    assert_eq!(pair.nodes[0].done, [Role::Initiator]);
    // With a fresh session there is nothing to hasten.
    pair.pass(10.0);
    pair.nodes[0].tunnel.initiate_now(pair.now_ns, PEER);
    pair.settle();
    assert_eq!(pair.nodes[0].initiations(), 2);
}

#[test]
fn lost_messages_only_delay() {
    // Each of the four messages of a fresh connection is lost once, in all combinations.
    for lost in 0..16u32 {
        let mut pair = Pair::new();
        let mut count = 0;
        pair.nodes[0].seal(pair.now_ns, b"hello");
        for _ in 0..30 {
            for from in [0, 1] {
                pair.nodes[from].tunnel.poll(pair.now_ns);
                for message in pair.nodes[from].drain(pair.now_ns) {
                    if count >= 4 || lost & (1 << count) == 0 {
                        pair.carry(from, &message);
                    }
                    count += 1;
                }
            }
            pair.now_ns += SECOND_NS;
        }
        pair.assert_connected();
    }
}

#[test]
fn data_that_arrives_late_in_a_session_renews_it() {
    let mut pair = Pair::connected();
    pair.pass(166.0);
    assert_eq!(pair.nodes[0].initiations(), 1);
    pair.send(1, b"late");
    assert_eq!(pair.nodes[0].initiations(), 2);
    pair.pass(20.0);
    assert_eq!((pair.nodes[0].gone, pair.nodes[1].gone), (0, 0));
}

#[test]
fn packets_of_the_old_session_still_open_after_a_renewal() {
    let mut pair = Pair::connected();
    let late = pair.nodes[0].seal(pair.now_ns, b"late").unwrap();
    let late_back = pair.nodes[1].seal(pair.now_ns, b"late as well").unwrap();
    pair.pass(6.0);
    pair.nodes[0].tunnel.initiate(pair.now_ns, PEER);
    pair.settle();
    assert_eq!(pair.nodes[0].done.len(), 2);
    pair.carry(0, &late);
    pair.carry(1, &late_back);
    assert_eq!(&pair.nodes[1].got[0][..4], b"late");
    assert_eq!(&pair.nodes[0].got[0][..12], b"late as well");
    pair.pass(175.0);
    let from = source(1);
    assert_eq!(pair.nodes[1].receive(pair.now_ns, &from, &late), Handled::Refused(Refusal::UnknownIndex));
}

#[test]
fn a_session_from_before_a_suspend_is_not_used() {
    let mut pair = Pair::connected();
    let old = pair.nodes[0].session.clone().unwrap();
    let datagram = pair.nodes[1].seal(pair.now_ns, b"old").unwrap();
    pair.now_ns += 3600 * SECOND_NS; // no timer ran meanwhile
    assert_eq!(old.seal(pair.now_ns, &mut [0; 64], 0, MTU), Err(SealError::Expired));
    let from = source(2);
    assert_eq!(pair.nodes[0].receive(pair.now_ns, &from, &datagram), Handled::Refused(Refusal::Expired));
    pair.assert_connected();
    assert_eq!(pair.nodes[0].done.len(), 2);
}

#[test]
fn the_persistent_keepalive_keeps_quiet_while_there_is_traffic() {
    let mut pair = Pair::with(|config, peer| {
        // Only on the first node.
        if config.private_key == private_key(1) {
            peer.persistent_keepalive_s = 25;
        }
    });
    pair.settle();
    assert_eq!(pair.nodes[0].done, [Role::Initiator], "it wants a session without any data");
    let start = pair.nodes[0].keepalives();
    for _ in 0..5 {
        pair.pass(9.0);
        pair.assert_connected();
    }
    assert_eq!(pair.nodes[0].keepalives(), start);
    let quiet = pair.nodes[0].keepalives();
    // The first of these answers the last data after 10 s, the second comes 25 s later.
    pair.pass(36.0);
    assert_eq!(pair.nodes[0].keepalives(), quiet + 2);
    // It also keeps a session alive for good.
    pair.pass(600.0);
    assert!(pair.nodes[0].session.is_some());
}

#[test]
fn many_due_handshakes_are_spread_over_polls() {
    let mut tunnel = Tunnel::new(&TunnelConfig::new(private_key(1)), SECOND_NS, SECOND_NS).unwrap();
    for id in 0..40u16 {
        let activity = tunnel.set_peer(SECOND_NS, id, &PeerConfig::new(private_key(100 + id as u8))).unwrap();
        assert!(activity.want_handshake());
    }
    let mut polls = 0;
    let mut initiations = 0;
    while tunnel.next_wake().is_some_and(|at| at <= SECOND_NS) {
        tunnel.poll(SECOND_NS);
        polls += 1;
        let mut now = 0;
        while let Some(output) = tunnel.next_output() {
            assert!(matches!(output, Output::Send { kind: SendKind::Initiation, .. }));
            now += 1;
        }
        assert!(now <= 8);
        initiations += now;
    }
    assert_eq!((polls, initiations), (5, 40));
}
