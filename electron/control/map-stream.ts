import { fromUtf8 } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { isCoded } from '../base/errors.ts'
import type { DiscoPublic, NodePublic } from '../crypto/keys.ts'
import type { HostinfoInput } from '../wire/tailcfg/hostinfo.ts'
import { MapFrameDecoder, parseMapPayload } from '../wire/tailcfg/map-frame.ts'
import { endpointType, mapRequest, type MapRequestInput } from '../wire/tailcfg/map-request.ts'
import type { MapResponse } from '../wire/tailcfg/map-response.ts'
import { encodeMessage } from '../wire/tailcfg/schema.ts'
import type { ControlAnswer, ControlConnection } from './control-connection.ts'
import { ControlError } from './control-error.ts'

/** Servers send something every minute (Headscale: 50 to 59 s); twice that without a byte is a dead stream. */
export const WATCHDOG_MS = 120_000
const MAX_ERROR_TEXT_BYTES = 64 * 1024

/** What the server is told about this node. */
export interface NodeState {
  readonly nodeKey: NodePublic
  readonly discoKey: DiscoPublic
  readonly hostinfo: HostinfoInput
  readonly endpoints: readonly KnownEndpoint[]
}

export interface KnownEndpoint {
  readonly endpoint: string
  readonly type: keyof typeof endpointType
}

export function mapMessage(version: number, state: NodeState, kind: 'poll' | 'update'): Uint8Array {
  const message: MapRequestInput = {
    version,
    compress: 'zstd',
    keepAlive: true,
    nodeKey: state.nodeKey,
    discoKey: state.discoKey,
    hostinfo: state.hostinfo,
    endpoints: state.endpoints.map(({ endpoint }) => endpoint),
    endpointTypes: state.endpoints.map(({ type }) => endpointType[type]),
    // A poll stores nothing (version 68 on); an update wants no map back.
    stream: kind === 'poll',
    omitPeers: kind === 'update',
  }
  return encodeMessage(mapRequest, message)
}

/**
 * One map poll, until it breaks: it never returns. `onResponse` is called in order, keep-alives included. Throws
 * ControlError, or the signal's reason.
 */
export async function readMapStream(
  connection: ControlConnection,
  body: Uint8Array,
  headers: Readonly<Record<string, string>>,
  clock: Clock,
  onResponse: (response: MapResponse) => void,
  signal: AbortSignal,
): Promise<never> {
  const silent = new AbortController()
  const arm = (): (() => void) =>
    clock.after(WATCHDOG_MS, () =>
      silent.abort(
        new ControlError(
          'control/disconnected',
          `The coordination server has said nothing for ${WATCHDOG_MS / 1000} s.`,
        ),
      ),
    )
  let disarm = arm()
  try {
    const either = AbortSignal.any([signal, silent.signal])
    const { status, chunks } = await connection.stream({ method: 'POST', path: '/machine/map', body, headers }, either)
    if (status !== 200) throw mapRefusal(status, await textOf(chunks))
    const decoder = new MapFrameDecoder()
    for await (const chunk of chunks) {
      disarm()
      disarm = arm()
      for (const payload of decoder.push(chunk)) onResponse(parseMapPayload(payload, 'zstd'))
    }
    throw new ControlError('control/disconnected', 'The coordination server ended the map stream.')
  } catch (error) {
    if (isCoded(error) && error.code.startsWith('wire/'))
      throw new ControlError('control/bad-answer', `The server sent a map that cannot be read: ${error.message}`, {
        cause: error,
      })
    throw error
  } finally {
    disarm()
  }
}

export function mapRefusal(status: number, text: string): ControlError {
  // 404 is what servers answer for a node key they do not know; asking again does not help.
  if (status === 404 || status === 401)
    return new ControlError(
      'control/node-unknown',
      'The server does not know this computer any more. Sign in again, or ask the owner whether it was removed.',
    )
  return new ControlError(
    'control/refused',
    `The server does not give out its map: it answers ${status} ${text}`.trim(),
  )
}

/** The first words of an error answer, fit for a log line. */
export function shortText(answer: Pick<ControlAnswer, 'body'>): string {
  return fromUtf8(answer.body.subarray(0, 200))
    .replaceAll(/[\p{Cc}\p{Cf}]/gu, ' ')
    .trim()
}

async function textOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const chunk of chunks) {
    parts.push(chunk)
    length += chunk.length
    if (length > MAX_ERROR_TEXT_BYTES) break
  }
  return shortText({ body: Buffer.concat(parts) })
}
