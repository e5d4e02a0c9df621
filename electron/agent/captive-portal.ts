// Does this network hold everything back until someone signs in on a web page? Servers that are known to answer a plain HTTP
// question with 204 and our own challenge are asked; a portal answers in their place. paths.md §2.8.

import { request } from 'node:http'
import { isV6 } from '../base/endpoint.ts'
import type { DerpMap } from '../wire/tailcfg/derp-map.ts'

const ANSWER_MS = 3_000
const MOST_QUESTIONS = 5
const MOST_HEADER_BYTES = 16 * 1024
const PATH = '/generate_204'
const NO_CONTENT = 204
/** RFC 6585: the answer of an honest portal. */
const AUTHENTICATION_REQUIRED = 511

export interface PortalQuestion {
  readonly url: string
  readonly challenge: string
}

export interface PortalReply {
  readonly status: number
  readonly location: string | undefined
  readonly response: string | undefined
}

/** The home region's servers first, as far as they serve port 80, and the coordination server. */
export function portalQuestions(
  derpRegions: DerpMap['regions'],
  home: number | undefined,
  serverUrl: string | undefined,
): readonly PortalQuestion[] {
  const regions = [...(derpRegions?.values() ?? [])].toSorted(
    (a, b) => Number(b.regionId === home) - Number(a.regionId === home),
  )
  const servers = regions.flatMap(({ nodes }) =>
    nodes.filter((node) => node.canPort80).map((node) => withPort80(node.ipv4 || node.hostName)),
  )
  const control = serverUrl === undefined || !URL.canParse(serverUrl) ? undefined : new URL(serverUrl)
  if (control) servers.splice(1, 0, control.protocol === 'http:' ? control.host : withPort80(control.hostname))
  return [...new Set(servers)]
    .filter((host) => URL.canParse(`http://${host}`))
    .slice(0, MOST_QUESTIONS)
    .map((host) => ({ url: `http://${host}${PATH}`, challenge: `ts_${new URL(`http://${host}`).hostname}` }))
}

const withPort80 = (host: string): string => (isV6(host) && !host.startsWith('[') ? `[${host}]` : host)

/**
 * True for a portal, false for the server itself, undefined for what may be either: a server that knows the question not,
 * or sends everyone on to https.
 */
export function portalVerdict({ url, challenge }: PortalQuestion, reply: PortalReply): boolean | undefined {
  if (reply.status === NO_CONTENT) return reply.response === `response ${challenge}` ? false : undefined
  if (reply.status === AUTHENTICATION_REQUIRED) return true
  if (reply.status === 200) return true
  if (reply.status < 300 || reply.status >= 400 || reply.location === undefined) return undefined
  if (!URL.canParse(reply.location, url)) return undefined
  return new URL(reply.location, url).hostname !== new URL(url).hostname ? true : undefined
}

/** Ends within some seconds and never rejects. Undefined when nobody gave an answer that means anything. */
export async function detectPortal(
  questions: readonly PortalQuestion[],
  signal: AbortSignal,
): Promise<boolean | undefined> {
  const late = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)])
  const verdicts = await Promise.all(
    questions.map((question) =>
      ask(question, late).then(
        (reply) => portalVerdict(question, reply),
        () => undefined,
      ),
    ),
  )
  return verdicts.includes(false) ? false : verdicts.includes(true) ? true : undefined
}

/** Follows no redirect and reads no body. */
function ask({ url, challenge }: PortalQuestion, signal: AbortSignal): Promise<PortalReply> {
  return new Promise((resolve, reject) => {
    const headers = { 'X-Tailscale-Challenge': challenge, Connection: 'close' }
    const sent = request(url, { agent: false, headers, maxHeaderSize: MOST_HEADER_BYTES, signal }, (response) => {
      const { location, 'x-tailscale-response': own } = response.headers
      resolve({ status: response.statusCode ?? 0, location, response: typeof own === 'string' ? own : undefined })
      sent.destroy()
    })
    sent.on('error', reject)
    sent.end()
  })
}
