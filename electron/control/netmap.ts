// All that this node knows of its tailnet, as one immutable value, and how a map response changes it (control.md §5.4,
// §5.5, §7). Parts that a response does not touch keep their identity, so that `===` says "unchanged".

import { isDeepStrictEqual } from 'node:util'
import { CodedError } from '../base/errors.ts'
import type { DerpMap } from '../wire/tailcfg/derp-map.ts'
import type { DnsConfig } from '../wire/tailcfg/dns-config.ts'
import type { FilterRule } from '../wire/tailcfg/filter-rule.ts'
import type { DisplayMessage, MapResponse } from '../wire/tailcfg/map-response.ts'
import type { Node } from '../wire/tailcfg/node.ts'
import type { UserId, WallMs } from '../wire/tailcfg/scalars.ts'
import type { SshPolicy } from '../wire/tailcfg/ssh-policy.ts'
import type { UserProfile } from '../wire/tailcfg/user.ts'
import { applyPeers, keepPeers, type Peers, upgradeNode } from './peers.ts'

/** Below this the offset says more about the way here than about clocks. */
const CLOCK_OFFSET_MIN_MS = 60_000

export interface Netmap {
  readonly self: Node
  readonly peers: Peers
  readonly derpMap: DerpMap
  /** Undefined until the server has sent one. */
  readonly dns: DnsConfig | undefined
  /** The tailnet's name for people. */
  readonly domain: string
  /** Inbound rules; none = nothing comes in, also when the server never sent any. */
  readonly packetFilter: readonly FilterRule[]
  /** The named chunks `packetFilter` is made of. */
  readonly packetFilterChunks: ReadonlyMap<string, readonly FilterRule[]>
  readonly userProfiles: ReadonlyMap<UserId, UserProfile>
  /** Problems in the server's words; empty = none. */
  readonly health: readonly string[]
  readonly displayMessages: ReadonlyMap<string, DisplayMessage>
  readonly sshPolicy: SshPolicy | undefined
  /** Whether the server wants to know the services of this machine. */
  readonly collectServices: boolean
  /** Server's clock minus ours, ms; 0 when they agree within a minute. */
  readonly clockOffsetMs: number
}

/**
 * `nowMs` is our wall clock. Throws CodedError 'control/bad-map' when the first response of a session does not say who we
 * are. Keep-alives change nothing but the clock offset.
 */
export function applyMapResponse(previous: Netmap | undefined, response: MapResponse, nowMs: WallMs): Netmap {
  const clockOffsetMs = clockOffset(previous?.clockOffsetMs ?? 0, response, nowMs)
  if (response.keepAlive && previous)
    return clockOffsetMs === previous.clockOffsetMs ? previous : { ...previous, clockOffsetMs }

  const self = response.node ? keep(previous?.self, upgradeNode(response.node)) : previous?.self
  if (!self)
    throw new CodedError('control/bad-map', 'The server sent a map that does not say which machine this computer is.')
  const packetFilterChunks = applyFilterChunks(previous?.packetFilterChunks ?? new Map(), response)
  const next: Netmap = {
    self,
    peers: applyPeers(previous?.peers ?? new Map(), response, nowMs),
    derpMap: applyDerpMap(previous?.derpMap ?? EMPTY_DERP_MAP, response.derpMap),
    dns: response.dnsConfig ? keep(previous?.dns, response.dnsConfig) : previous?.dns,
    domain: response.domain || (previous?.domain ?? ''),
    packetFilter:
      previous && packetFilterChunks === previous.packetFilterChunks
        ? previous.packetFilter
        : concatenated(packetFilterChunks),
    packetFilterChunks,
    userProfiles: applyUserProfiles(previous?.userProfiles ?? new Map(), response.userProfiles ?? []),
    health: response.health ? keep(previous?.health, response.health) : (previous?.health ?? []),
    displayMessages: applyDictionaryPatch(previous?.displayMessages ?? new Map(), response.displayMessages),
    // A policy cannot be taken back by leaving it out; the server sends one without rules.
    sshPolicy: response.sshPolicy ? keep(previous?.sshPolicy, response.sshPolicy) : previous?.sshPolicy,
    collectServices: response.collectServices ?? previous?.collectServices ?? false,
    clockOffsetMs,
  }
  return previous ? keepWhole(previous, next) : next
}

function keepWhole(known: Netmap, next: Netmap): Netmap {
  const names = Object.keys(next) as (keyof Netmap)[]
  return names.every((name) => next[name] === known[name]) ? known : next
}

/**
 * The first response of a session says everything: what it leaves out is not there. `earlier` is the netmap of the session
 * before; parts that are the same are taken from it.
 */
export function firstMapResponse(earlier: Netmap | undefined, response: MapResponse, nowMs: WallMs): Netmap {
  const fresh = applyMapResponse(undefined, response, nowMs)
  if (!earlier) return fresh
  const chunks = keep(earlier.packetFilterChunks, fresh.packetFilterChunks)
  return keepWhole(earlier, {
    self: keep(earlier.self, fresh.self),
    peers: keepPeers(earlier.peers, fresh.peers),
    derpMap: keep(earlier.derpMap, fresh.derpMap),
    dns: keep(earlier.dns, fresh.dns),
    domain: fresh.domain,
    packetFilter: chunks === earlier.packetFilterChunks ? earlier.packetFilter : fresh.packetFilter,
    packetFilterChunks: chunks,
    userProfiles: keep(earlier.userProfiles, fresh.userProfiles),
    health: keep(earlier.health, fresh.health),
    displayMessages: keep(earlier.displayMessages, fresh.displayMessages),
    sshPolicy: keep(earlier.sshPolicy, fresh.sshPolicy),
    collectServices: fresh.collectServices,
    clockOffsetMs: fresh.clockOffsetMs,
  })
}

const EMPTY_DERP_MAP: DerpMap = { regions: new Map(), homeParams: undefined, omitDefaultRegions: false }

/** `fresh`, or `known` when they say the same. */
function keep<T>(known: T | undefined, fresh: T): T {
  return known !== undefined && isDeepStrictEqual(known, fresh) ? known : fresh
}

function clockOffset(known: number, response: MapResponse, nowMs: WallMs): number {
  if (response.controlTimeMs === undefined) return known
  const offset = response.controlTimeMs - nowMs
  if (Math.abs(offset) < CLOCK_OFFSET_MIN_MS) return 0
  // Every answer took a slightly different time to get here; only a real change is one.
  return Math.abs(offset - known) < CLOCK_OFFSET_MIN_MS && known !== 0 ? known : offset
}

/** Regions are replaced as a whole, never merged; a part that is absent stays. */
function applyDerpMap(known: DerpMap, fresh: DerpMap | undefined): DerpMap {
  if (!fresh) return known
  return keep(known, {
    regions: fresh.regions ?? known.regions,
    homeParams: fresh.homeParams?.regionScore ? fresh.homeParams : known.homeParams,
    omitDefaultRegions: fresh.regions ? fresh.omitDefaultRegions : known.omitDefaultRegions,
  })
}

/** First `PacketFilter` as the chunk "base", then "*" clears, then the named chunks are set or deleted. */
function applyFilterChunks(
  known: ReadonlyMap<string, readonly FilterRule[]>,
  response: MapResponse,
): ReadonlyMap<string, readonly FilterRule[]> {
  const base: [string, readonly FilterRule[]][] = response.packetFilter ? [['base', response.packetFilter]] : []
  const withBase = base.length > 0 ? keep(known, new Map([...known, ...base])) : known
  return applyDictionaryPatch(withBase, response.packetFilters, known)
}

/** A patch of named things: "*" without value clears what was there before, others are set, or deleted when without value. */
function applyDictionaryPatch<T>(
  known: ReadonlyMap<string, T>,
  patch: ReadonlyMap<string, T | undefined> | undefined,
  before: ReadonlyMap<string, T> = known,
): ReadonlyMap<string, T> {
  if (!patch) return known
  const next = new Map(patch.has('*') && patch.get('*') === undefined ? [] : known)
  for (const [name, value] of patch) {
    if (value === undefined) next.delete(name)
    else next.set(name, value)
  }
  return keep(before, next)
}

function concatenated(chunks: ReadonlyMap<string, readonly FilterRule[]>): readonly FilterRule[] {
  return [...chunks.keys()].sort().flatMap((name) => chunks.get(name) ?? [])
}

/** Merged by ID and never deleted. */
function applyUserProfiles(
  known: ReadonlyMap<UserId, UserProfile>,
  fresh: readonly UserProfile[],
): ReadonlyMap<UserId, UserProfile> {
  const changed = fresh.filter((profile) => !isDeepStrictEqual(known.get(profile.id), profile))
  if (changed.length === 0) return known
  return new Map([...known, ...changed.map((profile) => [profile.id, profile] as const)])
}

/** Whether `node`'s key has run out by the server's clock. */
export function isExpired(netmap: Netmap, node: Node, nowMs: WallMs): boolean {
  return node.expired || (node.keyExpiryMs !== undefined && node.keyExpiryMs <= nowMs + netmap.clockOffsetMs)
}

/** The owner of `node`, for people. */
export function ownerOf(netmap: Netmap, node: Node): UserProfile | undefined {
  return netmap.userProfiles.get(node.user)
}
