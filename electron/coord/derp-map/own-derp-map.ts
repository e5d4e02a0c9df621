// The regions that somebody added, as they are kept, and what machines are told: those and the server's own.

import { derpMap, type DerpMapInput, type DerpRegionInput } from '../../wire/tailcfg/derp-map.ts'
import { type KeptSetting, recordOf } from '../kept-settings.ts'
import type { OwnDerpMap } from './read-derp-map.ts'

export const NO_OWN_DERP_MAP: OwnDerpMap = { map: { regions: new Map() }, omitsEmbedded: false }

export const ownDerpMap: KeptSetting<OwnDerpMap> = {
  name: 'derp-map',
  parse(text) {
    const { map, omitsEmbedded } = recordOf(text)
    if (map === undefined) return NO_OWN_DERP_MAP
    try {
      return { map: derpMap.read(map), omitsEmbedded: omitsEmbedded === true }
    } catch {
      return NO_OWN_DERP_MAP
    }
  },
}

export const ownDerpMapText = ({ map, omitsEmbedded }: OwnDerpMap): string =>
  JSON.stringify({ map: derpMap.write(map), omitsEmbedded })

/** A region of one's own takes the place of an embedded one with the same number. */
export function mergedDerpMap(embedded: DerpMapInput, own: OwnDerpMap): DerpMapInput {
  const regions = new Map<number, DerpRegionInput>(own.omitsEmbedded ? [] : (embedded.regions ?? []))
  for (const [id, region] of own.map.regions ?? []) regions.set(id, region)
  return { ...embedded, ...(own.map.homeParams && { homeParams: own.map.homeParams }), regions }
}
