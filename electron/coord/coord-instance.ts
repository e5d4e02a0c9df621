// A coordination server from one opening of its database to the next: coord-server.ts holds one at a time.

import { systemClock, type Clock } from '../base/clock.ts'
import { Lifetime, type Listeners } from '../base/lifetime.ts'
import { silentLogger, type Logger } from '../base/log.ts'
import type { MachinePublic, NodePublic } from '../crypto/keys.ts'
import type { DerpMapInput } from '../wire/tailcfg/derp-map.ts'
import { listenAdmin } from './admin/admin-socket.ts'
import { ServerAdmin } from './admin/server-admin.ts'
import { AdviceDesks } from './advice/advice-desks.ts'
import { Api } from './api/api.ts'
import type { Restores } from './backup/restores.ts'
import type { CoordOptions } from './coord-server.ts'
import { openCoordState, type CoordState } from './coord-state.ts'
import { noteClient } from './http/client-address.ts'
import { ControlUpgrade } from './http/control-upgrade.ts'
import { listen } from './http/listener.ts'
import { MachineApi } from './http/machine-api.ts'
import { PublicRoutes } from './http/public-routes.ts'
import { PUBLIC_URL } from './identity/enrol-links.ts'
import { identityLogin } from './identity/identity-login.ts'
import { ServerSecrets } from './identity/server-secrets.ts'
import type { LoginContext } from './login/login-provider.ts'
import { PendingLogins } from './login/pending-logins.ts'
import { isExpired } from './model.ts'
import { deviceApproval } from './nodes/device-approval.ts'
import { checkedUrl, ownUrl } from './public-url.ts'
import { Registrar } from './registrar.ts'
import type { ServerRegistry } from './server-registry.ts'
import { TailnetHubs } from './tailnet-hubs.ts'

export interface CoordInstance {
  readonly url: string
  readonly port: number
  readonly publicKey: MachinePublic
  readonly serverAdmin: ServerAdmin
  readonly registry: ServerRegistry
  readonly loginsChanged: Listeners<undefined>
  readonly keysGone: Listeners<NodePublic>
  admitsToDerp(key: NodePublic): boolean
  setDerpMap(map: DerpMapInput): void
  close(): Promise<void>
}

/** Throws CoordError; nothing is left running then. */
export async function startInstance(options: CoordOptions, restores: Restores): Promise<CoordInstance> {
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
    return await serve(options, state, givenUrl, { clock, log, lifetime, restores })
  } catch (error) {
    await lifetime.end()
    throw error
  }
}

interface Setting {
  readonly clock: Clock
  readonly log: Logger
  readonly lifetime: Lifetime
  readonly restores: Restores
}

async function serve(
  options: CoordOptions,
  state: CoordState,
  givenUrl: string | undefined,
  { clock, log, lifetime, restores }: Setting,
): Promise<CoordInstance> {
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
  const proxies = options.trustedProxies ?? []
  const listener = await listen({
    ...options.listen,
    tls,
    onRequest: (request, response) => {
      noteClient(request, proxies)
      answer?.handle(request, response)
    },
    onUpgrade: (request, socket, head) => {
      noteClient(request, proxies)
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
  const programs = new Api({
    registry,
    admin,
    restores,
    serverKey: serverKey.public,
    publicUrl: url,
    clock,
    log: log.scoped('api'),
  })
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
    serverAdmin: admin,
    registry,
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
