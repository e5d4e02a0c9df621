// A coordination server with DERP and STUN of its own: what `peerway coord serve` and the app both run.

import { isIP } from 'node:net'
import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import { Lifetime } from '../base/lifetime.ts'
import { silentLogger, type Logger } from '../base/log.ts'
import { startCoord, type CoordServer, type Surroundings } from '../coord/coord-server.ts'
import type { TlsFiles } from '../coord/http/listener.ts'
import type { LoginProviderFactory } from '../coord/login/login-provider.ts'
import { publicHost } from '../coord/public-url.ts'
import { listenDerp } from '../derp/derp-listener.ts'
import { DerpServer } from '../derp/derp-server.ts'
import { startStunServer } from '../derp/stun-server.ts'
import { loadTlsIdentity } from '../derp/tls-identity.ts'
import type { NodePublic } from '../crypto/keys.ts'
import type { DerpMapInput } from '../wire/tailcfg/derp-map.ts'

/** 900 to 999 are for regions of one's own. */
const REGION = 900

export interface Place {
  readonly host: string
  readonly port: number
}

export interface CoordHostOptions {
  readonly stateDir: string
  /** postgres://…; a file in the state folder when left out. */
  readonly database?: string | undefined
  readonly listen: Place
  readonly url?: string | undefined
  readonly trustedProxies?: readonly string[] | undefined
  /** A certificate for the control port; 'self-signed' is enough for Noise, which proves the server by itself. */
  readonly tls: TlsFiles | 'self-signed' | 'off'
  /** Undefined for none; then the tailnet has no relays but those of a map of one's own. */
  readonly derp: Place | undefined
  /** The name or address by which machines reach DERP and STUN here; that of the URL when left out. */
  readonly derpHost?: string | undefined
  readonly stun: Place | undefined
  /** Further addresses for STUN, each an IP literal: by two of them clients see how their router maps. */
  readonly moreStun?: readonly Place[] | undefined
  readonly baseDomain?: string | undefined
  readonly login?: LoginProviderFactory | undefined
  readonly clock?: Clock
  readonly log?: Logger
}

export interface CoordHost {
  readonly coord: CoordServer
  readonly derpPort: number | undefined
  readonly stunPort: number | undefined
  close(): Promise<void>
}

/** Throws CodedError; nothing is left running then. */
export async function startCoordHost(options: CoordHostOptions): Promise<CoordHost> {
  const log = options.log ?? silentLogger
  const lifetime = new Lifetime()
  try {
    const running: Running = { coord: undefined, derp: undefined, derpPort: undefined, stunPort: undefined }
    const started = await startCoord({
      stateDir: options.stateDir,
      database: options.database,
      listen: options.listen,
      url: options.url,
      trustedProxies: options.trustedProxies,
      prepare: () => startRelays(options, running, lifetime, log),
      baseDomain: options.baseDomain,
      login: options.login,
      ...(options.clock && { clock: options.clock }),
      log: log.scoped('coord'),
    })
    running.coord = started
    lifetime.defer(() => started.close())
    lifetime.defer(started.keysGone.add((key) => running.derp?.disconnect(key)))
    const { derpPort, stunPort } = running
    return { coord: started, derpPort, stunPort, close: () => lifetime.end() }
  } catch (error) {
    await lifetime.end()
    throw error
  }
}

interface Running {
  coord: CoordServer | undefined
  derp: DerpServer | undefined
  derpPort: number | undefined
  stunPort: number | undefined
}

async function startRelays(
  options: CoordHostOptions,
  running: Running,
  lifetime: Lifetime,
  log: Logger,
): Promise<Surroundings> {
  const urlHost = publicHost(options.listen.host, options.url)
  const host = options.derpHost ?? urlHost
  const identity =
    options.derp || options.tls === 'self-signed'
      ? await loadTlsIdentity({
          folder: join(options.stateDir, 'derp'),
          hosts: [...new Set([urlHost, host])],
          log: log.scoped('derp'),
        })
      : undefined
  if (options.derp && identity) {
    // Clients ask only after the server, which knows them, has started.
    const admit = (key: NodePublic): boolean => running.coord?.admitsToDerp(key) ?? false
    const server = new DerpServer({ admit, log: log.scoped('derp') })
    const listener = await listenDerp({ server, identity, ...placeOf(options.derp) })
    lifetime.defer(() => listener.close())
    running.derp = server
    running.derpPort = listener.port
  }
  if (options.stun) {
    const stun = await startStunServer(placeOf(options.stun))
    lifetime.defer(() => stun.close())
    running.stunPort = stun.port
  }
  const more: Place[] = []
  for (const place of moreStunPlaces(options, running.stunPort)) {
    try {
      const stun = await startStunServer(placeOf(place))
      lifetime.defer(() => stun.close())
      more.push({ host: isUnspecified(place.host) ? host : place.host, port: stun.port })
    } catch (error) {
      // One server is enough for all but telling kinds of routers apart.
      log.warn('no second STUN server', { port: place.port, error })
    }
  }
  return {
    derpMap: derpMapOf(host, running.derpPort, identity?.sha256Raw, running.stunPort, more),
    tls: options.tls === 'self-signed' ? identity : options.tls === 'off' ? undefined : options.tls,
  }
}

/** By default the next port: many a router shows by that alone how it maps, and few servers have a second address. */
function moreStunPlaces({ stun, moreStun }: CoordHostOptions, stunPort: number | undefined): readonly Place[] {
  if (!stun || stunPort === undefined || stunPort === 65_535) return []
  return moreStun ?? [{ host: stun.host, port: stunPort + 1 }]
}

const isUnspecified = (host: string): boolean => host === '::' || host === '0.0.0.0'

/** Unspecified addresses are left to the servers, which then listen on both families. */
function placeOf({ host, port }: Place): { readonly address?: string; readonly port: number } {
  return isUnspecified(host) ? { port } : { address: host, port }
}

function derpMapOf(
  host: string,
  derpPort: number | undefined,
  certName: string | undefined,
  stunPort: number | undefined,
  moreStun: readonly Place[],
): DerpMapInput {
  if (derpPort === undefined || certName === undefined) return { regions: new Map() }
  const node = {
    name: `${REGION}a`,
    regionId: REGION,
    hostName: host,
    certName,
    ...familyOf(host),
    derpPort,
    stunPort: stunPort ?? -1,
  }
  const others = moreStun.map((place, index) => ({
    name: `${REGION}s${index + 1}`,
    regionId: REGION,
    hostName: place.host,
    ...familyOf(place.host),
    stunPort: place.port,
    stunOnly: true,
  }))
  const nodes = [node, ...others]
  const region = { regionId: REGION, regionCode: 'own', regionName: 'Home', nodes }
  return { regions: new Map([[REGION, region]]) }
}

/** No address of the other family: nothing to look up, nothing to wait for. */
function familyOf(host: string): { readonly ipv4?: string; readonly ipv6?: string } {
  const family = isIP(host)
  return family === 4 ? { ipv4: host, ipv6: 'none' } : family === 6 ? { ipv4: 'none', ipv6: host } : {}
}
