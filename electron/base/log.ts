import { inspect } from 'node:util'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** One line per fact. Keys print as [redacted] by their type. */
export interface Logger {
  debug(message: string, facts?: Facts): void
  info(message: string, facts?: Facts): void
  warn(message: string, facts?: Facts): void
  error(message: string, facts?: Facts): void
  /** A logger whose lines carry `scope`, as in "[derp]". */
  scoped(scope: string): Logger
}

export type Facts = Readonly<Record<string, unknown>>

const ORDER: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 }

export function createLogger(write: (line: string) => void, level: LogLevel = 'info', scope = ''): Logger {
  const log = (at: LogLevel, message: string, facts?: Facts): void => {
    if (ORDER[at] < ORDER[level]) return
    write(`${new Date().toISOString()} ${at}${scope ? ` [${scope}]` : ''} ${message}${facts ? renderFacts(facts) : ''}`)
  }
  return {
    debug: (message, facts) => log('debug', message, facts),
    info: (message, facts) => log('info', message, facts),
    warn: (message, facts) => log('warn', message, facts),
    error: (message, facts) => log('error', message, facts),
    scoped: (inner) => createLogger(write, level, scope ? `${scope}/${inner}` : inner),
  }
}

function renderFacts(facts: Facts): string {
  let text = ''
  for (const [name, value] of Object.entries(facts)) {
    if (value === undefined) continue
    const plain = typeof value === 'string' ? value : value instanceof Error ? value.message : inspect(value)
    text += ` ${name}=${/[\s"=]/.test(plain) ? JSON.stringify(plain) : plain}`
  }
  return text
}

export const silentLogger: Logger = createLogger(() => {}, 'error')

/** Logs to stderr at the level of PEERWAY_LOG (debug, info, warn, error); warn when unset or unknown. */
export function stderrLogger(): Logger {
  const wanted = process.env['PEERWAY_LOG']
  const level: LogLevel = wanted === 'debug' || wanted === 'info' || wanted === 'error' ? wanted : 'warn'
  return createLogger((line) => process.stderr.write(`${line}\n`), level)
}
