// Whether this machine runs on its battery. Linux: /sys/class/power_supply, as the kernel's power-supply class documents it.

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

export type PowerSource = 'mains' | 'battery' | 'unknown'

const SUPPLIES = '/sys/class/power_supply'
/** More supplies than any machine has. */
const MOST_SUPPLIES = 32

export interface PowerSupply {
  readonly type: string
  /** "Device" is a mouse's or a phone's battery. */
  readonly scope: string
  readonly online: string
  readonly status: string
  readonly present: string
}

/** Unknown where the system tells nothing: other systems than Linux, so far, and machines without any supply to look at. */
export async function readPowerSource(folder = SUPPLIES): Promise<PowerSource> {
  try {
    const names = (await readdir(folder)).slice(0, MOST_SUPPLIES)
    return powerSourceOf(await Promise.all(names.map((name) => readSupply(join(folder, name)))))
  } catch {
    return 'unknown'
  }
}

export function powerSourceOf(supplies: readonly PowerSupply[]): PowerSource {
  const own = supplies.filter(({ scope }) => scope !== 'Device')
  const batteries = own.filter(({ type, present }) => type === 'Battery' && present !== '0')
  const chargers = own.filter(({ type }) => type === 'Mains' || type.startsWith('USB') || type === 'Wireless')
  // A charger that is too weak lets the battery drain all the same: still plugged in, as its owner sees it.
  if (chargers.some(({ online }) => online !== '' && online !== '0')) return 'mains'
  if (batteries.length === 0) return chargers.length > 0 ? 'mains' : 'unknown'
  if (batteries.some(({ status }) => status === 'Discharging')) return 'battery'
  // Chargers that say nothing, or none at all: a battery that fills has one.
  if (batteries.some(({ status }) => status === 'Charging' || status === 'Full')) return 'mains'
  return chargers.length > 0 ? 'battery' : 'unknown'
}

async function readSupply(folder: string): Promise<PowerSupply> {
  // What a supply does not have is no file there.
  const read = async (name: string): Promise<string> => {
    try {
      return (await readFile(join(folder, name), 'utf8')).trim()
    } catch {
      return ''
    }
  }
  const [type, scope, online, status, present] = await Promise.all([
    read('type'),
    read('scope'),
    read('online'),
    read('status'),
    read('present'),
  ])
  return { type, scope, online, status, present }
}
