// Every interval and bound of the path to a peer that is not the protocol's.

/**
 * How long a direct path is trusted after its last pong. Many home routers forget an idle UDP mapping after about 30 s
 * (RFC 4787 REQ-5 asks for 120 s and is widely ignored), so this must stay well below that. Two heartbeats and a bit.
 */
export const TRUST_MS = 6_500
export const HEARTBEAT_MS = 3_000
/** While data flows: two answers missing in a row put the path in doubt within 1.5 s of its death. */
export const FLOW_HEARTBEAT_MS = 700
/** Data flows when it was last sent no longer ago than this. Above the interval at which the driver looks. */
export const FLOW_MS = 3_500
/** Heartbeats and discovery go on this long after the last data packet. */
export const SESSION_MS = 45_000
/** Between two discovery pings to one candidate, and between two CallMeMaybe. */
export const DISCOVERY_MS = 5_000
/** The same for a candidate that answered within REMEMBERED_MS, while data flows: it may answer again at any moment. */
export const PROMISING_MS = 700
export const REMEMBERED_MS = 10 * 60_000
/** A working direct path this slow or slower is compared with the other candidates once in UPGRADE_MS. */
export const GOOD_ENOUGH_MS = 5
export const UPGRADE_MS = 60_000
/** How long a path whose trust ran out while nobody looked is shown as it was, once someone looks again. */
export const BENEFIT_OF_DOUBT_MS = 1_000
/** Between two pings back to an endpoint that the peer pings us from. */
export const ECHO_MS = 1_000
export const DERP_PING_MS = 15_000
/** The same while a path is left alone for the sake of DERP. */
export const DERP_WATCH_MS = 650
/** An answer later than this, or than three times the last one, is missing. */
export const PATIENCE_MS = 280
/** A candidate that answered no longer ago may be taken without another question. */
export const ALIVE_MS = 2_500
/** A timer this late means that this process slept or was busy: nothing can be said of the path. */
export const STALLED_MS = 200
/** A direct path is given this long before a relay is asked to help; most pairs need less. */
export const RELAY_DELAY_MS = 300
/** Between searches for a relay that found none; the last one holds on. */
export const RELAY_RETRY_MS = [2_000, 4_000, 8_000, 10_000] as const
/** The same while the peer gave no sign of life for ABSENT_MS: it is most likely off, and relays need not be troubled. */
export const RELAY_RETRY_ABSENT_MS = 60_000
export const ABSENT_MS = 40_000
/** Between searches for a better relay. */
export const RELAY_UPGRADE_MS = 60_000
/** A direct path this slow is compared with relays, as often as relays with each other. */
export const SLOW_DIRECT_MS = 100
