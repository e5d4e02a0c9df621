// The shapes of answers as JSON Schema. A test compares them with what really comes.

import { AUTH_KEY_STATES } from '../auth-key.ts'
import { ROLES } from '../model.ts'
import { APPROVAL_MODES } from '../nodes/device-approval.ts'
import type { JsonSchema } from './fields.ts'
import { SCOPES } from './scopes.ts'

const text: JsonSchema = { type: 'string' }
const texts: JsonSchema = { type: 'array', items: text }
const flag: JsonSchema = { type: 'boolean' }
const whole: JsonSchema = { type: 'integer' }
const time: JsonSchema = { type: 'string', format: 'date-time' }
const any: JsonSchema = {}

/** Members whose name ends in "?" may be missing. */
function object(members: Readonly<Record<string, JsonSchema>>): JsonSchema {
  const entries = Object.entries(members)
  return {
    type: 'object',
    properties: Object.fromEntries(entries.map(([name, schema]) => [name.replace('?', ''), schema])),
    required: entries.flatMap(([name]) => (name.endsWith('?') ? [] : [name])),
    additionalProperties: false,
  }
}

const authKey = {
  id: text,
  user: text,
  reusable: flag,
  ephemeral: flag,
  tags: texts,
  preApproved: flag,
  state: { type: 'string', enum: AUTH_KEY_STATES },
  createdAt: time,
  'expiresAt?': time,
  'usedAt?': time,
}

const token = {
  id: text,
  name: text,
  scopes: { type: 'array', items: { type: 'string', enum: SCOPES } },
  'user?': text,
  createdAt: time,
  expiresAt: time,
}

const provider = object({
  name: text,
  label: text,
  issuer: text,
  clientId: text,
  hasSecret: flag,
  allowDomains: texts,
  allowGroups: texts,
  allowEveryone: flag,
  groupsClaim: text,
  scopes: texts,
  'redirectUri?': text,
  createdAt: time,
  'leavesAt?': time,
  isOver: flag,
  people: whole,
  dependents: whole,
})

export const SCHEMAS = {
  Provider: provider,
  ProviderStatus: object({
    provider,
    people: {
      type: 'array',
      items: object({
        user: text,
        displayName: text,
        account: text,
        groups: texts,
        lastSignInAt: time,
        passkeys: whole,
        password: flag,
        otherProviders: texts,
        depends: flag,
        machines: whole,
      }),
    },
  }),
  Node: object({
    id: whole,
    stableId: text,
    name: text,
    dnsName: text,
    hostname: text,
    user: text,
    tags: texts,
    addresses: texts,
    online: flag,
    'lastSeen?': time,
    approved: flag,
    expired: flag,
    'expiresAt?': time,
    ephemeral: flag,
    os: text,
    clientVersion: text,
    capVersion: whole,
    homeDerp: whole,
    endpoints: texts,
    nodeKey: text,
    machineKey: text,
    createdAt: time,
  }),
  NodeKeys: object({ 'lifetimeMs?': whole, renew: flag }),
  NodePaths: object({ nodeId: whole, direct: whole, peerRelay: whole, derp: whole }),
  Settings: object({
    tailnet: text,
    domain: text,
    deviceApproval: { type: 'string', enum: APPROVAL_MODES },
    'keyLifetimeMs?': whole,
    keyRenewal: flag,
  }),
  Login: object({ id: text, hostname: text, os: text, source: text, createdAt: time }),
  Route: object({
    node: text,
    nodeId: whole,
    route: text,
    kind: { type: 'string', enum: ['subnet', 'exit'] },
    announced: flag,
    state: { type: 'string', enum: ['approved', 'waiting', 'refused'] },
    serving: flag,
  }),
  User: object({
    id: whole,
    name: text,
    displayName: text,
    'email?': text,
    role: { type: 'string', enum: ROLES },
    nodes: whole,
    createdAt: time,
  }),
  EnrolLink: object({ user: text, url: { ...text, format: 'uri' }, expiresAt: time }),
  AuthKey: object(authKey),
  NewAuthKey: object({ ...authKey, key: text }),
  Policy: object({ revision: whole, text, 'savedAt?': time, 'by?': text }),
  PolicyEffects: object({
    effects: { type: 'array', items: object({ from: text, to: text, gains: texts, loses: texts }) },
    isCut: flag,
  }),
  DerpMap: object({
    embedded: { type: 'string', enum: ['told', 'omitted', 'none'] },
    regions: {
      type: 'array',
      items: object({
        id: whole,
        code: text,
        name: text,
        embedded: flag,
        nodes: {
          type: 'array',
          items: object({
            name: text,
            host: text,
            derpPort: whole,
            'stunPort?': whole,
            stunOnly: flag,
            'certificate?': text,
          }),
        },
      }),
    },
    map: any,
  }),
  Dns: object({
    baseDomain: text,
    magicDns: flag,
    nameservers: texts,
    overrideLocal: flag,
    split: { type: 'object', additionalProperties: texts },
    searchDomains: texts,
    records: { type: 'array', items: object({ name: text, value: text }) },
  }),
  RelayAdvice: {
    type: 'object',
    properties: { candidates: { type: 'array', items: any }, relays: { type: 'array', items: any } },
  },
  AuditEntry: object({
    at: time,
    actor: text,
    'actorName?': text,
    action: text,
    subject: text,
    'subjectName?': text,
    detail: text,
  }),
  Token: object(token),
  NewToken: object({ ...token, token: text }),
  Me: object({ 'user?': text, role: { type: 'string', enum: ROLES }, tailnet: text, tailnets: texts, scopes: texts }),
  UploadedBackup: object({
    upload: text,
    createdAt: time,
    rows: whole,
    networks: texts,
    people: whole,
    machines: whole,
    isOfThisServer: flag,
    needsPassphrase: flag,
  }),
  RestoreOutcome: object({ state: { type: 'string', enum: ['running', 'done', 'failed'] }, 'message?': text }),
  Error: object({
    error: object({
      code: text,
      message: text,
      'problems?': { type: 'array', items: object({ line: whole, column: whole, message: text }) },
    }),
  }),
} satisfies Record<string, JsonSchema>

export type SchemaName = keyof typeof SCHEMAS
