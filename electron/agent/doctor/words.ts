// What people read: what is so, then what to do. Plain words; the names of causes are for programs.

import type { DoctorCause, DoctorView } from '../../contract/doctor.ts'
import type { OwnFacts, PeerFacts } from './facts.ts'
import { ownRouter, sharePublicAddress } from './reach.ts'

type Words = Pick<DoctorView, 'text' | 'nextStep'>

const words = (text: string, nextStep: string): Words => ({ text, nextStep })

/** For a machine whose agent could not start, too. */
export const UDP_PORT_IN_USE = words(
  'Another program on this computer uses the UDP port that Peerway wants.',
  'Stop that program, or start Peerway with another --port.',
)

const RELAY = 'Let a third machine relay for them: one with an open port, or whose router opens one.'

export function doctorWords(cause: DoctorCause, own: OwnFacts, peer: PeerFacts): Words {
  const { name } = peer
  switch (cause) {
    case 'udp-port-in-use':
      return UDP_PORT_IN_USE
    case 'offline-here':
      return words(
        'This computer has no working network connection.',
        'Check the cable or the Wi-Fi. Peerway goes on by itself once the network is back.',
      )
    case 'captive-portal':
      return words(
        'The network here asks for a sign-in on a web page before it lets anything through.',
        'Open a web page in the browser and sign in there.',
      )
    case 'derp-unreachable':
      if (own.derp?.badCertificateDate === true)
        return words(
          'The certificate of the DERP server is not valid at this time, so this computer does not trust it.',
          'Ask the owner of the network to renew the certificate of the DERP server.',
        )
      return words(
        'This computer cannot reach its DERP server, through which machines find each other.',
        'Check that the server runs and that its DERP port is open to this network.',
      )
    case 'clock-off':
      return words(
        `The clock of this computer is ${offsetText(own.clockOffsetMs)}, so it takes the DERP server’s certificate for invalid.`,
        'Set the date and time, or let the system set them.',
      )
    case 'vpn-default-route':
      return words(
        `Another VPN (${own.vpnInterface ?? 'unknown'}) carries all traffic of this computer and lets no direct path through.`,
        'Turn that VPN off, or exclude Peerway from it.',
      )
    case 'peer-key-expired':
      return words(`The key of ${name} has run out.`, `Sign in again on ${name}.`)
    case 'peer-offline':
      return words(`${name} is switched off, asleep or without a network.`, `Wake ${name} or check its network.`)
    case 'peer-asleep':
      return words(
        `${name} answers nothing, although the network’s server still counts it as online.`,
        `It probably just went to sleep. Wake ${name}.`,
      )
    case 'peer-no-home':
      return words(
        `${name} is online but not connected to its DERP server, so nobody can tell it where to look for a path.`,
        `Run peerway doctor on ${name}: something there keeps it from the DERP server, a firewall or a wrong clock for example.`,
      )
    case 'access-denied':
      return words(
        `The rules of this network do not allow what this computer sends to ${name}.`,
        'Ask the owner of the network to allow it.',
      )
    case 'path-rule':
      return words(
        `The path rule for ${name} prefers or demands a relay, so no direct path is used.`,
        'Set the rule to automatic to allow one.',
      )
    case 'direct-poor':
      return words(
        `A direct path to ${name} is there, but it loses packets or is slower than the way in use.`,
        'Nothing must be done: it is used again once it is good. Weak Wi-Fi or a line in full use at either end are common reasons.',
      )
    case 'udp-blocked-here':
      return words(
        'The network of this computer lets no UDP out, and direct paths need it.',
        'Allow outgoing UDP in the firewall here, or use another network. Until then the traffic goes through the DERP server, which is slower.',
      )
    case 'udp-blocked-there':
      return words(
        `The network of ${name} lets no UDP out, and direct paths need it.`,
        `Allow outgoing UDP in the firewall where ${name} is. Until then the traffic goes through the DERP server, which is slower.`,
      )
    case 'stun-unanswered':
      return words(
        'No server answers over UDP: either UDP is blocked, or the UDP port of the network’s server is closed.',
        'Open UDP port 3478 of the network’s server, then check whether the firewall here lets UDP out.',
      )
    case 'no-common-family':
      return words(
        `This computer and ${name} have no kind of internet address in common: one has IPv4 only, the other IPv6 only.`,
        'Turn on IPv6 (or IPv4) at one of the two, or let a third machine that has both relay for them.',
      )
    case 'hairpin-missing':
      return words(
        `This computer and ${name} share one internet address but not one local network, and their router does not lead back in.`,
        'Put both in one local network, not one in the guest network. In different houses: let a third machine relay for them.',
      )
    case 'both-hard':
      return words(
        `The routers of this computer and of ${name} both use a new port for each destination, so neither can foresee the other’s.`,
        `Turn on UPnP, NAT-PMP or a port forward in one of the two routers. Or: ${lower(RELAY)}`,
      )
    case 'hard-here':
      return words(
        `The router here uses a new port for each destination, and that of ${name} lets in only ports it knows.`,
        `Turn on UPnP, NAT-PMP or a port forward in the router here. Or: ${lower(RELAY)}`,
      )
    case 'hard-there':
      return words(
        `The router of ${name} uses a new port for each destination, and the one here lets in only ports it knows.`,
        `Turn on UPnP, NAT-PMP or a port forward in either router. Or: ${lower(RELAY)}`,
      )
    case 'double-nat':
      return words(
        'This computer is behind two routers, or behind one of its internet provider: a port opened in the near one leads nowhere.',
        `Switch the second router to bridge mode, or ask the provider for a public address. Or: ${lower(RELAY)}`,
      )
    case 'mapping-broken':
      return words(
        `The router ${ownRouter(own).isMapped ? 'here' : `of ${name}`} says that it opened a port, but nothing comes in through it.`,
        'Restart that router, and check the firewall of the computer behind it.',
      )
    case 'firewall-suspected':
      if (sharePublicAddress(own, peer))
        return words(
          `This computer and ${name} are in one local network, yet no packet passes between them: a firewall drops it, or the Wi-Fi keeps its guests apart.`,
          `Allow UDP for Peerway in the firewall of this computer and in that of ${name}, and use no guest Wi-Fi.`,
        )
      return words(
        `Both networks allow a direct path, yet no packet passes between this computer and ${name}: a firewall at one of the two ends drops it.`,
        `Allow UDP for Peerway in the firewall of this computer and in that of ${name}.`,
      )
    case 'mtu-black-hole':
      return words(
        `Small packets reach ${name} directly, large ones vanish on the way.`,
        'Set a smaller packet size (MTU) on the network card here, 1400 for example.',
      )
    case 'data-dropped':
      return words(
        `Pings reach ${name} directly, but something on the way drops WireGuard’s packets.`,
        'A firewall or provider here or there blocks WireGuard: allow it in the firewall, or ask the provider. Until then a detour carries the traffic.',
      )
    case 'relay-fails':
      return words(
        `No direct path is possible, and the relay ${peer.failingRelay?.name ?? ''} fails: ${peer.failingRelay?.step ?? ''}.`,
        `Run the relay’s own test there: peerway relay test.`,
      )
    case 'idle':
      return words(`Nothing was sent to ${name} lately, so no path was looked for.`, 'Send something, or measure now.')
    case 'looking':
      return words(`A direct path to ${name} is being looked for.`, 'Wait a few seconds.')
    case 'unknown':
      return words(
        `What is known does not say why there is no direct path to ${name}.`,
        'The traffic goes through the DERP server. Ask again once both machines have been online for a minute.',
      )
  }
}

const lower = (text: string): string => `${text[0]?.toLowerCase() ?? ''}${text.slice(1)}`

/** `ms` is the server's time minus ours. */
function offsetText(ms: number): string {
  const minutes = Math.round(Math.abs(ms) / 60_000)
  const [count, unit] =
    minutes < 120
      ? [minutes, 'minute']
      : minutes < 48 * 60
        ? [Math.round(minutes / 60), 'hour']
        : [Math.round(minutes / (24 * 60)), 'day']
  return `${count} ${unit}${count === 1 ? '' : 's'} ${ms > 0 ? 'slow' : 'fast'}`
}
