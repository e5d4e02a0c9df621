import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { X509Certificate } from 'node:crypto'
import { ipToBytes, splitEndpoint } from '../base/endpoint.ts'
import { CodedError } from '../base/errors.ts'
import { stderrLogger } from '../base/log.ts'
import { urlAdmission } from '../derp/admission.ts'
import { listenDerp } from '../derp/derp-listener.ts'
import { DerpServer } from '../derp/derp-server.ts'
import type { RateLimit } from '../derp/server-session.ts'
import { startStunServer } from '../derp/stun-server.ts'
import { loadTlsIdentity, sha256RawOf } from '../derp/tls-identity.ts'
import { defaultStateDir } from '../os/host.ts'
import {
  type Command,
  type CommandCall,
  commandHelp,
  DONE,
  parseCommand,
  print,
  stringOption,
  UsageError,
} from './command.ts'
import { untilTold } from './signals.ts'

const derp: Command = {
  name: 'derp',
  summary: 'Runs a DERP server alone: it relays encrypted packets between nodes that cannot reach each other.',
  usage: [
    'derp (--verify-url URL | --open) [--listen ADDR] [--stun ADDR] [--hostname H] [--cert-dir DIR | --tls CERT,KEY]',
  ],
  help: {
    listen: '--listen ADDR      TLS address, as 0.0.0.0:443 or :443 (the default)',
    stun: '--stun ADDR        UDP address for STUN, :3478 by default; "off" for none',
    hostname: '--hostname H       names and addresses clients use, comma-separated (the name of this machine)',
    'cert-dir': '--cert-dir DIR     where the self-signed certificate is kept',
    tls: '--tls CERT,KEY     files of a certificate of your own instead',
    'verify-url': '--verify-url URL   who is asked whether to relay for a node: /verify of a coordination server',
    open: '--open             relays for anyone who knows the address',
    'client-rate': '--client-rate N    bytes per second that one client may send (10000000); "off" for no limit',
  },
  example: 'peerway derp --hostname derp.example.org --verify-url https://mesh.example.org/verify',
  options: {
    listen: { type: 'string' },
    stun: { type: 'string' },
    hostname: { type: 'string' },
    'cert-dir': { type: 'string' },
    tls: { type: 'string' },
    'verify-url': { type: 'string' },
    open: { type: 'boolean' },
    'client-rate': { type: 'string' },
  },
  positionals: [0, 0],
  async run(call) {
    const listen = addressOption(call, 'listen', ':443')
    const stunText = stringOption(call, 'stun') ?? ':3478'
    const stun = stunText === 'off' || stunText === '' ? undefined : addressOption(call, 'stun', stunText)
    const verifyUrl = urlOption(call, 'verify-url')
    const isOpen = call.values['open'] === true
    if ((verifyUrl === undefined) !== isOpen)
      throw new UsageError(
        'Who may use this server? Name whom to ask with --verify-url, as in --verify-url https://mesh.example.org/verify, or say --open to relay for anyone.',
      )
    const rateLimit = rateOption(call, 'client-rate')
    const hosts = (stringOption(call, 'hostname') ?? hostname()).split(',').filter((host) => host !== '')
    const log = stderrLogger().scoped('derp')
    const identity = await identityOf(call, hosts)
    if (verifyUrl === undefined) log.warn('this server relays for anyone')
    const server = new DerpServer({
      log,
      ...(verifyUrl === undefined ? {} : { admit: urlAdmission({ url: verifyUrl, log }) }),
      ...(rateLimit === undefined ? {} : { rateLimit }),
    })
    const listener = await listenDerp({ server, identity, ...listen })
    const stunServer = stun
      ? await startStunServer(stun).catch(async (error: unknown) => {
          await listener.close()
          throw error
        })
      : undefined
    const host = hosts[0] ?? listener.address
    print(`ready ${host.includes(':') ? `[${host}]` : host}:${listener.port} ${identity.sha256Raw}`)
    if (stunServer) print(`stun ${stunServer.port}`)
    await untilTold()
    await stunServer?.close()
    await listener.close()
    return DONE
  },
}

/** The verb `peerway derp`; returns the exit status. */
export const commands: readonly Command[] = [derp]

export async function runDerp(args: readonly string[]): Promise<number> {
  const call = parseCommand(derp, args)
  if (call !== 'help') return derp.run(call)
  print(commandHelp(derp))
  return DONE
}

async function identityOf(
  call: CommandCall,
  hosts: readonly string[],
): Promise<{ key: string; cert: string; sha256Raw: string }> {
  const tls = stringOption(call, 'tls')
  if (tls === undefined)
    return loadTlsIdentity({
      folder: stringOption(call, 'cert-dir') ?? join(defaultStateDir(), 'derp'),
      hosts,
      log: stderrLogger().scoped('derp'),
    })
  const [certFile, keyFile, ...more] = tls.split(',')
  if (!certFile || !keyFile || more.length > 0) throw new UsageError('--tls takes two files: CERT,KEY.')
  try {
    const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')])
    return { cert, key, sha256Raw: sha256RawOf(new X509Certificate(cert)) }
  } catch (cause) {
    throw new CodedError('derp/bad-identity', `The certificate ${certFile} or its key ${keyFile} cannot be read.`, {
      cause,
    })
  }
}

/** "1.2.3.4:443", "[::1]:443" or ":443"; the last means every address. */
function addressOption(call: CommandCall, name: string, fallback: string): { address?: string; port: number } {
  const text = stringOption(call, name) ?? fallback
  if (/^:\d{1,5}$/.test(text) && Number(text.slice(1)) <= 65_535) return { port: Number(text.slice(1)) }
  const endpoint = splitEndpoint(text)
  if (!endpoint || !ipToBytes(endpoint.address))
    throw new UsageError(`--${name} takes an address such as 0.0.0.0:443 or :443, not "${text}".`)
  return endpoint
}

function urlOption(call: CommandCall, name: string): string | undefined {
  const text = stringOption(call, name)
  if (text === undefined) return undefined
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol))
    throw new UsageError(`--${name} takes an http or https URL, not "${text}".`)
  return text
}

function rateOption(call: CommandCall, name: string): RateLimit | 'off' | undefined {
  const text = stringOption(call, name)
  if (text === undefined || text === 'off') return text
  if (!/^[1-9]\d{0,14}$/.test(text))
    throw new UsageError(`--${name} takes a number of bytes per second or "off", not "${text}".`)
  // A fifth of a second's worth at once, as the default has it.
  return { bytesPerSecond: Number(text), burstBytes: Math.ceil(Number(text) / 5) }
}
