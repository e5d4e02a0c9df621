// Why a peer is not reached directly: one named cause and one next step. Plain JSON; the words are the agent's, so that
// window, command line and programs read the same.

/** Codes are for programs and never change. */
export type DoctorCause =
  /** The agent could not open its UDP port: another program has it. */
  | 'udp-port-in-use'
  /** Neither the coordination server, nor DERP, nor STUN answers: this machine has no network. */
  | 'offline-here'
  | 'captive-portal'
  /** The home DERP region of this machine does not answer; without it no search for a path can begin. */
  | 'derp-unreachable'
  /** The clock here is off so far that the DERP server's certificate does not count. */
  | 'clock-off'
  /** A VPN that is not ours takes the default route, and its exit blocks UDP or changes ports. */
  | 'vpn-default-route'
  | 'peer-key-expired'
  | 'peer-offline'
  /** Online by the server's word, but nothing comes back. */
  | 'peer-asleep'
  /** The peer has no DERP region: nobody can tell it where to look. */
  | 'peer-no-home'
  /** The network's policy forbids what is sent, or the machine is shared one way only; told of a direct path as well. */
  | 'access-denied'
  /** The person's own path policy for this peer rules direct paths out. */
  | 'path-rule'
  /** A direct path answers, and loses packets or takes so long that another is used. */
  | 'direct-poor'
  | 'udp-blocked-here'
  | 'udp-blocked-there'
  /** No STUN server answers, at neither end: UDP may be blocked twice, or the server's UDP port closed. */
  | 'stun-unanswered'
  | 'no-common-family'
  /** Same public address, different local networks, and the router does not lead back in. */
  | 'hairpin-missing'
  | 'both-hard'
  | 'hard-here'
  | 'hard-there'
  /** Behind two routers, or a carrier's: a port that the near one opens leads nowhere. */
  | 'double-nat'
  /** A router says that it maps a port, and nothing comes through. */
  | 'mapping-broken'
  /** All that is known allows a direct path, and packets between the two still do not pass. */
  | 'firewall-suspected'
  | 'mtu-black-hole'
  /** Pings pass directly, and something on the way drops the data. */
  | 'data-dropped'
  /** No direct path is possible; a relay is there and fails. */
  | 'relay-fails'
  /** Nothing was sent lately, so nothing was tried. */
  | 'idle'
  | 'looking'
  /** The facts do not decide. */
  | 'unknown'

export interface DoctorView {
  readonly cause: DoctorCause
  /** What is so, in one sentence. */
  readonly text: string
  /** What to do about it. */
  readonly nextStep: string
}
