import { VERSION } from '../base/version.ts'
import type { HostFacts } from '../os/host.ts'
import type { RoutingSettings } from './routing/routing-settings.ts'
import type { HostinfoInput, NetInfo } from '../wire/tailcfg/hostinfo.ts'

/** What the server is told of this machine. */
export function hostinfoOf(
  facts: HostFacts,
  wish: {
    readonly hostname: string | undefined
    readonly relays: boolean
    readonly netInfo: NetInfo | undefined
    readonly routing: RoutingSettings
    readonly services?: NonNullable<HostinfoInput['services']>
  },
): HostinfoInput {
  return {
    ipnVersion: `${VERSION}-peerway`,
    os: facts.os,
    osVersion: facts.osVersion,
    goArch: facts.arch,
    hostname: wish.hostname ?? facts.hostname,
    noLogsNoSupport: true,
    peerRelay: wish.relays,
    services: [...(wish.services ?? [])],
    routableIps: [...wish.routing.advertiseRoutes, ...(wish.routing.advertiseExitNode ? ['0.0.0.0/0', '::/0'] : [])],
    requestTags: [...wish.routing.advertiseTags],
    shieldsUp: wish.routing.shieldsUp,
    // Left out until the first network check: the server then keeps what it knows.
    ...(wish.netInfo ? { netInfo: wish.netInfo } : {}),
  }
}
