// Bytes and rates as people say them, in powers of ten, with one digit behind the point below ten.

const steps = (bytesOrBits: number, units: readonly string[]): string => {
  const value = Math.max(bytesOrBits, 0)
  const size =
    value >= 999.5e9 && units.length > 4 ? 4 : value >= 999.5e6 ? 3 : value >= 999.5e3 ? 2 : value >= 999.5 ? 1 : 0
  const scaled = value / 1000 ** size
  const text = scaled < 9.95 && size > 0 ? scaled.toFixed(1).replace(/\.0$/, '') : String(Math.round(scaled))
  return `${text} ${units[size]}`
}

export const bytesText = (bytes: number): string => steps(bytes, ['B', 'kB', 'MB', 'GB', 'TB'])

/** In bits, as networks are sold. */
export const rateText = (bytesPerSecond: number): string =>
  steps(bytesPerSecond * 8, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s'])
