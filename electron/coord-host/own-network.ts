// The network that this computer hosts itself: a coordination server with DERP and STUN below the agent's state, brought up
// again at every start once it was asked for. Used by the app and by a start without a display.

import { networkInterfaces, userInfo } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { readTextIfThere, writeFileAtomic } from '../base/atomic-file.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import { isLoopback } from '../base/endpoint.ts'
import { CodedError, codeOf, isCoded, messageOf } from '../base/errors.ts'
import { Listeners } from '../base/lifetime.ts'
import type { Logger } from '../base/log.ts'
import type { InviteView, OwnNetworkView } from '../contract/calls.ts'
import { publicHost } from '../coord/public-url.ts'
import { type CoordHost, startCoordHost } from './coord-host.ts'

const FIRST_PORT = 8480
/** Tried one after the other at the first start; then the port is kept, since other machines know it. */
const MOST_PORTS = 10
const STUN_PORT = 3478
/** How often it is looked whether this computer has another address. */
const LOOK_MS = 10_000
const INVITE_LIFE_MS = 24 * 3_600_000
/** This computer joins within moments of its key being made. */
const OWN_KEY_LIFE_MS = 10 * 60_000
const FORMAT = 1
/** More are a flood, and the console lists them all. */
const MOST_WAITING = 20

/** Before the id of a machine that is signed in and waits for approval; other ids are those of sign-ins. */
const NODE = 'node:'

const nodeOf = (id: string): string | undefined => (id.startsWith(NODE) ? id.slice(NODE.length) : undefined)

export interface OwnNetworkOptions {
  /** The folder of the agent's state; the server lives in a folder of its own below. */
  readonly stateDir: string
  readonly log: Logger
  readonly clock?: Clock
  /** Where others reach this computer now; the system's own answer when left out. */
  readonly address?: () => string
  /** Whether this computer still has that address. */
  readonly has?: (address: string) => boolean
}

/** What is kept beside the server's own database: that there is a network, and where it answers. */
interface Kept {
  readonly port: number
  readonly name: string
}

export class OwnNetwork {
  readonly #folder: string
  readonly #log: Logger
  readonly #clock: Clock
  readonly #address: () => string
  readonly #has: (address: string) => boolean
  /** What the network tells machines of where it is. */
  #servedAt: string | undefined
  #cancelLook = (): void => {}
  readonly #changed = new Listeners<OwnNetworkView>()
  #view: OwnNetworkView = {
    state: 'absent',
    name: undefined,
    joinUrl: undefined,
    problem: undefined,
    ownerCanSignIn: false,
    waiting: [],
  }
  #host: CoordHost | undefined
  #starting: Promise<OwnNetworkView> | undefined

  constructor(options: OwnNetworkOptions) {
    this.#folder = join(options.stateDir, 'own-network')
    this.#log = options.log.scoped('own-network')
    this.#clock = options.clock ?? systemClock
    this.#has = options.has ?? hasAddress
    this.#address = options.address ?? (() => publicHost('0.0.0.0', undefined))
  }

  get view(): OwnNetworkView {
    return this.#view
  }

  onChange(listener: (view: OwnNetworkView) => void): () => void {
    return this.#changed.add(listener)
  }

  /** Brings the network up again if this computer hosts one. Never rejects: what failed is in the view. */
  async resume(): Promise<OwnNetworkView> {
    try {
      if ((await this.#kept()) === undefined) return this.#view
      return await this.start(undefined)
    } catch (error) {
      return this.#failed(error)
    }
  }

  /** Starts the network, making it when there is none. Rejects with a CodedError, which the view then tells too. */
  start(name: string | undefined): Promise<OwnNetworkView> {
    if (this.#view.state === 'running') return Promise.resolve(this.#view)
    this.#starting ??= this.#start(name)
      .catch((error: unknown) => {
        this.#failed(error)
        throw error
      })
      .finally(() => {
        this.#starting = undefined
      })
    return this.#starting
  }

  async #start(wanted: string | undefined): Promise<OwnNetworkView> {
    this.#tell({ state: 'starting', problem: undefined })
    const kept = await this.#kept()
    const name = kept?.name ?? (wanted?.trim() || defaultName())
    const { host, port } = kept ? { host: await this.#open(kept.port), port: kept.port } : await this.#openSomewhere()
    if (!kept)
      await writeFileAtomic(this.#settingsPath, `${JSON.stringify({ format: FORMAT, port, name }, undefined, 2)}\n`)
    this.#serve(host)
    await this.#ownerId()
    this.#tell({ state: 'running', name, joinUrl: host.coord.url })
    this.#lookWhoWaits()
    await this.refresh()
    this.#lookLater(port)
    return this.#view
  }

  #serve(host: CoordHost): void {
    this.#host = host
    host.coord.loginsChanged.add(() => this.#lookWhoWaits())
    host.coord.broken.add((error) => this.#failed(error))
  }

  #lookLater(port: number): void {
    this.#cancelLook = this.#clock.after(LOOK_MS, () => {
      this.#follow(port).catch((error: unknown) => this.#failed(error))
    })
  }

  /** In another network, or at another address of the same: machines are told anew where this one is. */
  async #follow(port: number): Promise<void> {
    const address = this.#address()
    // An address more is no reason; and without any network nobody could be told.
    const isLeft = this.#servedAt !== undefined && address !== this.#servedAt && !this.#has(this.#servedAt)
    if (this.#host && !isLoopback(address) && (isLeft || isLoopback(this.#servedAt ?? ''))) {
      this.#log.info('the own network moves', { to: address })
      this.#starting ??= this.#move(port).finally(() => {
        this.#starting = undefined
      })
      await this.#starting
    }
    if (this.#host) this.#lookLater(port)
  }

  /** Connections of machines break and come back within moments, as at any start; what they are is kept. */
  async #move(port: number): Promise<OwnNetworkView> {
    const before = this.#host
    this.#host = undefined
    await before?.close()
    const host = await this.#open(port)
    this.#serve(host)
    this.#lookWhoWaits()
    return this.#tell({ joinUrl: host.coord.url })
  }

  async #openSomewhere(): Promise<{ host: CoordHost; port: number }> {
    for (let port = FIRST_PORT; ; port += 2) {
      try {
        return { host: await this.#open(port), port }
      } catch (error) {
        // Two ports each: DERP has the one after.
        if (!isPortTaken(error) || port >= FIRST_PORT + 2 * (MOST_PORTS - 1)) throw error
        this.#log.info('port taken, trying the next', { port })
      }
    }
  }

  async #open(port: number): Promise<CoordHost> {
    const everywhere = '0.0.0.0'
    const address = this.#address()
    this.#servedAt = address
    const options = {
      url: `http://${address.includes(':') ? `[${address}]` : address}:${port}`,
      stateDir: join(this.#folder, 'coord'),
      listen: { host: everywhere, port },
      tls: 'off' as const,
      derp: { host: everywhere, port: port + 1 },
      log: this.#log,
    }
    try {
      return await startCoordHost({ ...options, stun: { host: everywhere, port: STUN_PORT } })
    } catch (error) {
      // Another STUN server on this machine: ours may be anywhere, the DERP map says where.
      if (!isPortTaken(error)) throw error
      return startCoordHost({ ...options, stun: { host: everywhere, port: 0 } })
    }
  }

  /** A key with which this very computer joins, and the address it uses: one that stays when the LAN's changes. */
  async ownKey(): Promise<{ readonly serverUrl: string; readonly authKey: string }> {
    const { coord } = this.#running()
    const user = await this.#ownerName()
    const { key } = await coord.admin.createAuthKey({ user, lifeMs: OWN_KEY_LIFE_MS }, 'app')
    return { serverUrl: `http://127.0.0.1:${coord.port}`, authKey: key }
  }

  /** A one-time key for another machine. */
  async invite(): Promise<InviteView> {
    const { coord } = this.#running()
    const user = await this.#ownerName()
    const { key } = await coord.admin.createAuthKey({ user, lifeMs: INVITE_LIFE_MS }, 'app')
    return { serverUrl: coord.url, authKey: key, expiresAt: Date.now() + INVITE_LIFE_MS }
  }

  /** The page where the owner adds a passkey or a password; for a browser on this computer, where passkeys work without TLS. */
  async signInSetupUrl(): Promise<string> {
    const { coord } = this.#running()
    const url = new URL(await coord.admin.createEnrolLink(await this.#ownerId(), 'app'))
    url.hostname = 'localhost'
    return url.href
  }

  /** For a browser on this computer. */
  consoleUrl(): string {
    return `http://localhost:${this.#running().coord.port}/console`
  }

  /** Lets a waiting machine in, as its user's or else as one of the owner's. */
  async approve(id: string): Promise<void> {
    const { admin } = this.#running().coord
    const node = nodeOf(id)
    if (node === undefined) await admin.approveLogin(id, await this.#ownerName(), 'app')
    else await admin.approveNode(node, 'app')
  }

  async deny(id: string): Promise<void> {
    const { admin } = this.#running().coord
    const node = nodeOf(id)
    if (node === undefined) await admin.refuseLogin(id, 'app')
    else await admin.deleteNode(node, 'app')
  }

  #lookWhoWaits(): void {
    this.#tellWhoWaits().catch((error: unknown) => this.#log.warn('who waits is not known', { error }))
  }

  async #tellWhoWaits(): Promise<void> {
    const admin = this.#host?.coord.admin
    const logins = (await admin?.listLogins()) ?? []
    const nodes = ((await admin?.listNodes()) ?? []).filter(({ approved, expired }) => !approved && !expired)
    const waiting = [
      ...logins.map(({ id, hostname, os, source, createdAt }) => ({
        id,
        name: hostname,
        os,
        address: source,
        askedAt: Date.parse(createdAt),
      })),
      ...nodes.map(({ id, name, os, user, addresses, createdAt }) => ({
        id: `${NODE}${id}`,
        name,
        os,
        address: addresses[0] ?? '',
        user,
        askedAt: Date.parse(createdAt),
      })),
    ]
      .sort((a, b) => a.askedAt - b.askedAt)
      .slice(0, MOST_WAITING)
    if (!isDeepStrictEqual(waiting, this.#view.waiting)) this.#tell({ waiting })
  }

  /** Looks again whether the owner can sign in. */
  async refresh(): Promise<void> {
    if (!this.#host) return
    const { passkeys, password } = await this.#host.coord.admin.signInMethods(await this.#ownerId())
    this.#tell({ ownerCanSignIn: passkeys > 0 || password })
  }

  async close(): Promise<void> {
    this.#cancelLook()
    await this.#starting?.catch(() => {})
    this.#cancelLook()
    const host = this.#host
    this.#host = undefined
    await host?.close()
  }

  #running(): CoordHost {
    if (!this.#host)
      throw new CodedError('own/not-running', 'This computer does not host a network now. Start it first.')
    return this.#host
  }

  async #ownerId(): Promise<number> {
    const { admin } = this.#running().coord
    const owner = (await admin.listUsers()).find(({ role }) => role === 'owner')
    return owner?.id ?? (await admin.createUser({ name: ownerName() }, 'app')).id
  }

  async #ownerName(): Promise<string> {
    const id = await this.#ownerId()
    const owner = (await this.#running().coord.admin.listUsers()).find((user) => user.id === id)
    return owner?.name ?? ownerName()
  }

  get #settingsPath(): string {
    return join(this.#folder, 'network.json')
  }

  async #kept(): Promise<Kept | undefined> {
    const content = await readTextIfThere(this.#settingsPath)
    if (content === undefined) return undefined
    try {
      const { format, port, name } = JSON.parse(content) as Record<string, unknown>
      if (format === FORMAT && typeof port === 'number' && port > 0 && port < 65_535 && typeof name === 'string')
        return { port, name }
    } catch {
      // Told below.
    }
    throw new CodedError(
      'own/settings-damaged',
      `The settings of this computer's network, ${this.#settingsPath}, cannot be read. Restore the file from a backup; it was left as it is.`,
    )
  }

  #failed(error: unknown): OwnNetworkView {
    const code = isCoded(error) ? error.code : 'own/failed'
    this.#log.warn('own network failed', { code, error })
    return this.#tell({ state: 'failed', problem: { code, message: messageOf(error) } })
  }

  #tell(change: Partial<OwnNetworkView>): OwnNetworkView {
    this.#view = { ...this.#view, ...change }
    this.#changed.emit(this.#view)
    return this.#view
  }
}

const hasAddress = (address: string): boolean =>
  Object.values(networkInterfaces()).some((all) => all?.some((one) => one.address === address))

const isPortTaken = (error: unknown): boolean =>
  codeOf(error) === 'EADDRINUSE' || (error instanceof Error && codeOf(error.cause) === 'EADDRINUSE')

/** The name of the person at this computer, as the system has it. */
function ownerName(): string {
  try {
    const name = userInfo()
      .username.toLowerCase()
      .replaceAll(/[^a-z0-9._-]/g, '')
    return name === '' || name === 'root' ? 'owner' : name
  } catch {
    return 'owner'
  }
}

const defaultName = (): string => 'Home'
