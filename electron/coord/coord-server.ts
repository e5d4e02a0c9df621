// A coordination server, put together. DERP and STUN servers are the composer's: it hands their map in, asks
// `admitsToDerp` about each client, and drops the connections of `keysGone`. To put a backup in the place of what it has, it
// ends all that works on the database and begins anew, at the same address.

import { systemClock, type Clock } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import { Listeners } from '../base/lifetime.ts'
import { silentLogger, type Logger } from '../base/log.ts'
import type { MachinePublic, NodePublic } from '../crypto/keys.ts'
import type { DerpMapInput } from '../wire/tailcfg/derp-map.ts'
import type { Admin } from './admin/admin.ts'
import type { ServerAdmin } from './admin/server-admin.ts'
import { restore, type RestoreInfo } from './backup/backup.ts'
import { type RestoreOutcome, Restores, type RestoreWish } from './backup/restores.ts'
import { type CoordInstance, startInstance } from './coord-instance.ts'
import type { TlsFiles } from './http/listener.ts'
import type { LoginProviderFactory } from './login/login-provider.ts'
import { storePlace } from './store/open-store.ts'

export interface CoordOptions {
  readonly stateDir: string
  /** postgres://…, which several servers may share; a file in the state folder when left out. */
  readonly database?: string | undefined
  /** Port 0 picks one. */
  readonly listen: { readonly host: string; readonly port: number }
  /** As machines and browsers reach this server; made from the listening address when left out. */
  readonly url?: string | undefined
  /** Networks of proxies that are believed about who came to them, as "127.0.0.1/32". */
  readonly trustedProxies?: readonly string[] | undefined
  /** Called once, when the state folder is held and before anybody is served: starts what the server needs beside it. */
  readonly prepare: () => Promise<Surroundings>
  /** What node names hang under; kept in the database once given. */
  readonly baseDomain?: string | undefined
  /** Accounts of this server when left out. */
  readonly login?: LoginProviderFactory | undefined
  readonly clock?: Clock
  readonly log?: Logger
}

export interface Surroundings {
  readonly derpMap: DerpMapInput
  /** With it the port speaks TLS beside plain HTTP. */
  readonly tls?: TlsFiles | undefined
}

export interface CoordServer {
  /** Without a slash at the end. */
  readonly url: string
  readonly port: number
  readonly publicKey: MachinePublic
  /** Of the first tailnet. Not to be kept: after a restore it is another one. */
  readonly admin: Admin
  /** Of all tailnets. */
  readonly serverAdmin: ServerAdmin
  /** Another machine waits, for a sign-in or for approval, or one does no more: `admin` lists them. */
  readonly loginsChanged: Listeners<undefined>
  /** Node keys that count no more. */
  readonly keysGone: Listeners<NodePublic>
  /** It could not begin anew after a backup was put in place, and serves nobody; the reason is in the log too. */
  readonly broken: Listeners<Error>
  /** True for the node key of a node that is logged in, at once after its registration. */
  admitsToDerp(key: NodePublic): boolean
  setDerpMap(map: DerpMapInput): void
  /** Ends all streams, brings everything to disk, lets go of the state folder. Idempotent. */
  close(): Promise<void>
}

/** Throws CoordError; nothing is left running then. */
export async function startCoord(options: CoordOptions): Promise<CoordServer> {
  const server = new Coord(options)
  await server.begin(options.listen)
  return server
}

class Coord implements CoordServer {
  readonly loginsChanged = new Listeners<undefined>()
  readonly keysGone = new Listeners<NodePublic>()
  readonly broken = new Listeners<Error>()
  readonly #options: CoordOptions
  readonly #clock: Clock
  readonly #log: Logger
  readonly #restores: Restores
  #instance: CoordInstance | undefined
  #surroundings: Surroundings | undefined
  #restoring: Promise<unknown> | undefined
  #isClosed = false

  constructor(options: CoordOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#log = options.log ?? silentLogger
    this.#restores = new Restores(this.#clock, (wish) => this.#restore(wish))
  }

  async begin(listen: CoordOptions['listen']): Promise<void> {
    const prepare = async (): Promise<Surroundings> => (this.#surroundings ??= await this.#options.prepare())
    const instance = await startInstance({ ...this.#options, listen, prepare }, this.#restores)
    instance.loginsChanged.add(() => this.loginsChanged.emit(undefined))
    instance.keysGone.add((key) => this.keysGone.emit(key))
    this.#instance = instance
  }

  /** While a backup is put in place, the one before, which takes no more calls. */
  get #now(): CoordInstance {
    if (!this.#instance) throw new Error('used before it began')
    return this.#instance
  }

  get url(): string {
    return this.#now.url
  }

  get port(): number {
    return this.#now.port
  }

  get publicKey(): MachinePublic {
    return this.#now.publicKey
  }

  get admin(): Admin {
    return this.#now.serverAdmin.of()
  }

  get serverAdmin(): ServerAdmin {
    return this.#now.serverAdmin
  }

  admitsToDerp(key: NodePublic): boolean {
    return this.#instance?.admitsToDerp(key) ?? false
  }

  setDerpMap(map: DerpMapInput): void {
    if (this.#surroundings) this.#surroundings = { ...this.#surroundings, derpMap: map }
    this.#now.setDerpMap(map)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#restoring
    await this.#restores.close()
    await this.#instance?.close()
  }

  #restore(wish: RestoreWish): Promise<RestoreOutcome> {
    if (this.#isClosed) return Promise.resolve({ state: 'failed', message: 'The server is stopping.' })
    const outcome = this.#replace(wish).catch((error: unknown): RestoreOutcome => {
      this.#log.error('the server does not run', { error })
      this.broken.emit(error instanceof Error ? error : new Error(messageOf(error)))
      return { state: 'failed', message: messageOf(error) }
    })
    this.#restoring = outcome
    return outcome
  }

  /** Rejects when no server runs in the end. */
  async #replace({ file, passphrase, actor }: RestoreWish): Promise<RestoreOutcome> {
    const { port, registry } = this.#now
    const former = [...registry.tailnets()].flatMap((tailnet) => [...tailnet.nodes()].map(({ nodeKey }) => nodeKey))
    const listen = { host: this.#options.listen.host, port }
    const { stateDir, database } = this.#options
    const place = await storePlace(stateDir, database)
    const put = (from: string, sealed?: string): Promise<RestoreInfo> =>
      restore(stateDir, place, { file: from, passphrase: sealed, nowMs: this.#clock.wallNow() })
    await this.#now.close()
    let done: RestoreInfo
    try {
      done = await put(file, passphrase)
    } catch (error) {
      this.#log.error('a backup was not restored', { error })
      await this.begin(listen)
      return { state: 'failed', message: messageOf(error) }
    }
    try {
      await this.begin(listen)
    } catch (error) {
      this.#log.error('the server does not start on the backup', { error })
      if (done.former === undefined) throw error
      await put(done.former)
      await this.begin(listen)
      return { state: 'failed', message: messageOf(error) }
    }
    for (const key of former) if (!this.#now.registry.nodeByKey(key)) this.keysGone.emit(key)
    const detail = `of ${done.createdAt}, ${done.rows} rows; what was there before: ${done.former ?? 'nothing'}`
    await this.#now.registry.first
      .transaction((tx) => tx.audit(actor, 'server.restore', 'server', detail))
      .catch((error: unknown) => this.#log.warn('a restore is not in the audit log', { error, detail }))
    this.loginsChanged.emit(undefined)
    return { state: 'done' }
  }
}
