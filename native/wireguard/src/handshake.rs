//! A peer's handshakes: when initiations go out, and what becomes of those and the responses that come in.

use crate::Message;
use crate::constants::*;
use crate::crypto::{RandomError, random, random_secret};
use crate::noise::{self, Named};
use crate::output::{Output, Refusal, SendKind};
use crate::peer::{Attempt, Context, InFlight, Peer};
use crate::session::{ReceiveSession, Role, SendSession, Session};
use crate::wire::{INITIATION_BYTES, RESPONSE_BYTES};
use std::sync::Arc;

impl Peer {
    /// Starts a series of initiations, unless one is running. The first goes out when the timers run next, but not within
    /// 5 s of the last one.
    pub fn begin_attempt(&mut self, now_ns: u64) {
        if self.attempt.is_none() {
            let earliest = match self.last_initiation_ns {
                0 => now_ns,
                last => now_ns.max(last.saturating_add(REKEY_TIMEOUT_NS)),
            };
            self.attempt = Some(Attempt { started_ns: now_ns, next_send_ns: earliest });
        }
    }

    /// If a handshake is wanted, its next initiation goes out as soon as decency allows.
    pub fn hasten_attempt(&mut self, now_ns: u64) {
        if self.attempt.is_none() && self.has_fresh_session(now_ns) {
            return;
        }
        let earliest = match self.last_initiation_ns {
            0 => now_ns,
            last => now_ns.max(last.saturating_add(MIN_RESEND_GAP_NS)),
        };
        let started_ns = self.attempt.map_or(now_ns, |attempt| attempt.started_ns);
        self.attempt = Some(Attempt { started_ns, next_send_ns: earliest });
    }

    /// The sending thread asked for a session. It may not have seen the newest one yet.
    pub fn serve_request(&mut self, now_ns: u64) {
        if self.has_fresh_session(now_ns) {
            self.activity.handshake_settled();
        } else {
            self.begin_attempt(now_ns);
        }
    }

    fn has_fresh_session(&self, now_ns: u64) -> bool {
        self.current.as_ref().is_some_and(|s| !s.send.is_expired(now_ns) && !s.send.rekey_due(now_ns))
    }

    /// Sends the initiation that is due, or ends the attempt. Says whether it made one (about 100 us).
    pub fn continue_attempt(&mut self, cx: &mut Context, now_ns: u64) -> bool {
        let Some(attempt) = self.attempt.filter(|attempt| attempt.next_send_ns <= now_ns) else { return false };
        if now_ns.saturating_sub(attempt.started_ns) >= REKEY_ATTEMPT_TIME_NS {
            self.attempt = None;
            self.forget_in_flight(cx);
            self.activity.forget_unanswered();
            self.activity.handshake_settled();
            cx.outputs.push_back(Output::HandshakeFailed { peer: self.id });
            return false;
        }
        // Without random bytes this one is skipped like one lost on the way.
        let made = self.send_initiation(cx, now_ns);
        let next_send_ns = now_ns.saturating_add(REKEY_TIMEOUT_NS + self.jitter_ns);
        self.attempt = Some(Attempt { next_send_ns, ..attempt });
        made.is_ok()
    }

    fn send_initiation(&mut self, cx: &mut Context, now_ns: u64) -> Result<(), RandomError> {
        self.last_initiation_ns = now_ns;
        self.jitter_ns = u64::from_le_bytes(random()?) % (REKEY_JITTER_NS + 1);
        let ephemeral = random_secret()?;
        let local_index = cx.indices.take(self.id)?;
        let timestamp = cx.stamps.next(now_ns);
        let made = noise::initiate(&cx.local, &self.remote, local_index, ephemeral, &timestamp);
        let Some((initiation, mut message)) = made else {
            // Only low-order keys of the peer fail here, and those were refused when it was added.
            cx.indices.free(local_index);
            return Ok(());
        };
        self.cookies.seal(now_ns, &self.remote.schedule, &mut message);
        let newest = InFlight { initiation, local_index, sent_ns: now_ns };
        let second = self.in_flight[0].replace(newest);
        if let Some(oldest) = std::mem::replace(&mut self.in_flight[1], second) {
            cx.indices.free(oldest.local_index);
        }
        self.activity.note_asked(now_ns);
        let message = Message::new(&message);
        cx.outputs.push_back(Output::Send { peer: self.id, kind: SendKind::Initiation, message });
        Ok(())
    }

    /// Answers an initiation in this peer's name. Until the timestamp is known to be new, nothing of ours changes.
    pub fn answer(
        &mut self,
        cx: &mut Context,
        now_ns: u64,
        named: Named,
        message: &[u8; INITIATION_BYTES],
    ) -> Result<(), Refusal> {
        let proved = named.prove(&self.remote, message).ok_or(Refusal::Forged)?;
        if proved.timestamp <= self.newest_timestamp {
            return Err(Refusal::StaleTimestamp);
        }
        if self.last_accepted_ns != 0 && now_ns.saturating_sub(self.last_accepted_ns) < MIN_INITIATION_GAP_NS {
            return Err(Refusal::TooSoon);
        }
        let timestamp = proved.timestamp;
        let ephemeral = random_secret().map_err(|_| Refusal::NoRandom)?;
        let local_index = cx.indices.take(self.id).map_err(|_| Refusal::NoRandom)?;
        let Some((keys, mut response)) = proved.respond(&self.remote, local_index, ephemeral) else {
            cx.indices.free(local_index);
            return Err(Refusal::Forged);
        };
        self.newest_timestamp = timestamp;
        self.last_accepted_ns = now_ns;
        self.cookies.seal(now_ns, &self.remote.schedule, &mut response);
        self.install(cx, new_session(&keys, local_index, now_ns, Role::Responder));
        self.activity.note_received(now_ns);
        self.activity.note_sent(now_ns);
        let message = Message::new(&response);
        cx.outputs.push_back(Output::Send { peer: self.id, kind: SendKind::Response, message });
        Ok(())
    }

    /// Takes the response to one of the initiations in flight.
    pub fn finish(
        &mut self,
        cx: &mut Context,
        now_ns: u64,
        index: u32,
        message: &[u8; RESPONSE_BYTES],
    ) -> Result<(), Refusal> {
        let flight = self.in_flight.iter_mut().find(|f| f.as_ref().is_some_and(|f| f.local_index == index));
        let flight = flight.ok_or(Refusal::UnknownIndex)?;
        let initiation = &flight.as_ref().ok_or(Refusal::UnknownIndex)?.initiation;
        let keys = initiation.finish(&cx.local, &self.remote, message).ok_or(Refusal::Forged)?;
        *flight = None; // its index goes on as the session's
        self.forget_in_flight(cx);

        let session = new_session(&keys, index, now_ns, Role::Initiator);
        let send = session.send.clone();
        self.install(cx, session);
        self.attempt = None;
        self.activity.note_received(now_ns);
        self.activity.note_handshake(now_ns);
        cx.outputs.push_back(Output::SessionReady { peer: self.id, session: send });
        cx.outputs.push_back(Output::HandshakeDone { peer: self.id, role: Role::Initiator });
        // The responder may not send before it hears from us, and there may be no data to do that.
        self.send_keepalive(cx, now_ns);
        Ok(())
    }
}

fn new_session(keys: &noise::SessionKeys, local_index: u32, now_ns: u64, role: Role) -> Box<Session> {
    Box::new(Session {
        send: Arc::new(SendSession::new(&keys.send, keys.peer_index, now_ns, role)),
        receive: ReceiveSession::new(&keys.receive, now_ns),
        local_index,
        role,
        renewed: false,
    })
}
