// Rates and sizes as people type and read them.

const BYTES = { '': 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 } as const

/** Bytes per second of "500k", "2.5M", "2MB/s" or, in bits, "20mbit"; undefined when it is none of these. */
export function parseRate(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([kmg]?)(b|b\/s|bytes|bit|bit\/s|bps)?$/i.exec(text.trim())
  if (!match) return undefined
  const scale = BYTES[(match[2] ?? '').toLowerCase() as keyof typeof BYTES]
  const isBits = /^b(it|ps)/i.test(match[3] ?? '')
  const rate = Math.round((Number(match[1]) * scale) / (isBits ? 8 : 1))
  return Number.isSafeInteger(rate) ? rate : undefined
}

/** Bytes of "200GB", "1.5T" or "500m"; undefined when it is none of these. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(b|bytes)?$/i.exec(text.trim())
  if (!match) return undefined
  const size = Math.round(Number(match[1]) * BYTES[(match[2] ?? '').toLowerCase() as keyof typeof BYTES])
  return Number.isSafeInteger(size) ? size : undefined
}

const STEPS = [
  [1e12, 'TB'],
  [1e9, 'GB'],
  [1e6, 'MB'],
  [1e3, 'kB'],
] as const

/** "1.5 MB", "820 bytes". */
export function bytesText(bytes: number): string {
  const step = STEPS.find(([least]) => bytes >= least)
  return step ? `${(bytes / step[0]).toFixed(1)} ${step[1]}` : `${bytes} bytes`
}
