//! The handshake, Noise_IKpsk2 as WireGuard uses it (whitepaper sections 5.4.2 and 5.4.3): pure functions, no clock, no
//! state kept. The MACs at the end of both messages belong to `cookie.rs`.

use crate::aead::AeadKey;
use crate::constants::TAG_BYTES;
use crate::crypto::{Key, SecretKey, hash, kdf1, kdf2, kdf3};
use crate::wire::{self, INITIATION_BYTES, RESPONSE_BYTES, array_at, put, u32_at};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

const CONSTRUCTION: &[u8] = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
const IDENTIFIER: &[u8] = b"WireGuard v1 zx2c4 Jason@zx2c4.com";

pub(crate) const TIMESTAMP_BYTES: usize = 12;

/// What a public key gives before any message: where hashing starts when it is the responder, and its MAC keys.
pub(crate) struct KeySchedule {
    pub public: Key,
    chain: Key,
    hash: Key,
    pub mac1_key: Key,
    pub cookie_key: Key,
}

impl KeySchedule {
    pub fn new(public: Key) -> Self {
        let chain = hash(&[CONSTRUCTION]);
        Self {
            public,
            chain,
            hash: hash(&[&hash(&[&chain, IDENTIFIER]), &public]),
            mac1_key: hash(&[b"mac1----", &public]),
            cookie_key: hash(&[b"cookie--", &public]),
        }
    }
}

/// This node.
pub(crate) struct Local {
    secret: StaticSecret,
    pub schedule: KeySchedule,
}

impl Local {
    pub fn new(secret: StaticSecret) -> Self {
        let public = PublicKey::from(&secret).to_bytes();
        Self { secret, schedule: KeySchedule::new(public) }
    }
}

/// A peer as the handshake sees it.
pub(crate) struct Remote {
    pub schedule: KeySchedule,
    static_static: SecretKey,
    pub preshared_key: SecretKey,
}

impl Remote {
    /// `None` for the few public keys that make every shared secret zero.
    pub fn new(local: &Local, public: Key, preshared_key: SecretKey) -> Option<Self> {
        let static_static = agree(&local.secret, &public)?;
        Some(Self { schedule: KeySchedule::new(public), static_static, preshared_key })
    }
}

/// Chaining key and transcript hash. The chaining key is secret, the hash is not.
struct Transcript {
    chain: SecretKey,
    hash: Key,
}

impl Transcript {
    fn start(responder: &KeySchedule) -> Self {
        Self { chain: Zeroizing::new(responder.chain), hash: responder.hash }
    }

    fn absorb(&mut self, bytes: &[u8]) {
        self.hash = hash(&[&self.hash, bytes]);
    }

    fn mix(&mut self, input: &[u8]) {
        self.chain = kdf1(&self.chain[..], input);
    }

    fn mix_for_key(&mut self, input: &[u8]) -> SecretKey {
        let (chain, key) = kdf2(&self.chain[..], input);
        self.chain = chain;
        key
    }

    /// Encrypts `field` (text, then room for the tag) under the transcript and adds it.
    fn seal(&mut self, key: &SecretKey, field: &mut [u8]) {
        let text = field.len() - TAG_BYTES;
        let (body, room) = field.split_at_mut(text);
        let tag = AeadKey::new(key).seal(0, &self.hash, body);
        room.copy_from_slice(&tag);
        self.absorb(field);
    }

    /// The reverse: gives the text of `field`, or `None` if it was not made with these keys.
    fn open<const TEXT: usize>(&mut self, key: &SecretKey, field: &[u8]) -> Option<[u8; TEXT]> {
        let mut buffer = [0; 32 + TAG_BYTES];
        let buffer = buffer.get_mut(..field.len())?;
        buffer.copy_from_slice(field);
        let text = AeadKey::new(key).open(0, &self.hash, buffer)?;
        self.absorb(field);
        buffer[..text].try_into().ok()
    }
}

/// Keys of the session a finished handshake makes, from this side's view.
pub(crate) struct SessionKeys {
    pub send: SecretKey,
    pub receive: SecretKey,
    pub peer_index: u32,
}

/// What the initiator keeps until the response.
pub(crate) struct Initiation {
    transcript: Transcript,
    ephemeral: StaticSecret,
}

/// Writes an initiation, all but its MACs.
pub(crate) fn initiate(
    local: &Local,
    remote: &Remote,
    local_index: u32,
    ephemeral: StaticSecret,
    timestamp: &[u8; TIMESTAMP_BYTES],
) -> Option<(Initiation, [u8; INITIATION_BYTES])> {
    let mut transcript = Transcript::start(&remote.schedule);
    let mut message = [0; INITIATION_BYTES];
    message[0] = wire::INITIATION;
    put(&mut message, 4, &local_index.to_le_bytes());
    put(&mut message, 8, PublicKey::from(&ephemeral).as_bytes());
    transcript.mix(&message[8..40]);
    transcript.absorb(&message[8..40]);

    let key = transcript.mix_for_key(&agree(&ephemeral, &remote.schedule.public)?[..]);
    put(&mut message, 40, &local.schedule.public);
    transcript.seal(&key, &mut message[40..88]);

    let key = transcript.mix_for_key(&remote.static_static[..]);
    put(&mut message, 88, timestamp);
    transcript.seal(&key, &mut message[88..116]);
    Some((Initiation { transcript, ephemeral }, message))
}

/// An initiation whose sender has named itself, but not yet proved to own the key.
pub(crate) struct Named {
    transcript: Transcript,
    pub static_public: Key,
    ephemeral: Key,
    peer_index: u32,
}

pub(crate) fn read_name(local: &Local, message: &[u8; INITIATION_BYTES]) -> Option<Named> {
    let mut transcript = Transcript::start(&local.schedule);
    let ephemeral: Key = array_at(message, 8);
    transcript.mix(&ephemeral);
    transcript.absorb(&ephemeral);
    let key = transcript.mix_for_key(&agree(&local.secret, &ephemeral)?[..]);
    let static_public = transcript.open(&key, &message[40..88])?;
    Some(Named { transcript, static_public, ephemeral, peer_index: u32_at(message, 4) })
}

/// An authentic initiation. Whether it is new is for the caller to decide, by `timestamp`.
pub(crate) struct Proved {
    transcript: Transcript,
    pub timestamp: [u8; TIMESTAMP_BYTES],
    ephemeral: Key,
    peer_index: u32,
}

impl Named {
    pub fn prove(mut self, remote: &Remote, message: &[u8; INITIATION_BYTES]) -> Option<Proved> {
        let key = self.transcript.mix_for_key(&remote.static_static[..]);
        let timestamp = self.transcript.open(&key, &message[88..116])?;
        Some(Proved { transcript: self.transcript, timestamp, ephemeral: self.ephemeral, peer_index: self.peer_index })
    }
}

impl Proved {
    /// Writes the response, all but its MACs, and gives the session's keys.
    pub fn respond(
        mut self,
        remote: &Remote,
        local_index: u32,
        ephemeral: StaticSecret,
    ) -> Option<(SessionKeys, [u8; RESPONSE_BYTES])> {
        let mut message = [0; RESPONSE_BYTES];
        message[0] = wire::RESPONSE;
        put(&mut message, 4, &local_index.to_le_bytes());
        put(&mut message, 8, &self.peer_index.to_le_bytes());
        put(&mut message, 12, PublicKey::from(&ephemeral).as_bytes());
        let transcript = &mut self.transcript;
        transcript.mix(&message[12..44]);
        transcript.absorb(&message[12..44]);
        transcript.mix(&agree(&ephemeral, &self.ephemeral)?[..]);
        transcript.mix(&agree(&ephemeral, &remote.schedule.public)?[..]);
        let key = mix_preshared_key(transcript, remote);
        transcript.seal(&key, &mut message[44..60]);
        let (receive, send) = kdf2(&transcript.chain[..], &[]);
        Some((SessionKeys { send, receive, peer_index: self.peer_index }, message))
    }
}

impl Initiation {
    /// Reads the response. `self` stays usable: a forged response must not spoil the wait for the real one.
    pub fn finish(&self, local: &Local, remote: &Remote, message: &[u8; RESPONSE_BYTES]) -> Option<SessionKeys> {
        let mut transcript = Transcript { chain: self.transcript.chain.clone(), hash: self.transcript.hash };
        let ephemeral: Key = array_at(message, 12);
        transcript.mix(&ephemeral);
        transcript.absorb(&ephemeral);
        transcript.mix(&agree(&self.ephemeral, &ephemeral)?[..]);
        transcript.mix(&agree(&local.secret, &ephemeral)?[..]);
        let key = mix_preshared_key(&mut transcript, remote);
        let _: [u8; 0] = transcript.open(&key, &message[44..60])?;
        let (send, receive) = kdf2(&transcript.chain[..], &[]);
        Some(SessionKeys { send, receive, peer_index: u32_at(message, 4) })
    }
}

fn mix_preshared_key(transcript: &mut Transcript, remote: &Remote) -> SecretKey {
    let (chain, mixed, key) = kdf3(&transcript.chain[..], &remote.preshared_key[..]);
    transcript.chain = chain;
    transcript.absorb(&mixed[..]);
    key
}

/// X25519, refusing the all-zero result of low-order points (RFC 7748 section 6.1).
fn agree(secret: &StaticSecret, public: &Key) -> Option<SecretKey> {
    let shared = secret.diffie_hellman(&PublicKey::from(*public));
    shared.was_contributory().then(|| Zeroizing::new(shared.to_bytes()))
}
