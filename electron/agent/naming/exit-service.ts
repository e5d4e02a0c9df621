// An exit node looks up names for the nodes that go out through it, so that they need not ask anybody near themselves
// (control.md §8.2, §10.1).

import { crc32 } from 'node:zlib'
import type { Clock } from '../../base/clock.ts'
import { ipToBytes, type IpAddress } from '../../base/endpoint.ts'
import { CodedError, isCoded, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'
import { isExpired, type Netmap } from '../../control/netmap.ts'
import type { FilterRule } from '../../dataplane/dataplane.ts'
import { TokenBucket } from '../../derp/token-bucket.ts'
import type { DnsPlan } from '../../dns/dns-plan.ts'
import { HttpListener } from '../../dns/http-listener.ts'
import { Resolver } from '../../dns/resolver.ts'
import type { Node } from '../../wire/tailcfg/node.ts'
import { whoReaches } from '../peer-caps.ts'
import { ownAddresses } from './plan.ts'

/** A page of the web asks for some dozen names at once. */
const QUERIES_PER_S = 50
const QUERIES_AT_ONCE = 300
const TCP = 6
const DNS_PORT = 53
const PORTS_TRIED = 5
/** What stands for "the internet" in the rules of a policy. */
const INTERNET = ['0.0.0.0', '2000::']

export interface ExitServiceOptions {
  readonly clock: Clock
  readonly log: Logger
  /** Servers that this machine uses itself. */
  readonly systemServers: () => readonly string[]
}

export class ExitService {
  readonly #options: ExitServiceOptions
  readonly #resolver: Resolver
  /** By address; nodes that are not allowed are not in here. */
  #allowed: ReadonlyMap<IpAddress, TokenBucket> = new Map()
  #listener: HttpListener | undefined
  #isOver = false
  problem: CodedError | undefined

  constructor(options: ExitServiceOptions) {
    this.#options = options
    const { clock, systemServers } = options
    this.#resolver = new Resolver({ clock, log: options.log.scoped('exit-dns'), systemServers })
  }

  /** Undefined while nobody is answered. */
  get port(): number | undefined {
    return this.#listener?.port
  }

  get addresses(): readonly string[] {
    return this.#listener?.addresses ?? []
  }

  /** What lets queries in, beside the rules of the policy. */
  rules(netmap: Netmap): readonly FilterRule[] {
    const port = this.port
    if (port === undefined || this.#allowed.size === 0) return []
    const destinations = ownAddresses(netmap.self).map((ip) => ({ ip, firstPort: port, lastPort: port }))
    return [{ sources: [...this.#allowed.keys()], destinations, protocols: [TCP] }]
  }

  /** Who may ask, from now on. */
  allow(netmap: Netmap, isOffered: boolean): void {
    if (!isOffered || this.#isOver) return this.#rest()
    const { clock } = this.#options
    const before = this.#allowed
    const fresh = (): TokenBucket => new TokenBucket(QUERIES_PER_S, QUERIES_AT_ONCE, clock.now())
    this.#allowed = new Map(
      whoMayGoOut(netmap, clock.wallNow())
        .flatMap(ownAddresses)
        .map((address) => [address, before.get(address) ?? fresh()]),
    )
  }

  /**
   * `plan`: who answers for which name on this machine, of which others get what is asked of servers. Never rejects. Once this
   * machine's addresses are there.
   */
  async apply(netmap: Netmap, isOffered: boolean, plan: DnsPlan | undefined): Promise<void> {
    if (this.#isOver) return
    if (!isOffered) return this.#rest()
    const { self, dns } = netmap
    this.#resolver.setPlan(planForOthers(plan, dns?.exitNodeFilteredSet ?? []))
    const addresses = ownAddresses(self)
    if (addresses.join() === this.#listener?.addresses.join()) return
    this.#listener?.close()
    this.#listener = undefined
    try {
      const judge = (from: IpAddress): 'answer' | 'refuse' | 'later' => this.#judge(from)
      const answer = (message: Uint8Array): Promise<Uint8Array | undefined> => this.#resolver.resolve(message, 'http')
      this.#listener = await HttpListener.open({ judge, answer }, addresses, portsOf(addresses[0] ?? ''))
      this.problem = undefined
      if (this.#isOver) this.#rest()
    } catch (error) {
      this.problem = isCoded(error) ? error : new CodedError('internal/failed', messageOf(error))
      this.#options.log.warn('no names are looked up for others', { error })
    }
  }

  #judge(from: IpAddress): 'answer' | 'refuse' | 'later' {
    const bucket = this.#allowed.get(from)
    if (!bucket) return 'refuse'
    return bucket.tryTake(1, this.#options.clock.now()) ? 'answer' : 'later'
  }

  close(): void {
    this.#isOver = true
    this.#rest()
  }

  #rest(): void {
    this.#allowed = new Map()
    this.#listener?.close()
    this.#listener = undefined
    this.problem = undefined
  }
}

/** Whom the policy lets out to the internet through us, and its owner's own machines, as in the field. */
export function whoMayGoOut(netmap: Netmap, nowWallMs: number): Node[] {
  const { self, peers } = netmap
  const isLetOut = whoReaches(netmap, INTERNET, { protocol: TCP, port: DNS_PORT })
  const isOurs = ({ user, tags }: Node): boolean => user === self.user && tags.length === 0 && self.tags.length === 0
  return [...peers.values()].filter(
    (peer) => !peer.isJailed && !isExpired(netmap, peer, nowWallMs) && (isOurs(peer) || isLetOut(peer)),
  )
}

/** Names of this machine's network are answered to nobody else: they see what of it they may by themselves. */
function planForOthers(plan: DnsPlan | undefined, filtered: readonly string[]): DnsPlan {
  const hidden = [...(plan?.routes ?? [])].filter(([, servers]) => servers.length === 0).map(([domain]) => domain)
  const domains = [...hidden, ...filtered.map((domain) => domain.toLowerCase().replace(/^\.+|\.+$/g, ''))]
  // Through an exit node of its own it would ask in a circle of two.
  const servers = plan?.beside ? [] : (plan?.servers ?? [])
  const routes = new Map(domains.filter((domain) => domain !== '').map((domain) => [domain, [] as string[]]))
  return { hosts: new Map(), namesOf: new Map(), routes, servers, searchDomains: [] }
}

/** Where others look first (control.md §12.5), and any other that is free. */
export function portsOf(address: string): readonly number[] {
  const bytes = ipToBytes(address)?.slice(-3)
  if (!bytes) return [0]
  const first = bytes[0] ?? 0
  const tried = Array.from({ length: PORTS_TRIED }, (_, i) => {
    bytes[0] = (first + i) & 0xff
    return 0x8000 | (crc32(bytes) & 0xffff)
  })
  return [...new Set(tried)]
}
