// Rows for tests of stores.

import { DiscoPrivate, MachinePrivate, NodePrivate } from '../../crypto/keys.ts'
import { NO_HOST_FACTS, type NodeReport } from '../model.ts'
import type { NewAuthKey, NewNode, NewUser } from './store.ts'

export const newUser: NewUser = { name: 'anna', displayName: 'Anna', email: undefined, role: 'owner', createdAtMs: 5 }

/** With an address by the length of the name. */
export function newNode(userId: number, name: string): NewNode {
  return {
    stableId: `n-${name}`,
    userId,
    machineKey: MachinePrivate.generate().public,
    nodeKey: NodePrivate.generate().public,
    name,
    nameIsFixed: false,
    addressV4: `100.64.0.${name.length}`,
    addressV6: `fd7a:115c:a1e0::${name.length}`,
    tags: ['tag:a'],
    expiresAtMs: undefined,
    createdAtMs: 7,
    ephemeral: true,
    authKeyId: 'key',
  }
}

export const newReport: NodeReport = {
  discoKey: DiscoPrivate.generate().public,
  endpoints: ['192.0.2.1:41641', '[2001:db8::1]:41641'],
  hostinfo: {
    ...NO_HOST_FACTS,
    hostname: 'Anna’s PC',
    os: 'linux',
    services: [{ proto: 'peerapi4', port: 39161, description: '' }],
    routableIps: ['10.0.0.0/8'],
    peerRelay: true,
    network: { mappingVariesByDestIp: false, workingUdp: true, workingIpv6: undefined, havePortMap: true },
  },
  homeDerp: 900,
  capVersion: 133,
  lastSeenAtMs: 99,
}

export const newKey = (id: string, reusable: boolean): NewAuthKey => ({
  id,
  userId: 1,
  reusable,
  ephemeral: false,
  tags: [],
  createdAtMs: 1,
  expiresAtMs: 2,
  usedAtMs: undefined,
  revokedAtMs: undefined,
})
