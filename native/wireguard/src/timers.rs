//! A peer's timers. The sending thread never moves one: it leaves times in `Activity`, which are read here when a deadline
//! passes that would have been right without them.

use crate::constants::*;
use crate::output::Output;
use crate::peer::{Context, Peer};

impl Peer {
    /// When the timers have to run next; `u64::MAX` for never.
    pub fn deadline(&self, now_ns: u64) -> u64 {
        let mut at = u64::MAX;
        let mut due = |when_ns: u64| at = at.min(when_ns);
        for session in [&self.current, &self.previous, &self.next].into_iter().flatten() {
            due(session.expires_ns());
        }
        for flight in self.in_flight.iter().flatten() {
            due(flight.sent_ns.saturating_add(IN_FLIGHT_NS));
        }
        match self.attempt {
            Some(attempt) => due(attempt.next_send_ns),
            None => {
                if self.current.is_some() {
                    due(self.no_answer_at(now_ns));
                }
                if self.persistent_keepalive_ns != 0 {
                    due(self.persistent_keepalive_at());
                }
            }
        }
        if self.keepalive_owed_since_ns != 0 {
            due(self.keepalive_owed_since_ns.saturating_add(KEEPALIVE_TIMEOUT_NS));
        }
        at
    }

    /// Does what is due. Says whether it made an initiation (about 100 us).
    pub fn run_timers(&mut self, cx: &mut Context, now_ns: u64) -> bool {
        self.expire(cx, now_ns);
        if self.keepalive_owed_since_ns != 0 {
            // At the same nanosecond (one reading of the clock serves a batch) the order is unknown: better one too many.
            if self.activity.last_sent_ns() > self.keepalive_owed_since_ns {
                self.keepalive_owed_since_ns = 0;
            } else if self.keepalive_owed_since_ns.saturating_add(KEEPALIVE_TIMEOUT_NS) <= now_ns {
                self.send_keepalive(cx, now_ns);
            }
        }
        if self.attempt.is_none() {
            if self.current.is_some() && self.no_answer_at(now_ns) <= now_ns {
                self.activity.forget_unanswered();
                self.begin_attempt(now_ns);
            }
            if self.persistent_keepalive_ns != 0 && self.persistent_keepalive_at() <= now_ns {
                if self.current.is_some() { self.send_keepalive(cx, now_ns) } else { self.begin_attempt(now_ns) }
            }
        }
        self.continue_attempt(cx, now_ns)
    }

    fn expire(&mut self, cx: &mut Context, now_ns: u64) {
        let had_current = self.current.is_some();
        for slot in [&mut self.current, &mut self.previous, &mut self.next] {
            if let Some(old) = slot.take_if(|session| session.expires_ns() <= now_ns) {
                cx.indices.free(old.local_index);
            }
        }
        if had_current && self.current.is_none() {
            cx.outputs.push_back(Output::SessionGone { peer: self.id });
        }
        for slot in &mut self.in_flight {
            if let Some(old) = slot.take_if(|flight| flight.sent_ns.saturating_add(IN_FLIGHT_NS) <= now_ns) {
                cx.indices.free(old.local_index);
            }
        }
    }

    /// With nothing unanswered now, the earliest that something can be overdue is a whole wait from now.
    fn no_answer_at(&self, now_ns: u64) -> u64 {
        match self.activity.unanswered_since_ns() {
            0 => now_ns.saturating_add(NO_ANSWER_NS),
            since => since.saturating_add(NO_ANSWER_NS + self.jitter_ns),
        }
    }

    /// Any traffic in either direction keeps the mapping in a NAT, so it counts as a keepalive. The first is due at once.
    fn persistent_keepalive_at(&self) -> u64 {
        match self.activity.last_sent_ns().max(self.activity.last_received_ns()) {
            0 => 0,
            last => last.saturating_add(self.persistent_keepalive_ns),
        }
    }
}
