// The tailnet as a file, for compiling a policy without a server:
//
//   { "users": [{ "name", "email"?, "role"?, "groups"? }],     groups of providers: "staff@corp"
//     "nodes": [{ "name", "user" or "tags", "addresses", "routableIPs"?, "approvedRoutes"? }] }

import { canonicalIp } from '../../base/endpoint.ts'
import { CodedError } from '../../base/errors.ts'
import { ROLES } from '../model.ts'
import { goesBy } from './alias.ts'
import { HuJsonError, lineAndColumn, parseHuJson, plainJson } from './hujson.ts'
import { IpSet, prefixRange } from './ip-set.ts'
import type { PolicyNode, PolicyUser, Topology } from './topology.ts'

export interface TopologyFile extends Topology {
  /** What each node announces, by its key; of it `routes` has what is approved. */
  readonly announced: ReadonlyMap<string, readonly string[]>
}

/** Throws CodedError 'coord/bad-argument'. */
export function readTopology(text: string): TopologyFile {
  const document = record(parse(text), 'the topology')
  const users = list(document['users'], 'users').map((raw, i) => readUser(record(raw, `users[${i}]`), `users[${i}]`))
  const announced = new Map<string, readonly string[]>()
  const nodes = list(document['nodes'], 'nodes').map((raw, i): PolicyNode => {
    const where = `nodes[${i}]`
    const node = record(raw, where)
    const key = textOf(node['name'], `${where}.name`)
    if (announced.has(key)) throw bad(`two nodes are named "${key}"; give each a name of its own`)
    const tags = texts(node['tags'], `${where}.tags`)
    const user = node['user'] === undefined || node['user'] === null ? '' : textOf(node['user'], `${where}.user`)
    const owner = users.find((one) => one.name === user) ?? users.find((one) => goesBy(one, user))
    if (tags.length === 0 && !owner) throw bad(`${where} has no tags, and its user "${user}" is not among "users"`)
    const addresses = texts(node['addresses'], `${where}.addresses`).map((one) => readAddress(one, where))
    const approved = texts(node['approvedRoutes'], `${where}.approvedRoutes`).map((one) => readRoute(one, where))
    const routable = texts(node['routableIPs'], `${where}.routableIPs`).map((one) => readRoute(one, where))
    const offered = node['routableIPs'] === undefined ? approved : routable
    announced.set(key, offered)
    const routes = offered.filter((route) => approved.includes(route))
    return { key, userKey: owner?.key, tags, addresses, routes }
  })
  return { users, nodes, announced }
}

function parse(text: string): unknown {
  try {
    return plainJson(parseHuJson(text))
  } catch (error) {
    if (!(error instanceof HuJsonError)) throw error
    const { line, column } = lineAndColumn(text, error.at)
    throw bad(`line ${line}, column ${column}: ${error.message}`)
  }
}

function readUser(user: Readonly<Record<string, unknown>>, where: string): PolicyUser {
  const name = textOf(user['name'], `${where}.name`)
  const email = user['email'] === undefined ? undefined : textOf(user['email'], `${where}.email`)
  const role = ROLES.find((one) => one === user['role'])
  return { key: name, name, email, role, groups: texts(user['groups'], `${where}.groups`) }
}

function readAddress(text: string, where: string): string {
  const address = canonicalIp(text.replace(/\/(32|128)$/, ''))
  if (address === undefined) throw bad(`${where}: "${text}" is no address`)
  return address
}

function readRoute(text: string, where: string): string {
  const range = prefixRange(text)
  if (!range) throw bad(`${where}: "${text}" is no CIDR block`)
  return IpSet.of([range]).toPrefixes()[0] ?? text
}

function record(raw: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) throw bad(`${what} is no object`)
  return { ...raw }
}

function list(raw: unknown, what: string): readonly unknown[] {
  if (raw === undefined || raw === null) return []
  if (!Array.isArray(raw)) throw bad(`"${what}" is no list`)
  return raw
}

function textOf(raw: unknown, what: string): string {
  if (typeof raw !== 'string' || raw === '') throw bad(`${what} is no text`)
  return raw
}

const texts = (raw: unknown, what: string): string[] => list(raw, what).map((one) => textOf(one, what))

const bad = (message: string) => new CodedError('coord/bad-argument', `The topology cannot be used: ${message}.`)
