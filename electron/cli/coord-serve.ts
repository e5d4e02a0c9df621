import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { stderrLogger } from '../base/log.ts'
import { CodedError, messageOf } from '../base/errors.ts'
import { parseProxies } from '../coord/http/client-address.ts'
import { parseListen, type TlsFiles } from '../coord/http/listener.ts'
import { coordStateDir } from './coord-admin.ts'
import { startCoordHost, type Place } from '../coord-host/coord-host.ts'
import { type Command, type CommandCall, DONE, print, remark, stringOption, UsageError } from './command.ts'
import { untilTold } from './signals.ts'

const DEFAULT_LISTEN = ':8480'
const STUN_PORT = 3478
/**
 * How far the heap may grow between two collections, beyond what was in use after the last: by default up to four times that.
 * When all machines come back at once their maps leave garbage outside of the heap too, which waits for the same collection.
 * Measured with 1,000 and 5,000 machines: a fifth less memory, at the same work.
 */
const HEAP_GROWING_PERCENT = 120

export const serve: Command = {
  name: 'coord serve',
  summary: 'Runs a coordination server with DERP and STUN, and prints "ready URL".',
  usage: [
    'coord serve [--listen ADDR] [--url URL] [--state DIR] [--database URL] [--tls auto|off|CERT,KEY] [--trust-proxy NET,…] [--stun ADDR|off] [--no-derp]',
  ],
  help: {
    listen: '--listen ADDR      where machines and browsers connect (:8480)',
    url: '--url URL          how they reach it; an address of this computer when left out',
    state: '--state DIR        where users, nodes and keys are kept',
    database:
      '--database URL     postgres://…, which several servers may share; a file in the state folder when left out',
    tls: '--tls auto|off|CERT,KEY   files of a certificate; auto answers TLS with a self-signed one',
    'trust-proxy':
      '--trust-proxy NET,…   addresses of a proxy in front, whose X-Forwarded-For tells who came (127.0.0.1,10.0.0.0/8)',
    derp: '--no-derp          no DERP server of its own',
    'derp-listen': '--derp-listen ADDR   TLS address of the DERP server (the port after that of --listen)',
    'derp-host': '--derp-host HOST   how machines reach DERP and STUN here, where --url leads to several servers',
    stun: '--stun ADDR,…      UDP addresses for STUN (:3478 and :3479); "off" for none',
    'base-domain': '--base-domain D    what node names hang under (home.peerway.internal); kept once set',
  },
  example: 'peerway coord serve --url http://192.168.1.10:8480',
  options: {
    listen: { type: 'string' },
    url: { type: 'string' },
    state: { type: 'string' },
    database: { type: 'string' },
    tls: { type: 'string' },
    'trust-proxy': { type: 'string' },
    derp: { type: 'boolean' },
    'no-derp': { type: 'boolean' },
    'derp-listen': { type: 'string' },
    'derp-host': { type: 'string' },
    stun: { type: 'string' },
    'base-domain': { type: 'string' },
  },
  positionals: [0, 0],
  async run(call) {
    setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`)
    const listen = placeOption(call, 'listen') ?? place(DEFAULT_LISTEN)
    const url = stringOption(call, 'url')
    const host = await startCoordHost({
      stateDir: coordStateDir(call),
      database: stringOption(call, 'database'),
      listen,
      url,
      trustedProxies: proxiesOption(call),
      tls: await tlsOption(call),
      derp: call.values['no-derp'] === true ? undefined : (placeOption(call, 'derp-listen') ?? beside(listen)),
      derpHost: derpHostOption(call),
      ...stunOptions(stringOption(call, 'stun') ?? '', listen),
      baseDomain: stringOption(call, 'base-domain'),
      log: stderrLogger(),
    })
    warnOfForcedTls(host.coord.url)
    // Before "ready", so that whoever waits for that has this too; on stderr, which a service keeps where only its
    // operator reads.
    const setup = await host.coord.admin.setupCode()
    if (setup)
      process.stderr.write(
        `This server has no owner yet. Make the first account at ${setup.url ?? host.coord.url}\n` +
          `The setup code, if a page asks for it: ${setup.code}\n`,
      )
    print(`ready ${host.coord.url}`)
    // Whoever looks after the service may start it again.
    const trouble = new Promise<never>((_, reject) => host.coord.broken.add(reject))
    try {
      await untilTold(trouble)
    } finally {
      await host.close()
    }
    return DONE
  },
}

function derpHostOption(call: CommandCall): string | undefined {
  const host = stringOption(call, 'derp-host')
  if (host === undefined || isIP(host) !== 0 || /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(host)) return host
  throw new UsageError(`"${host}" is no name or address of a computer.`)
}

/** By two addresses clients see how their router maps; a second port is the next best. */
function stunOptions(text: string, listen: Place): { stun: Place | undefined; moreStun?: readonly Place[] } {
  if (text === 'off') return { stun: undefined }
  const [first, ...more] = text === '' ? [] : text.split(',').map(place)
  return { stun: first ?? { ...listen, port: STUN_PORT }, ...(more.length > 0 && { moreStun: more }) }
}

/** DERP has its own port, the next one: known without asking, and the same at each start. */
function beside(listen: Place): Place {
  return { host: listen.host, port: listen.port === 0 ? 0 : listen.port + 1 }
}

function place(text: string): Place {
  const parsed = parseListen(text)
  if (!parsed) throw new UsageError(`"${text}" is no address to listen on, such as 0.0.0.0:8480 or :8480.`)
  return parsed
}

function placeOption(call: CommandCall, name: string): Place | undefined {
  const text = stringOption(call, name)
  return text === undefined || text === '' ? undefined : place(text)
}

function proxiesOption(call: CommandCall): readonly string[] | undefined {
  const text = stringOption(call, 'trust-proxy')
  if (text === undefined) return undefined
  const networks = parseProxies(text)
  if (!networks) throw new UsageError(`--trust-proxy takes addresses or networks: 127.0.0.1,10.0.0.0/8, not "${text}".`)
  return networks
}

async function tlsOption(call: CommandCall): Promise<TlsFiles | 'self-signed' | 'off'> {
  const text = stringOption(call, 'tls') ?? 'auto'
  if (text === 'auto') return 'self-signed'
  if (text === 'off') return 'off'
  const [certFile, keyFile, ...more] = text.split(',')
  if (!certFile || !keyFile || more.length > 0) throw new UsageError('--tls takes auto, off, or two files: CERT,KEY.')
  try {
    const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')])
    return { cert, key }
  } catch (cause) {
    throw new CodedError('coord/bad-config', `The certificate cannot be read: ${messageOf(cause)}.`, { cause })
  }
}

/** Stock clients that have to redial a plain-http server by name insist on TLS at port 443 (control.md §2.2). */
function warnOfForcedTls(url: string): void {
  const { protocol, hostname } = new URL(url)
  if (protocol !== 'http:' || hostname === 'localhost' || isIP(hostname.replaceAll(/[[\]]/g, '')) !== 0) return
  remark(`Some clients reconnect to a plain http server with a name by TLS on port 443 only. Better: an https --url.`)
}
