//! The receiving thread's side of the peers: the tunnel with its handshakes and timers, and where peers were seen.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use peerway_wireguard::{Message, Output, PeerConfig, Refusal, SendKind, Source, Tunnel};

use super::clock::{Now, SECOND_NS};
use super::counters::add;
use super::inbound::Origin;
use super::path::{Leg, Path};
use super::peers::{OncePerSecond, Peer, PeerTable};
use super::published::Reader;
use super::records::{Kind, Record};
use super::routes::PeerId;
use super::shared::Shared;

pub struct PeerSide {
    pub tunnel: Tunnel,
    shared: Arc<Shared>,
    table: Reader<PeerTable>,
    peers: Vec<Option<RxPeer>>,
    /// Peers with an initiation on its way or held back; a new path sends it again.
    awaiting: Vec<PeerId>,
    refused: OncePerSecond,
}

struct RxPeer {
    peer: Arc<Peer>,
    path: Reader<Path>,
    keepalive_s: u16,
    seen_at_ns: u64,
    /// Where the last initiation went; none when there was no way.
    initiated_on: Option<Leg>,
}

impl PeerSide {
    pub fn new(shared: Arc<Shared>, tunnel: Tunnel) -> Self {
        let table = shared.table.reader();
        let refused = OncePerSecond::default();
        Self { tunnel, table, peers: Vec::new(), awaiting: Vec::new(), refused, shared }
    }

    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    pub fn next_wake(&self) -> Option<u64> {
        self.tunnel.next_wake()
    }

    pub fn set_wall_clock(&mut self, now: Now, unix_ns: u64) {
        self.tunnel.set_wall_clock(now.boot_ns, unix_ns);
    }

    /// Due timers, and handshakes that the other thread asked for.
    pub fn run_timers(&mut self, now: Now) {
        self.tunnel.poll(now.boot_ns);
        self.run_outputs(None, now);
        let refused = |why| self.tunnel.counters().refused(why);
        let totals = &self.shared.totals;
        let undecryptable = refused(Refusal::Forged) + refused(Refusal::UnknownIndex) + refused(Refusal::Expired);
        let replayed = refused(Refusal::Replayed);
        totals.rx_undecryptable.store(undecryptable, Ordering::Relaxed);
        totals.rx_replayed.store(replayed, Ordering::Relaxed);
        let all: u64 = Refusal::ALL.into_iter().map(refused).sum();
        totals.rx_refused.store(all - undecryptable - replayed, Ordering::Relaxed);
    }

    /// After a wake-up: new peers, peers that left, paths that appeared.
    pub fn synchronise(&mut self, now: Now) {
        if self.table.refresh(&self.shared.table) {
            self.follow_table(now);
            self.run_outputs(None, now);
            // tx may have packets for peers that it could not ask handshakes for yet.
            self.shared.tx_wake.wake();
        }
        let (peers, tunnel) = (&mut self.peers, &mut self.tunnel);
        self.awaiting.retain(|id| {
            let Some(waiting) = peers.get_mut(usize::from(*id)).and_then(Option::as_mut) else { return false };
            let legs = waiting.path.get(&waiting.peer.path).legs(now.mono_ns);
            if legs.is_some_and(|legs| Some(legs.first) != waiting.initiated_on) {
                tunnel.initiate_now(now.boot_ns, *id);
            }
            true
        });
        self.run_outputs(None, now);
    }

    fn follow_table(&mut self, now: Now) {
        let table = Arc::clone(self.table.seen());
        // Leavers first, so that a key may move to another id.
        for slot in &mut self.peers {
            let leaves = slot
                .as_ref()
                .is_some_and(|old| table.get(old.peer.id).is_none_or(|current| !Arc::ptr_eq(current, &old.peer)));
            if leaves && let Some(old) = slot.take() {
                self.tunnel.remove_peer(old.peer.id);
                old.peer.session.replace(None);
            }
        }
        self.peers.resize_with(table.width(), || None);
        for peer in table.iter() {
            let slot = &mut self.peers[usize::from(peer.id)];
            let keepalive_s = peer.keepalive_s.load(Ordering::Relaxed);
            if slot.as_ref().is_some_and(|known| known.keepalive_s == keepalive_s) {
                continue;
            }
            let config = PeerConfig { persistent_keepalive_s: keepalive_s, ..PeerConfig::new(peer.public_key) };
            match self.tunnel.set_peer(now.boot_ns, peer.id, &config) {
                Ok(activity) => {
                    let _ = peer.activity.set(activity);
                    let path = peer.path.reader();
                    *slot =
                        Some(RxPeer { path, keepalive_s, seen_at_ns: 0, initiated_on: None, peer: Arc::clone(peer) });
                }
                // Our own key, or one that cannot be one: such a peer can never talk.
                Err(_) => add(&self.shared.totals.rx_bad_peer, 1),
            }
        }
    }

    /// Does what the tunnel asks for. `origin` is that of the datagram just handled.
    pub fn run_outputs(&mut self, origin: Option<Origin>, now: Now) {
        while let Some(output) = self.tunnel.next_output() {
            match output {
                Output::Send { peer, kind, message } => self.send(peer, kind, &message, origin, now),
                Output::Reply { source, message } => self.reply(source, &message, origin, now),
                Output::SessionReady { peer, session } => {
                    if let Some(to) = self.get(peer) {
                        to.peer.session.replace(Some(session));
                        self.shared.tx_wake.wake();
                    }
                }
                Output::SessionGone { peer } => {
                    if let Some(to) = self.get(peer) {
                        to.peer.session.replace(None);
                    }
                }
                Output::HandshakeDone { peer, .. } => {
                    self.awaiting.retain(|id| *id != peer);
                    self.shared.event(Kind::Handshake, peer);
                }
                Output::HandshakeFailed { peer } => {
                    self.awaiting.retain(|id| *id != peer);
                    self.shared.event(Kind::HandshakeFailed, peer);
                    if let Some(to) = self.get(peer) {
                        to.peer.discard_staged.store(true, Ordering::Relaxed);
                        self.shared.tx_wake.wake();
                    }
                }
            }
        }
    }

    fn get(&self, id: PeerId) -> Option<&RxPeer> {
        self.peers.get(usize::from(id))?.as_ref()
    }

    fn send(&mut self, id: PeerId, kind: SendKind, message: &Message, origin: Option<Origin>, now: Now) {
        let Some(to) = self.peers.get_mut(usize::from(id)).and_then(Option::as_mut) else { return };
        let path = to.path.get(&to.peer.path);
        let legs = path.legs(now.mono_ns);
        if kind == SendKind::Initiation {
            to.initiated_on = legs.map(|legs| legs.first);
            if !self.awaiting.contains(&id) {
                self.awaiting.push(id);
            }
        }
        if path.became_stale(now.mono_ns) {
            self.shared.event(Kind::PathStale, id);
        }
        let result = match (legs, origin) {
            (Some(legs), _) => self.shared.send_message(id, legs, message),
            (None, Some(Origin::Udp { from, vni })) if kind == SendKind::Response => {
                self.shared.send_datagram(from, vni, message).map_err(|error| (from, error))
            }
            (None, Some(Origin::Derp { region })) if kind == SendKind::Response => {
                self.shared.derp_out(id, region, message);
                Ok(())
            }
            (None, _) => {
                add(&self.shared.totals.tx_no_leg, 1);
                if to.peer.may_raise_need_path(now.mono_ns) {
                    self.shared.event(Kind::NeedPath, id);
                }
                Ok(())
            }
        };
        if let Err((to, error)) = result {
            self.shared.send_failed(&mut self.refused, to, &error, now);
        }
    }

    /// A cookie, which goes back exactly where its cause came from. Through DERP that sender is not known.
    fn reply(&mut self, source: Source, message: &Message, origin: Option<Origin>, now: Now) {
        let vni = match origin {
            Some(Origin::Udp { vni, .. }) => vni,
            _ => None,
        };
        if let Some(to) = source.socket_addr()
            && let Err(error) = self.shared.send_datagram(to, vni, message)
        {
            self.shared.send_failed(&mut self.refused, to, &error, now);
        }
    }

    /// An authenticated packet of `id` came from `origin`.
    pub fn saw(&mut self, id: PeerId, origin: Origin, now: Now) {
        let Some(from) = self.peers.get_mut(usize::from(id)).and_then(Option::as_mut) else { return };
        let leg = from.path.get(&from.peer.path).leg();
        let as_leg = match origin {
            Origin::Udp { from, vni } => Leg::Udp { to: from, vni },
            Origin::Derp { region } => Leg::Derp { region },
        };
        if leg == Some(as_leg) || (from.seen_at_ns != 0 && now.mono_ns < from.seen_at_ns + SECOND_NS) {
            return;
        }
        from.seen_at_ns = now.mono_ns;
        let event = Record::event(Kind::PeerSeen, id);
        match origin {
            Origin::Udp { from, vni } => {
                let text = from.to_string();
                self.shared.records.push(&Record { text: &text, vni, ..event }, &self.shared.totals);
            }
            Origin::Derp { region } => {
                self.shared.records.push(&Record { region: Some(region), ..event }, &self.shared.totals);
            }
        }
    }

    pub fn count_received(&self, id: PeerId, bytes: usize) {
        if let Some(from) = self.get(id) {
            add(&from.peer.rx_bytes, bytes as u64);
        }
    }

    pub fn may_send_from(&self, id: PeerId, src: IpAddr) -> bool {
        self.table.seen().routes.lookup(src) == Some(id)
    }
}
