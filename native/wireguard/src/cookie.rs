//! The two MACs of handshake messages and the cookie that the second one needs (whitepaper sections 5.4.4 and 5.4.7).
//!
//! mac1 proves that the sender knows our public key and costs us no curve arithmetic to check. While under load we also
//! ask for mac2, which proves that the sender can receive at the address it claims.

use crate::constants::*;
use crate::crypto::{Key, RandomError, equal, mac, open_cookie, random, seal_cookie};
use crate::limit::SourceLimits;
use crate::noise::KeySchedule;
use crate::source::Source;
use crate::wire::{COOKIE_REPLY, COOKIE_REPLY_BYTES, MACS_BYTES, array_at, put, u32_at};
use zeroize::{Zeroize, Zeroizing};

/// What to do with a handshake message before any curve arithmetic.
pub(crate) enum Verdict {
    Proceed,
    WrongMac1,
    /// Under load and without a valid mac2: send this to the source and forget the message.
    NeedsCookie([u8; COOKIE_REPLY_BYTES]),
    RateLimited,
    NoRandom,
}

/// The gate in front of our handshake work.
pub(crate) struct Gate {
    secret: [u8; 32],
    /// 0: no secret was made yet.
    secret_made_ns: u64,
    limits: SourceLimits,
    per_second: u32,
    window_start_ns: u64,
    in_window: u32,
    under_load_until_ns: u64,
}

impl Gate {
    pub fn new(handshakes_per_second: u32) -> Self {
        Self {
            secret: [0; 32],
            secret_made_ns: 0,
            limits: SourceLimits::new(),
            per_second: handshakes_per_second,
            window_start_ns: 0,
            in_window: 0,
            under_load_until_ns: 0,
        }
    }

    /// Judges an initiation or a response, which is as long as its type demands.
    pub fn judge(&mut self, now_ns: u64, local: &KeySchedule, source: &Source, message: &[u8]) -> Verdict {
        let mac1_at = message.len() - MACS_BYTES;
        let mac2_at = mac1_at + 16;
        if !equal(&mac(&local.mac1_key, &[&message[..mac1_at]]), &message[mac1_at..mac2_at]) {
            return Verdict::WrongMac1;
        }
        if !self.is_under_load(now_ns) {
            return Verdict::Proceed;
        }
        if self.refresh_secret(now_ns).is_err() {
            return Verdict::NoRandom;
        }
        let (input, len) = source.cookie_input();
        let cookie = Zeroizing::new(mac(&self.secret, &[&input[..len]]));
        if !equal(&mac(&cookie[..], &[&message[..mac2_at]]), &message[mac2_at..]) {
            return match reply(local, message, &cookie) {
                Ok(reply) => Verdict::NeedsCookie(reply),
                Err(RandomError) => Verdict::NoRandom,
            };
        }
        if self.limits.allow(now_ns, &source.limit_key()) { Verdict::Proceed } else { Verdict::RateLimited }
    }

    /// Counts a message with a good mac1, and says whether there were too many in this second or the one before.
    fn is_under_load(&mut self, now_ns: u64) -> bool {
        if now_ns.saturating_sub(self.window_start_ns) >= LOAD_WINDOW_NS {
            self.window_start_ns = now_ns;
            self.in_window = 0;
        }
        self.in_window = self.in_window.saturating_add(1);
        if self.in_window > self.per_second {
            self.under_load_until_ns = now_ns.saturating_add(UNDER_LOAD_LINGER_NS);
        }
        now_ns < self.under_load_until_ns
    }

    fn refresh_secret(&mut self, now_ns: u64) -> Result<(), RandomError> {
        if self.secret_made_ns == 0 || now_ns.saturating_sub(self.secret_made_ns) >= COOKIE_LIFE_NS {
            self.secret = random()?;
            self.secret_made_ns = now_ns.max(1);
        }
        Ok(())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

fn reply(local: &KeySchedule, message: &[u8], cookie: &[u8; 16]) -> Result<[u8; COOKIE_REPLY_BYTES], RandomError> {
    let nonce: [u8; 24] = random()?;
    let mac1_at = message.len() - MACS_BYTES;
    let mut reply = [0; COOKIE_REPLY_BYTES];
    reply[0] = COOKIE_REPLY;
    put(&mut reply, 4, &message[4..8]); // their sender index is our receiver index
    put(&mut reply, 8, &nonce);
    put(&mut reply, 32, &seal_cookie(&local.cookie_key, &nonce, &message[mac1_at..mac1_at + 16], cookie));
    Ok(reply)
}

pub(crate) fn receiver_of(reply: &[u8; COOKIE_REPLY_BYTES]) -> u32 {
    u32_at(reply, 4)
}

/// Our side towards one peer: the cookie it gave us, and what is needed to accept one.
#[derive(Default)]
pub(crate) struct CookieJar {
    cookie: Option<Zeroizing<[u8; 16]>>,
    received_ns: u64,
    /// mac1 of our last handshake message, the associated data of its cookie reply. Taken by the first reply that fits.
    last_mac1: Option<[u8; 16]>,
}

impl CookieJar {
    /// Fills in both MACs of a handshake message to the peer with this key.
    pub fn seal(&mut self, now_ns: u64, remote: &KeySchedule, message: &mut [u8]) {
        let mac1_at = message.len() - MACS_BYTES;
        let mac1 = mac(&remote.mac1_key, &[&message[..mac1_at]]);
        put(message, mac1_at, &mac1);
        self.last_mac1 = Some(mac1);
        if now_ns.saturating_sub(self.received_ns) >= COOKIE_LIFE_NS {
            self.cookie = None;
        }
        if let Some(cookie) = &self.cookie {
            let mac2_at = mac1_at + 16;
            let mac2 = mac(&cookie[..], &[&message[..mac2_at]]);
            put(message, mac2_at, &mac2);
        }
    }

    /// Takes a cookie reply. It changes nothing but the MACs of later messages.
    pub fn accept(&mut self, now_ns: u64, cookie_key: &Key, reply: &[u8; COOKIE_REPLY_BYTES]) -> bool {
        let Some(mac1) = self.last_mac1 else { return false };
        let Some(cookie) = open_cookie(cookie_key, &array_at(reply, 8), &mac1, &array_at(reply, 32)) else {
            return false;
        };
        self.cookie = Some(Zeroizing::new(cookie));
        self.received_ns = now_ns;
        self.last_mac1 = None;
        true
    }
}
