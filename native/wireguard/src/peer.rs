//! One peer: its three sessions and what arrives on them.
//!
//! `current` is the session we send with. As initiator we may use a new one at once: it becomes current, and the old one
//! stays as `previous` for packets still under way. As responder we must first see that the peer has the keys: the new
//! session waits as `next` until a packet opens with it.

use crate::activity::Activity;
use crate::constants::*;
use crate::cookie::CookieJar;
use crate::indices::Indices;
use crate::noise::{Initiation, Local, Remote, TIMESTAMP_BYTES};
use crate::output::{Output, Refusal, SendKind};
use crate::session::{OpenError, Role, Session};
use crate::{Message, PeerId};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// What peers share: this node's keys, and where their work goes.
pub(crate) struct Context {
    pub local: Local,
    pub indices: Indices,
    /// Held near `OUTPUT_SOFT_LIMIT` by starting no handshake work above it. What may come on top is bounded by the number
    /// of peers: a session that gets confirmed, expires or is removed must be told.
    pub outputs: VecDeque<Output>,
    pub stamps: Stamps,
}

impl Context {
    pub fn is_busy(&self) -> bool {
        self.outputs.len() >= OUTPUT_SOFT_LIMIT
    }
}

/// TAI64N timestamps of our initiations: the wall clock, but always later than the one before.
pub(crate) struct Stamps {
    pub base_now_ns: u64,
    pub base_unix_ns: u64,
    pub last_unix_ns: u64,
}

impl Stamps {
    pub fn next(&mut self, now_ns: u64) -> [u8; TIMESTAMP_BYTES] {
        let unix_ns = self.base_unix_ns.saturating_add(now_ns.saturating_sub(self.base_now_ns));
        self.last_unix_ns = unix_ns.max(self.last_unix_ns.saturating_add(1));
        // TAI64: 2^62 plus TAI seconds, which were 10 ahead of UTC in 1970; leap seconds since then are left out.
        let seconds = 0x4000_0000_0000_000a + self.last_unix_ns / 1_000_000_000;
        let nanos = (self.last_unix_ns % 1_000_000_000) as u32;
        let mut stamp = [0; TIMESTAMP_BYTES];
        stamp[..8].copy_from_slice(&seconds.to_be_bytes());
        stamp[8..].copy_from_slice(&nanos.to_be_bytes());
        stamp
    }
}

/// An initiation that waits for its response.
pub(crate) struct InFlight {
    pub initiation: Initiation,
    pub local_index: u32,
    pub sent_ns: u64,
}

/// A series of initiations, 5 s apart, until an answer or 90 s.
#[derive(Clone, Copy)]
pub(crate) struct Attempt {
    pub started_ns: u64,
    pub next_send_ns: u64,
}

pub(crate) struct Peer {
    pub id: PeerId,
    pub remote: Remote,
    pub activity: Arc<Activity>,
    /// 0: off.
    pub persistent_keepalive_ns: u64,
    pub current: Option<Box<Session>>,
    pub previous: Option<Box<Session>>,
    pub next: Option<Box<Session>>,
    /// The newest first. Two, because a response may cross with our retry.
    pub in_flight: [Option<InFlight>; 2],
    pub attempt: Option<Attempt>,
    pub last_initiation_ns: u64,
    pub jitter_ns: u64,
    pub cookies: CookieJar,
    pub newest_timestamp: [u8; TIMESTAMP_BYTES],
    pub last_accepted_ns: u64,
    /// Arrival of the first data since we last sent anything; 0: we owe no keepalive.
    pub keepalive_owed_since_ns: u64,
}

impl Peer {
    pub fn new(id: PeerId, remote: Remote, activity: Arc<Activity>) -> Self {
        Self {
            id,
            remote,
            activity,
            persistent_keepalive_ns: 0,
            current: None,
            previous: None,
            next: None,
            in_flight: [None, None],
            attempt: None,
            last_initiation_ns: 0,
            jitter_ns: 0,
            cookies: CookieJar::default(),
            newest_timestamp: [0; TIMESTAMP_BYTES],
            last_accepted_ns: 0,
            keepalive_owed_since_ns: 0,
        }
    }

    /// Opens a transport message that was found to be for this peer.
    pub fn open(
        &mut self,
        cx: &mut Context,
        now_ns: u64,
        index: u32,
        message: &mut [u8],
    ) -> Result<Range<usize>, Refusal> {
        let is_it = |session: &Option<Box<Session>>| session.as_ref().is_some_and(|s| s.local_index == index);
        let confirms = is_it(&self.next);
        let slot = if is_it(&self.current) {
            &mut self.current
        } else if confirms {
            &mut self.next
        } else if is_it(&self.previous) {
            &mut self.previous
        } else {
            return Err(Refusal::UnknownIndex);
        };
        let session = slot.as_mut().ok_or(Refusal::UnknownIndex)?;
        let payload = session.receive.open_in_place(now_ns, message).map_err(|error| match error {
            OpenError::Short => Refusal::Malformed,
            OpenError::Expired => Refusal::Expired,
            OpenError::Replayed => Refusal::Replayed,
            OpenError::Forged => Refusal::Forged,
        })?;
        if confirms {
            self.confirm_next(cx, now_ns);
        }
        self.activity.note_received(now_ns);
        if !payload.is_empty() {
            self.note_data_received(now_ns);
        }
        Ok(payload)
    }

    fn note_data_received(&mut self, now_ns: u64) {
        let owed = self.keepalive_owed_since_ns;
        if owed == 0 || owed < self.activity.last_sent_ns() {
            self.keepalive_owed_since_ns = now_ns;
        }
        if let Some(current) = &mut self.current {
            let old = now_ns.saturating_sub(current.created_ns()) >= REKEY_ON_RECEIVE_NS;
            if old && current.role == Role::Initiator && !current.renewed {
                current.renewed = true;
                self.begin_attempt(now_ns);
            }
        }
    }

    /// When the timers have to run because of data that just came: the only two things it can bring forward.
    pub fn deadline_after_data(&self) -> u64 {
        let attempt = self.attempt.map_or(u64::MAX, |a| a.next_send_ns);
        if self.keepalive_owed_since_ns == 0 {
            return attempt;
        }
        attempt.min(self.keepalive_owed_since_ns.saturating_add(KEEPALIVE_TIMEOUT_NS))
    }

    /// Puts a new session in its place and drops the ones it supersedes.
    pub fn install(&mut self, cx: &mut Context, session: Box<Session>) {
        let dropped = match session.role {
            Role::Initiator => {
                // An unconfirmed session may already be in use by the peer: both sides began at the same time.
                let (kept, dropped) = match self.next.take() {
                    Some(next) => (Some(next), self.current.take()),
                    None => (self.current.take(), None),
                };
                let previous = std::mem::replace(&mut self.previous, kept);
                self.current = Some(session);
                [dropped, previous]
            }
            Role::Responder => [self.next.replace(session), self.previous.take()],
        };
        for session in dropped.into_iter().flatten() {
            cx.indices.free(session.local_index);
        }
    }

    fn confirm_next(&mut self, cx: &mut Context, now_ns: u64) {
        let Some(next) = self.next.take() else { return };
        let send = next.send.clone();
        let current = self.current.replace(next);
        if let Some(old) = std::mem::replace(&mut self.previous, current) {
            cx.indices.free(old.local_index);
        }
        self.attempt = None;
        self.activity.note_handshake(now_ns);
        cx.outputs.push_back(Output::SessionReady { peer: self.id, session: send });
        cx.outputs.push_back(Output::HandshakeDone { peer: self.id, role: Role::Responder });
    }

    pub fn send_keepalive(&mut self, cx: &mut Context, now_ns: u64) {
        self.keepalive_owed_since_ns = 0;
        let Some(current) = &self.current else { return };
        let mut message = [0; HEADER_BYTES + TAG_BYTES];
        if current.send.seal(now_ns, &mut message, 0, 0).is_err() {
            return;
        }
        let rekey = current.send.rekey_due(now_ns);
        self.activity.note_sent(now_ns);
        let message = Message::new(&message);
        cx.outputs.push_back(Output::Send { peer: self.id, kind: SendKind::Keepalive, message });
        if rekey {
            self.begin_attempt(now_ns);
        }
    }

    /// Drops all keys made with this peer.
    pub fn forget(&mut self, cx: &mut Context) {
        if self.current.is_some() {
            cx.outputs.push_back(Output::SessionGone { peer: self.id });
        }
        for session in [self.current.take(), self.previous.take(), self.next.take()].into_iter().flatten() {
            cx.indices.free(session.local_index);
        }
        self.forget_in_flight(cx);
        self.attempt = None;
        self.keepalive_owed_since_ns = 0;
        self.activity.forget_unanswered();
        self.activity.handshake_settled();
    }

    pub fn forget_in_flight(&mut self, cx: &mut Context) {
        for flight in self.in_flight.iter_mut().filter_map(Option::take) {
            cx.indices.free(flight.local_index);
        }
    }
}
