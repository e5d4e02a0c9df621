// Policies to be compiled by a stock server and by ours, and the tailnet they are for. All of a policy's own names stand
// in DEFINITIONS; a case is its rules.

export interface CaseNode {
  readonly name: string
  readonly user: 'anna' | 'ben' | 'cleo'
  readonly tags: readonly string[]
  readonly routes: readonly string[]
}

const node = (name: string, user: CaseNode['user'], more: Partial<CaseNode> = {}): CaseNode => ({
  name,
  user,
  tags: [],
  routes: [],
  ...more,
})

/** In the order of their addresses, 100.64.0.1 and fd7a:115c:a1e0::1 first: neighbours make ranges. */
export const NODES: readonly CaseNode[] = [
  node('laptop', 'anna'),
  node('phone', 'anna'),
  node('pc', 'ben'),
  node('tablet', 'cleo'),
  node('server', 'anna', { tags: ['tag:server'] }),
  node('db', 'anna', { tags: ['tag:server', 'tag:db'] }),
  node('router', 'cleo', { routes: ['10.1.0.0/16', '192.168.7.0/24'] }),
  node('exit', 'ben', { routes: ['0.0.0.0/0', '::/0'] }),
]

/** anna has an address of her own; the others are local names. */
export const USERS: readonly { readonly name: CaseNode['user']; readonly email?: string }[] = [
  { name: 'anna', email: 'anna@example.org' },
  { name: 'ben' },
  { name: 'cleo' },
]

const DEFINITIONS = `
  // Names for all cases.
  "groups": {
    "group:dev": ["anna@example.org", "ben@"],
    "group:ops": ["cleo@"],
    "group:empty": [],
    "group:gone": ["nobody@example.org"],
  },
  "hosts": {
    "lan": "10.1.0.0/16",
    "printer": "10.1.2.3",
    "elsewhere": "172.31.0.0/16",
    "resolver": "9.9.9.9",
  },
  "tagOwners": {
    "tag:server": ["group:dev"],
    "tag:db": ["anna@example.org"],
    "tag:unused": ["cleo@"],
  },
`

export interface PolicyCase {
  readonly name: string
  readonly acls: readonly string[] | undefined
  /** Whether peers are compared too. They take new streams: version 0.27 takes none back on those that run. */
  readonly comparesPeers: boolean
}

export function policyText({ acls }: PolicyCase, marker: string | undefined): string {
  if (acls === undefined) return `{${DEFINITIONS}}`
  const all = marker === undefined ? acls : [...acls, rule([marker], ['*:1'])]
  return `{${DEFINITIONS} "acls": [${all.join(',')}],}`
}

function rule(src: readonly string[], dst: readonly string[], proto?: string): string {
  return JSON.stringify({ action: 'accept', ...(proto !== undefined && { proto }), src, dst })
}

const cases: PolicyCase[] = []
const add = (name: string, acls: readonly string[] | undefined, comparesPeers = false): void => {
  cases.push({ name, acls, comparesPeers })
}

add('all to all', [rule(['*'], ['*:*'])], true)
add('no rules at all', undefined)
add('nobody to all', [rule(['group:empty'], ['*:*'])])
add('an empty list of rules', [])

// Each kind of source to each kind of destination.
const SOURCES = ['*', 'anna@example.org', 'ben@', 'group:dev', 'tag:server', 'autogroup:member', 'autogroup:tagged']
const DESTINATIONS = ['cleo@', 'group:dev', 'tag:server', 'tag:db', 'lan', 'autogroup:member', 'autogroup:internet']
for (const src of SOURCES)
  for (const dst of DESTINATIONS) add(`${src} to ${dst}`, [rule([src], [`${dst}:22,80,8000-8100`])])

add('names of nobody as sources are no rule', [rule(['group:empty'], ['*:*']), rule(['group:gone'], ['*:*'])])
add('names of nobody as destinations are no rule', [rule(['*'], ['group:empty:*', 'tag:unused:22'])])
add('a rule of which one half names nobody', [rule(['group:gone', 'ben@'], ['tag:unused:22', 'tag:db:22'])], true)
add('a user by local name and one by address', [rule(['anna@'], ['ben@:22']), rule(['ben@'], ['anna@example.org:22'])])
add('several sources make one set', [rule(['ben@', 'anna@example.org', 'tag:db'], ['cleo@:*'])], true)
add('overlapping sources are merged', [rule(['autogroup:member', 'group:dev', 'cleo@', 'ben@'], ['tag:server:443'])])
add('overlapping destinations', [rule(['ben@'], ['tag:server:443', 'tag:db:443', 'autogroup:tagged:22'])], true)
add('neighbours make ranges', [
  rule(['anna@example.org', 'ben@', 'cleo@'], ['anna@example.org:1', 'ben@:2', 'cleo@:3']),
])
add('several rules with the same sources', [
  rule(['ben@'], ['tag:db:5432']),
  rule(['ben@'], ['tag:server:22']),
  rule(['ben@'], ['tag:db:5433', 'cleo@:80']),
])
add('the same rule twice', [rule(['ben@'], ['tag:db:5432']), rule(['ben@'], ['tag:db:5432'])])
add('a wide and a narrow rule', [rule(['*'], ['tag:server:80']), rule(['anna@example.org'], ['tag:server:*'])], true)
add('to one’s own name', [rule(['anna@example.org'], ['anna@example.org:*'])])
add('both ways', [rule(['ben@'], ['tag:db:5432']), rule(['tag:db'], ['ben@:9000'])], true)
add('everyone to servers, servers to nobody', [rule(['autogroup:member'], ['autogroup:tagged:*'])], true)

// Addresses: with both families of a node, since version 0.27 adds the other one itself.
add('a node by its addresses', [
  rule(['100.64.0.3', 'fd7a:115c:a1e0::3'], ['100.64.0.6:5432', 'fd7a:115c:a1e0::6:5432']),
])
add('a block of addresses', [rule(['100.64.0.0/29'], ['100.64.0.0/30:443'])], true)
add('a block of IPv6', [rule(['fd7a:115c:a1e0::/64'], ['fd7a:115c:a1e0::/125:443'])])
add('an address nobody has', [rule(['100.64.9.9'], ['*:22']), rule(['*'], ['100.64.9.9:22'])])

// What is behind routers, and the internet.
add('one machine of a subnet', [rule(['ben@'], ['printer:631'])], true)
add('a subnet by its CIDR', [rule(['group:dev'], ['192.168.7.0/24:*'])])
add('part of a subnet', [rule(['anna@example.org'], ['192.168.7.128/25:80', '10.1.255.0/24:80'])], true)
add('a block that holds the subnet', [rule(['anna@example.org'], ['10.0.0.0/8:443'])])
add('a subnet nobody serves', [rule(['*'], ['elsewhere:22'])], true)
add('a subnet as source', [rule(['lan'], ['tag:server:443'])])
add('a machine of a subnet as source', [rule(['printer'], ['cleo@:9100'])])
add('the internet for some', [rule(['autogroup:member'], ['autogroup:internet:*'])], true)
add('the internet on some ports', [rule(['ben@', 'tag:db'], ['autogroup:internet:80,443'])])
add('one address of the internet', [rule(['anna@example.org'], ['resolver:53'])], true)
add('the internet and servers in one rule', [rule(['anna@example.org'], ['autogroup:internet:443', 'tag:server:22'])])

// Ports and protocols.
add('lists and ranges of ports', [rule(['ben@'], ['tag:server:1,3,5-7,65535', 'tag:db:0-1023'])])
add('ranges that touch and overlap', [rule(['ben@'], ['tag:db:1-10,5-20,21-30', 'tag:server:15'])])
for (const proto of ['tcp', 'udp', 'sctp']) add(`protocol ${proto}`, [rule(['ben@'], ['tag:db:5432-5433'], proto)])
for (const proto of ['icmp', 'igmp', 'ipv4', 'ip-in-ip', 'egp', 'igp', 'gre', 'esp', 'ah', '6', '17', '58', '255'])
  add(`protocol ${proto}`, [rule(['anna@example.org'], ['tag:server:*', 'cleo@:*'], proto)])
add('protocols side by side', [
  rule(['ben@'], ['tag:db:53'], 'udp'),
  rule(['ben@'], ['tag:db:53'], 'tcp'),
  rule(['ben@'], ['tag:db:*'], 'icmp'),
  rule(['ben@'], ['tag:db:80']),
])
add('protocols in capital letters', [rule(['ben@'], ['tag:db:53'], 'UDP')])

// One's own machines.
add('members to their own machines', [rule(['autogroup:member'], ['autogroup:self:*'])])
add('one user to her own machines', [rule(['anna@example.org'], ['autogroup:self:22'])])
add('a group, each to their own', [rule(['group:dev'], ['autogroup:self:22,443'], 'tcp')])
add('all, each to their own', [rule(['*'], ['autogroup:self:*'])])
add('own machines and servers in one rule', [rule(['autogroup:member'], ['autogroup:self:*', 'tag:server:443'])])
add('own machines, and others by other rules', [
  rule(['autogroup:member'], ['autogroup:self:*']),
  rule(['group:ops'], ['autogroup:member:22', 'autogroup:tagged:*']),
  rule(['tag:server'], ['tag:db:5432']),
])

// As such policies look in the field.
add(
  'a small company',
  [
    rule(['group:dev'], ['tag:server:22,80,443', 'tag:db:5432']),
    rule(['group:ops'], ['*:*']),
    rule(['tag:server'], ['tag:db:5432,6379']),
    rule(['autogroup:member'], ['printer:631,9100', 'resolver:53']),
  ],
  true,
)
add(
  'a family',
  [
    rule(['autogroup:member'], ['autogroup:member:*']),
    rule(['autogroup:member'], ['tag:server:445,8096', 'lan:*', 'autogroup:internet:*']),
  ],
  true,
)
add('servers that answer only', [
  rule(['autogroup:member'], ['tag:server:443'], 'tcp'),
  rule(['autogroup:member'], ['tag:server:443'], 'udp'),
])
add('a jump host', [rule(['group:dev'], ['tag:db:22']), rule(['tag:db'], ['*:22'])], true)

export const CASES: readonly PolicyCase[] = cases
