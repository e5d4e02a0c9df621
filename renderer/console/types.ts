// What the API answers, as far as the console reads it (GET /api/v1/openapi.json has all of it).

export interface Me {
  readonly user?: string
  readonly role: 'owner' | 'admin' | 'member' | 'auditor'
  readonly tailnet: string
  readonly tailnets: readonly string[]
}

export interface Machine {
  readonly id: number
  readonly name: string
  readonly dnsName: string
  readonly user: string
  readonly tags: readonly string[]
  readonly addresses: readonly string[]
  readonly online: boolean
  readonly lastSeen?: string
  readonly approved: boolean
  readonly expired: boolean
  readonly expiresAt?: string
  readonly ephemeral: boolean
  readonly os: string
  readonly clientVersion: string
  readonly endpoints: readonly string[]
  readonly createdAt: string
}

export interface Paths {
  readonly nodeId: number
  readonly direct: number
  readonly peerRelay: number
  readonly derp: number
}

export interface Settings {
  readonly tailnet: string
  readonly domain: string
  readonly deviceApproval: 'off' | 'always' | 'unless-pre-approved'
  readonly keyLifetimeMs?: number
  readonly keyRenewal: boolean
}

export interface DerpMap {
  readonly regions: readonly {
    readonly id: number
    readonly code: string
    readonly name: string
    /** Of the server itself. */
    readonly embedded: boolean
    readonly nodes: readonly {
      readonly host: string
      readonly derpPort: number
      readonly stunOnly: boolean
      readonly certificate?: string
    }[]
  }[]
}

export interface UploadedBackup {
  readonly upload: string
  readonly createdAt: string
  readonly networks: readonly string[]
  readonly people: number
  readonly machines: number
  readonly isOfThisServer: boolean
  readonly needsPassphrase: boolean
}

export type Restored = { readonly state: 'running' | 'done' } | { readonly state: 'failed'; readonly message: string }

export interface Waiting {
  readonly id: string
  readonly hostname: string
  readonly os: string
  readonly source: string
  readonly createdAt: string
}

export interface Route {
  readonly node: string
  readonly nodeId: number
  readonly route: string
  readonly kind: 'subnet' | 'exit'
  readonly announced: boolean
  readonly state: 'approved' | 'waiting' | 'refused'
  readonly serving: boolean
}

export interface Person {
  readonly id: number
  readonly name: string
  readonly displayName: string
  readonly role: string
  readonly nodes: number
  readonly createdAt: string
}

export interface AuthKey {
  readonly id: string
  readonly user: string
  readonly reusable: boolean
  readonly ephemeral: boolean
  readonly tags: readonly string[]
  readonly preApproved: boolean
  readonly state: string
  readonly expiresAt?: string
}

export interface Secret extends AuthKey {
  readonly key: string
}

export interface PolicyText {
  readonly revision: number
  readonly text: string
  readonly savedAt?: string
  readonly by?: string
}

export interface PolicyEffects {
  readonly effects: readonly {
    readonly from: string
    readonly to: string
    readonly gains: readonly string[]
    readonly loses: readonly string[]
  }[]
  readonly isCut: boolean
}

export interface Dns {
  readonly baseDomain: string
  readonly magicDns: boolean
  readonly nameservers: readonly string[]
  readonly overrideLocal: boolean
  readonly split: Readonly<Record<string, readonly string[]>>
  readonly searchDomains: readonly string[]
  readonly records: readonly { readonly name: string; readonly value: string }[]
}

export interface RelayAdvice {
  readonly isGathering: boolean
  readonly pairsInNeed: number
  readonly candidates: readonly {
    readonly node: string
    readonly isRelay: boolean
    readonly pairCount: number
    readonly measuredCount: number
    readonly savedMs: number
  }[]
  readonly relays: readonly {
    readonly node: string
    readonly pairCount: number
    readonly inUseCount: number
    readonly savedMs: number
  }[]
}

export interface AuditLine {
  readonly at: string
  readonly actor: string
  readonly actorName?: string
  readonly action: string
  readonly subject: string
  readonly subjectName?: string
  readonly detail: string
}
