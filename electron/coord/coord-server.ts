// A coordination server, put together. DERP and STUN servers are the composer's: it hands their map in, asks
// `admitsToDerp` about each client, and drops the connections of `keysGone`.

import { systemClock, type Clock } from '../base/clock.ts'
import { Lifetime, type Listeners } from '../base/lifetime.ts'
import { silentLogger, type Logger } from '../base/log.ts'
import type { MachinePublic, NodePublic } from '../crypto/keys.ts'
import type { DerpMapInput } from '../wire/tailcfg/derp-map.ts'
import type { Admin } from './admin/admin.ts'
import { listenAdmin } from './admin/admin-socket.ts'
import { ServerAdmin } from './admin/server-admin.ts'
import { AdviceDesks } from './advice/advice-desks.ts'
import { Api } from './api/api.ts'
import { openCoordState, type CoordState } from './coord-state.ts'
import { ControlUpgrade } from './http/control-upgrade.ts'
import { listen, type TlsFiles } from './http/listener.ts'
import { MachineApi } from './http/machine-api.ts'
import { PublicRoutes } from './http/public-routes.ts'
import { PUBLIC_URL } from './identity/enrol-links.ts'
import { identityLogin } from './identity/identity-login.ts'
import { ServerSecrets } from './identity/server-secrets.ts'
import type { LoginContext, LoginProviderFactory } from './login/login-provider.ts'
import { PendingLogins } from './login/pending-logins.ts'
import { isExpired } from './model.ts'
import { deviceApproval } from './nodes/device-approval.ts'
import { checkedUrl, ownUrl } from './public-url.ts'
import { Registrar } from './registrar.ts'
import { TailnetHubs } from './tailnet-hubs.ts'

export interface CoordOptions {
  readonly stateDir: string
  /** postgres://…, which several servers may share; a file in the state folder when left out. */
  readonly database?: string | undefined
  /** Port 0 picks one. */
  readonly listen: { readonly host: string; readonly port: number }
  /** As machines and browsers reach this server; made from the listening address when left out. */
  readonly url?: string | undefined
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
  /** Of the first tailnet. */
  readonly admin: Admin
  /** Of all tailnets. */
  readonly serverAdmin: ServerAdmin
  /** Another machine waits, for a sign-in or for approval, or one does no more: `admin` lists them. */
  readonly loginsChanged: Listeners<undefined>
  /** Node keys that count no more. */
  readonly keysGone: Listeners<NodePublic>
  /** True for the node key of a node that is logged in, at once after its registration. */
  admitsToDerp(key: NodePublic): boolean
  setDerpMap(map: DerpMapInput): void
  /** Ends all streams, brings everything to disk, lets go of the state folder. Idempotent. */
  close(): Promise<void>
}

/** Throws CoordError; nothing is left running then. */
export async function startCoord(options: CoordOptions): Promise<CoordServer> {
  const clock = options.clock ?? systemClock
  const log = options.log ?? silentLogger
  const lifetime = new Lifetime()
  try {
    const givenUrl = options.url === undefined ? undefined : checkedUrl(options.url)
    const state = await openCoordState({
      folder: options.stateDir,
      database: options.database,
      baseDomain: options.baseDomain,
      clock,
      log,
    })
    lifetime.defer(() => state.close())
    return await serve(options, state, givenUrl, { clock, log, lifetime })
  } catch (error) {
    await lifetime.end()
    throw error
  }
}

interface Setting {
  readonly clock: Clock
  readonly log: Logger
  readonly lifetime: Lifetime
}

async function serve(
  options: CoordOptions,
  state: CoordState,
  givenUrl: string | undefined,
  { clock, log, lifetime }: Setting,
): Promise<CoordServer> {
  const { registry, serverKey } = state
  const { derpMap, tls } = await options.prepare()
  const hubs = new TailnetHubs({ registry, derpMap, clock, log })
  lifetime.defer(() => hubs.close())
  const logins = new PendingLogins(clock)
  lifetime.defer(() => logins.close())
  registry.first.changes.add((change) => {
    if (change.type === 'setting' && change.name === deviceApproval.name) logins.changed.emit(undefined)
  })
  let url = givenUrl ?? ''
  const registrar = new Registrar({ registry, logins, clock, loginUrl: (id) => `${url}/login/${id}` })
  const secrets = new ServerSecrets(serverKey)
  const advice = new AdviceDesks(registry, hubs, clock)
  const admin = new ServerAdmin({
    store: state.store,
    serverKey,
    registry,
    registrar,
    logins,
    secrets,
    hubs,
    advice,
    clock,
  })
  const api = new MachineApi({ registry, registrar, hubs, advice, clock, log: log.scoped('api') })
  const upgrade = new ControlUpgrade({ serverKey, api, clock, log: log.scoped('noise') })
  lifetime.defer(() => upgrade.close())
  const admitsToDerp = (key: NodePublic): boolean => {
    const node = registry.nodeByKey(key)
    if (!node || isExpired(node, clock.wallNow())) return false
    return registry.tailnet(node.tailnetId)?.kept(deviceApproval).waiting.has(node.id) === false
  }

  let answer: PublicRoutes | undefined
  const listener = await listen({
    ...options.listen,
    tls,
    onRequest: (request, response) => answer?.handle(request, response),
    onUpgrade: (request, socket, head) => {
      if (/^\/ts2021(\?|$)/.test(request.url ?? '')) upgrade.handle(request, socket, head)
      else socket.destroy()
    },
  })
  lifetime.defer(() => listener.close())
  url = givenUrl ?? ownUrl(options.listen.host, listener.port)
  await registry.transaction((tx) => tx.store.setSetting(PUBLIC_URL, url))
  const login = await (options.login ?? identityLogin)(
    loginContext({ state, logins, registrar, admin, secrets, url, clock, log: log.scoped('login') }),
  )
  lifetime.defer(() => login.close?.())
  const programs = new Api({ registry, admin, publicUrl: url, clock, log: log.scoped('api') })
  lifetime.defer(() => programs.close())
  answer = new PublicRoutes({
    serverKey: serverKey.public,
    admitsToDerp,
    login,
    api: programs,
    publicUrl: url,
    clock,
    log: log.scoped('http'),
  })
  const socket = await listenAdmin(options.stateDir, admin, log.scoped('admin'))
  lifetime.defer(() => socket.close())
  log.info('coordination server ready', { url, nodes: registry.nodeCount })

  return {
    url,
    port: listener.port,
    publicKey: serverKey.public,
    admin: admin.of(),
    serverAdmin: admin,
    loginsChanged: logins.changed,
    keysGone: hubs.keysGone,
    admitsToDerp,
    setDerpMap: (map) => hubs.setDerpMap(map),
    close: () => lifetime.end(),
  }
}

function loginContext(parts: {
  readonly state: CoordState
  readonly logins: PendingLogins
  readonly registrar: Registrar
  readonly admin: ServerAdmin
  readonly secrets: ServerSecrets
  readonly url: string
  readonly clock: Clock
  readonly log: Logger
}): LoginContext {
  const { state, logins, registrar, admin, secrets, url, clock, log } = parts
  return {
    pendingLogin(id) {
      const login = logins.get(id)
      return (
        login && {
          id: login.id,
          hostname: login.hostinfo.hostname,
          os: login.hostinfo.os,
          machineKey: login.machineKey.text,
          source: login.source,
          createdAtMs: login.createdAtMs,
        }
      )
    },
    async completeLogin(id, userId, tailnetId) {
      await registrar.completeLogin(id, userId, `user:${userId}`, tailnetId)
    },
    tailnetsOf: (userId) => state.registry.tailnetsOf(userId).map(({ tailnet: { id, name } }) => ({ id, name })),
    refuseLogin: (id) => registrar.refuseLogin(id, 'login-page'),
    users: () => [...state.registry.users()],
    createUser: (user) => state.registry.first.transaction((tx) => admin.of().insertUser(tx, user, 'login-page')),
    insertUser: (tx, user, homeId) =>
      admin.of().insertUser(tx.inTailnet(homeId ?? state.registry.first.tailnet.id), user, 'login-page'),
    registry: state.registry,
    store: state.store,
    secrets,
    publicUrl: url,
    clock,
    log,
  }
}
