//! The protocol's numbers. Whitepaper section 6.1 where it names them, otherwise wireguard-go `device/constants.go`.

const SECOND_NS: u64 = 1_000_000_000;

/// Bytes in front of the payload of a transport message: type, receiver index, counter.
pub const HEADER_BYTES: usize = 16;
/// Bytes of the Poly1305 tag after it.
pub const TAG_BYTES: usize = 16;

/// The initiator of a session starts the next handshake when it sends on a session this old.
pub const REKEY_AFTER_TIME_NS: u64 = 120 * SECOND_NS;
/// No session seals or opens anything at this age; its keys are zeroed then. That is stricter than the protocol, which
/// lets unusable keys lie in memory for 540 s.
pub const REJECT_AFTER_TIME_NS: u64 = 180 * SECOND_NS;
/// Between two initiations of one handshake attempt.
pub const REKEY_TIMEOUT_NS: u64 = 5 * SECOND_NS;
/// Random addition to `REKEY_TIMEOUT_NS`, so that two peers that started together do not stay in step.
pub const REKEY_JITTER_NS: u64 = 333_000_000;
/// An attempt without an answer ends after this time.
pub const REKEY_ATTEMPT_TIME_NS: u64 = 90 * SECOND_NS;
/// Received data is answered with a keepalive when nothing else was sent for this long.
pub const KEEPALIVE_TIMEOUT_NS: u64 = 10 * SECOND_NS;
/// Data that nothing answered for this long makes a new handshake: the peer owes at least a keepalive by then.
pub const NO_ANSWER_NS: u64 = KEEPALIVE_TIMEOUT_NS + REKEY_TIMEOUT_NS;
/// The initiator renews a session this old when data arrives on it, so that a one-way receiver is not cut off at 180 s.
pub const REKEY_ON_RECEIVE_NS: u64 = REJECT_AFTER_TIME_NS - KEEPALIVE_TIMEOUT_NS - REKEY_TIMEOUT_NS;
/// Messages after which a rekey is asked for, and after which the key is dead (2^64 - 2^13 - 1).
pub const REKEY_AFTER_MESSAGES: u64 = 1 << 60;
pub const REJECT_AFTER_MESSAGES: u64 = u64::MAX - (1 << 13);

/// Initiations of one peer closer together than this are dropped.
pub const MIN_INITIATION_GAP_NS: u64 = 20_000_000;
/// Our own initiations to one peer keep at least this distance, also when a path just appeared.
pub const MIN_RESEND_GAP_NS: u64 = 100_000_000;
/// An unanswered initiation is forgotten after this time; two retries have replaced it by then.
pub const IN_FLIGHT_NS: u64 = 15 * SECOND_NS;

/// A received cookie is used for this long, and the secret behind the cookies we give out lives as long.
pub const COOKIE_LIFE_NS: u64 = 120 * SECOND_NS;
/// Cookies stay required for this long after the load went down.
pub const UNDER_LOAD_LINGER_NS: u64 = SECOND_NS;
pub const LOAD_WINDOW_NS: u64 = SECOND_NS;
/// Handshake messages one source may send while cookies are required: 20 a second, 5 at once.
pub const SOURCE_INTERVAL_NS: u64 = SECOND_NS / 20;
pub const SOURCE_BURST: u64 = 5;

/// Handshake messages waiting to be fetched, above which no new handshake work is begun.
pub const OUTPUT_SOFT_LIMIT: usize = 256;
/// Initiations made in one `poll`, at about 100 us each, so that data is not held up.
pub const INITIATIONS_PER_POLL: u32 = 8;
