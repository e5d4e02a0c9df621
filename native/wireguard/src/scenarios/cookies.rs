use super::*;

/// Node 1 is always under load: a limit of no handshake at all.
fn loaded() -> Pair {
    Pair::with(|config, _| {
        if config.private_key == private_key(2) {
            config.handshakes_per_second = 0;
        }
    })
}

#[test]
fn under_load_the_first_initiation_gets_a_cookie_and_the_retry_goes_through() {
    let mut pair = loaded();
    pair.send(0, b"hello");
    assert_eq!(pair.nodes[1].tunnel.counters().refused(Refusal::UnderLoad), 1);
    assert!(pair.nodes[0].done.is_empty());
    assert_eq!(pair.nodes[0].initiations(), 1, "a cookie reply is not answered");
    pair.pass(5.4);
    assert_eq!(pair.nodes[0].done, [Role::Initiator]);
    assert_eq!(&pair.nodes[1].got[0][..5], b"hello");
    assert_eq!(pair.nodes[1].tunnel.counters().refused(Refusal::UnderLoad), 1);
}

#[test]
fn a_response_needs_a_cookie_as_well() {
    let mut pair = loaded();
    pair.send(1, b"hello");
    // The loaded node asks for a cookie with the response; the responder takes it, and the retry is answered with mac2.
    assert!(pair.nodes[1].done.is_empty());
    pair.pass(5.4);
    assert_eq!(pair.nodes[1].done, [Role::Initiator]);
    pair.assert_connected();
}

#[test]
fn a_cookie_is_bound_to_address_and_port() {
    let mut pair = loaded();
    pair.send(0, b"hello");
    pair.now_ns += 6 * SECOND_NS;
    pair.nodes[0].tunnel.poll(pair.now_ns);
    let initiation = pair.nodes[0].drain(pair.now_ns).remove(0);
    let elsewhere = source(99);
    let refused = Handled::Refused(Refusal::UnderLoad);
    assert_eq!(pair.nodes[1].receive(pair.now_ns, &elsewhere, &initiation), refused);
    assert_eq!(pair.nodes[1].drain(pair.now_ns)[0].len(), 64);
    let derp = Source::derp(1, &[1; 32]);
    assert_eq!(pair.nodes[1].receive(pair.now_ns, &derp, &initiation), refused);
    let right = pair.nodes[0].source;
    assert_eq!(pair.nodes[1].receive(pair.now_ns, &right, &initiation), Handled::Handshake { peer: PEER });
}

#[test]
fn a_cookie_grows_old() {
    let mut pair = loaded();
    pair.send(0, b"hello");
    // Its secret is replaced after 120 s, so a kept cookie would only be refused.
    pair.nodes[0].mute = true;
    pair.pass(91.0);
    pair.nodes[0].mute = false;
    pair.pass(30.0);
    pair.nodes[0].tunnel.initiate(pair.now_ns, PEER);
    let initiation = pair.nodes[0].drain(pair.now_ns).remove(0);
    assert_eq!(initiation[132..], [0; 16], "no mac2");
    pair.carry(0, &initiation);
    pair.settle();
    assert_eq!(pair.nodes[1].tunnel.counters().refused(Refusal::UnderLoad), 2);
    pair.pass(5.4);
    assert_eq!(pair.nodes[0].done, [Role::Initiator]);
}

#[test]
fn a_cookie_reply_counts_once_and_only_for_the_message_it_answers() {
    let mut pair = loaded();
    pair.nodes[0].tunnel.initiate(pair.now_ns, PEER);
    let initiation = pair.nodes[0].drain(pair.now_ns).remove(0);
    pair.carry(0, &initiation);
    let reply = pair.nodes[1].drain(pair.now_ns).remove(0);
    let from = source(2);
    let mut forged = reply.clone();
    forged[40] ^= 1;
    assert_eq!(pair.nodes[0].receive(pair.now_ns, &from, &forged), Handled::Refused(Refusal::Forged));
    assert_eq!(pair.nodes[0].receive(pair.now_ns, &from, &reply), Handled::Cookie { peer: PEER });
    assert_eq!(pair.nodes[0].receive(pair.now_ns, &from, &reply), Handled::Refused(Refusal::Forged));
    assert!(pair.nodes[0].drain(pair.now_ns).is_empty());
}

#[test]
fn load_is_noticed_and_forgotten() {
    let mut pair = Pair::with(|config, _| config.handshakes_per_second = 10);
    let mut initiation = vec![0; 148];
    pair.nodes[0].tunnel.initiate(pair.now_ns, PEER);
    initiation.copy_from_slice(&pair.nodes[0].drain(pair.now_ns)[0]);
    let from = source(1);
    let mut answers = Vec::new();
    for _ in 0..12 {
        answers.push(pair.nodes[1].receive(pair.now_ns, &from, &initiation));
    }
    assert_eq!(answers[0], Handled::Handshake { peer: PEER });
    assert!(answers[1..10].iter().all(|a| *a == Handled::Refused(Refusal::StaleTimestamp)));
    assert!(answers[10..].iter().all(|a| *a == Handled::Refused(Refusal::UnderLoad)));
    pair.now_ns += SECOND_NS / 2;
    assert_eq!(pair.nodes[1].receive(pair.now_ns, &from, &initiation), Handled::Refused(Refusal::UnderLoad));
    pair.now_ns += 2 * SECOND_NS;
    assert_eq!(pair.nodes[1].receive(pair.now_ns, &from, &initiation), Handled::Refused(Refusal::StaleTimestamp));
}

#[test]
fn a_source_with_a_cookie_gets_its_share_and_no_more() {
    let mut pair = loaded();
    pair.send(0, b"hello");
    pair.now_ns += 6 * SECOND_NS;
    pair.nodes[0].tunnel.poll(pair.now_ns);
    let initiation = pair.nodes[0].drain(pair.now_ns).remove(0);
    let from = pair.nodes[0].source;
    let mut answers = Vec::new();
    for _ in 0..8 {
        answers.push(pair.nodes[1].receive(pair.now_ns, &from, &initiation));
    }
    assert_eq!(answers[0], Handled::Handshake { peer: PEER });
    assert!(answers[1..5].iter().all(|a| *a == Handled::Refused(Refusal::StaleTimestamp)));
    assert!(answers[5..].iter().all(|a| *a == Handled::Refused(Refusal::RateLimited)));
}
