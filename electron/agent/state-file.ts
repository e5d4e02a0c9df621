// What the agent keeps over restarts: the machine key (once per installation), and per login a node key and its server.
// One JSON file, replaced atomically, mode 0600. A file that cannot be read is never overwritten: a new identity over a
// damaged one would lose the machine's place in its tailnet.

import { chmod, mkdir, readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { readTextIfThere, writeFileAtomic } from '../base/atomic-file.ts'
import { fromHex, toHex } from '../base/bytes.ts'
import { CodedError, codeOf, messageOf } from '../base/errors.ts'
import { FolderLock } from '../base/folder-lock.ts'
import { MachinePrivate, NodePrivate, NodePublic } from '../crypto/keys.ts'
import { isSameLogin } from './profiles.ts'
import { decodePaths, encodePaths, type PathSettings } from './path-settings.ts'
import { decodeRouting, encodeRouting, type RoutingSettings } from './routing/routing-settings.ts'
import { decodeRelay, encodeRelay, type RelaySettings } from './relay-settings.ts'

/** One login at one server. */
export interface Profile {
  readonly id: string
  readonly serverUrl: string
  /** The key of the present login, undefined after logout. */
  readonly nodeKey: NodePrivate | undefined
  /** Public half of the key before it, for the server to find the node again when it rotates. */
  readonly oldNodeKey: NodePublic | undefined
  /** Ed25519 seed of the tailnet-lock key: registers carry its public half. */
  readonly lockSeed: Uint8Array
  readonly hostname: string | undefined
  readonly loginName: string | undefined
  /** The tailnet's name for people, as the server last said it. */
  readonly tailnetName: string | undefined
  /** Never set: off. */
  readonly relay?: RelaySettings | undefined
  /** Never set: automatic for all. */
  readonly paths?: PathSettings | undefined
  /** Whether the home router is asked to forward ports. Never set: yes. */
  readonly portMapping?: boolean | undefined
  /** Which networks of others are used, and which are offered. Never set: none. */
  readonly routing?: RoutingSettings | undefined
}

export interface AgentState {
  readonly machineKey: MachinePrivate
  readonly profiles: readonly Profile[]
  readonly currentProfile: string | undefined
  /** The person's last wish: on or off. Survives a restart. */
  readonly wantRunning: boolean
}

const FORMAT = 1
const MOST_PROFILES = 64

export function newState(): AgentState {
  return { machineKey: MachinePrivate.generate(), profiles: [], currentProfile: undefined, wantRunning: false }
}

export function currentProfile(state: AgentState): Profile | undefined {
  return state.profiles.find((profile) => profile.id === state.currentProfile)
}

/**
 * Replaces the profile of the same id, or adds it; it is the current one then. Others without a login are forgotten, and one
 * that is the same login.
 */
export function withProfile(state: AgentState, profile: Profile): AgentState {
  const isReplaced = (other: Profile): boolean => other.id === profile.id || isSameLogin(other, profile)
  const at = state.profiles.findIndex(isReplaced)
  const all = at < 0 ? [...state.profiles, profile] : state.profiles.with(at, profile)
  const profiles = all.filter((one) => one === profile || (!isReplaced(one) && one.nodeKey !== undefined))
  if (profiles.length > MOST_PROFILES)
    throw new CodedError('agent/too-many-profiles', `There are ${MOST_PROFILES} networks already. Remove one first.`)
  return { ...state, profiles, currentProfile: profile.id }
}

/** When it was the current one, another is, and off. */
export function withoutProfile(state: AgentState, id: string): AgentState {
  const profiles = state.profiles.filter((profile) => profile.id !== id)
  if (state.currentProfile !== id) return { ...state, profiles }
  const next = profiles.find(({ nodeKey }) => nodeKey !== undefined)
  return { ...state, profiles, currentProfile: next?.id, wantRunning: false }
}

export function encodeState(state: AgentState): string {
  const document = {
    format: FORMAT,
    machineKey: state.machineKey.secretText(),
    currentProfile: state.currentProfile ?? null,
    wantRunning: state.wantRunning,
    profiles: state.profiles.map((profile) => ({
      id: profile.id,
      serverUrl: profile.serverUrl,
      nodeKey: profile.nodeKey?.secretText() ?? null,
      oldNodeKey: profile.oldNodeKey?.text ?? null,
      lockSeed: toHex(profile.lockSeed),
      hostname: profile.hostname ?? null,
      loginName: profile.loginName ?? null,
      tailnetName: profile.tailnetName ?? null,
      ...(profile.paths ? { paths: encodePaths(profile.paths) } : {}),
      ...(profile.relay ? { relay: encodeRelay(profile.relay) } : {}),
      ...(profile.portMapping === undefined ? {} : { portMapping: profile.portMapping }),
      ...(profile.routing ? { routing: encodeRouting(profile.routing) } : {}),
    })),
  }
  return `${JSON.stringify(document, undefined, 2)}\n`
}

/** Throws 'agent/state-damaged' or 'agent/state-newer'; the path is in the message, secrets never are. */
export function decodeState(content: string, path: string): AgentState {
  let document: Record<string, unknown>
  try {
    const value: unknown = JSON.parse(content)
    if (typeof value !== 'object' || value === null) throw new Error('not an object')
    document = value as Record<string, unknown>
  } catch {
    throw damaged(path, 'it is not JSON')
  }
  if (typeof document['format'] === 'number' && document['format'] > FORMAT)
    throw new CodedError(
      'agent/state-newer',
      `The state file ${path} was written by a newer Peerway. Install that version again; nothing was changed.`,
    )
  try {
    if (document['format'] !== FORMAT) throw new Error('its format is unknown')
    const list = document['profiles']
    if (!Array.isArray(list) || list.length > MOST_PROFILES) throw new Error('its list of networks is broken')
    const profiles = list.map(decodeProfile)
    const current = optionalText(document, 'currentProfile')
    if (current !== undefined && !profiles.some((profile) => profile.id === current))
      throw new Error('its current network is not in the list')
    return {
      machineKey: MachinePrivate.parse(requiredText(document, 'machineKey')),
      profiles,
      currentProfile: current,
      wantRunning: document['wantRunning'] === true,
    }
  } catch (error) {
    throw damaged(path, messageOf(error))
  }
}

function decodeProfile(value: unknown): Profile {
  if (typeof value !== 'object' || value === null) throw new Error('a network is not an object')
  const entry = value as Record<string, unknown>
  const nodeKey = optionalText(entry, 'nodeKey')
  const oldNodeKey = optionalText(entry, 'oldNodeKey')
  const lockSeed = fromHex(requiredText(entry, 'lockSeed'))
  if (lockSeed?.length !== 32) throw new Error('a lock key is broken')
  return {
    id: requiredText(entry, 'id'),
    serverUrl: requiredText(entry, 'serverUrl'),
    nodeKey: nodeKey === undefined ? undefined : NodePrivate.parse(nodeKey),
    oldNodeKey: oldNodeKey === undefined ? undefined : NodePublic.parse(oldNodeKey),
    lockSeed,
    hostname: optionalText(entry, 'hostname'),
    loginName: optionalText(entry, 'loginName'),
    tailnetName: optionalText(entry, 'tailnetName'),
    relay: decodeRelay(entry['relay']),
    paths: decodePaths(entry['paths']),
    routing: decodeRouting(entry['routing']),
    ...(typeof entry['portMapping'] === 'boolean' ? { portMapping: entry['portMapping'] } : {}),
  }
}

function requiredText(from: Record<string, unknown>, name: string): string {
  const value = from[name]
  if (typeof value !== 'string' || value === '') throw new Error(`"${name}" is missing`)
  return value
}

function optionalText(from: Record<string, unknown>, name: string): string | undefined {
  const value = from[name]
  if (value === null || value === undefined) return undefined
  if (typeof value !== 'string') throw new Error(`"${name}" is not text`)
  return value
}

function damaged(path: string, why: string): CodedError {
  return new CodedError(
    'agent/state-damaged',
    `The state file ${path} cannot be used: ${why}. Restore it from a backup, or move it away to start as a new machine. It was left as it is.`,
  )
}

export class StateFile {
  readonly path: string
  readonly #lock: FolderLock | 'unlocked'
  #state: AgentState
  #writing: Promise<void> = Promise.resolve()

  private constructor(path: string, state: AgentState, lock: FolderLock | 'unlocked') {
    this.path = path
    this.#state = state
    this.#lock = lock
  }

  /**
   * Reads the file, or makes a first state and writes it, so that the machine key never changes after its first use. The
   * folder is held until `close`: two agents with one identity would throw each other out of the network.
   */
  static async open(folder: string): Promise<StateFile> {
    const path = join(folder, 'agent.json')
    const lock = await takeFolder(folder)
    try {
      if (lock !== 'unlocked') await removeUnfinished(folder)
      return await StateFile.#read(path, lock)
    } catch (error) {
      if (lock !== 'unlocked') await lock.release()
      throw error
    }
  }

  static async #read(path: string, lock: FolderLock | 'unlocked'): Promise<StateFile> {
    let content: string | undefined
    try {
      content = await readTextIfThere(path)
    } catch (error) {
      throw new CodedError(
        'agent/state-unreadable',
        `The state file ${path} cannot be read (${codeOf(error) ?? 'error'}). Check its owner and rights.`,
        { cause: error },
      )
    }
    if (content !== undefined) {
      const file = new StateFile(path, decodeState(content, path), lock)
      await chmod(path, 0o600).catch(() => {})
      return file
    }
    const file = new StateFile(path, newState(), lock)
    await file.#write(file.#state)
    return file
  }

  /** Lets go of the folder once everything is written. */
  async close(): Promise<void> {
    await this.#writing
    if (this.#lock !== 'unlocked') await this.#lock.release()
  }

  get state(): AgentState {
    return this.#state
  }

  /** Resolves when the change is on disk. Changes are written in order. */
  update(change: (now: AgentState) => AgentState): Promise<void> {
    this.#state = change(this.#state)
    const state = this.#state
    const writing = this.#writing.then(() => this.#write(state))
    this.#writing = writing.catch(() => {})
    return writing
  }

  async #write(state: AgentState): Promise<void> {
    try {
      await writeFileAtomic(this.path, encodeState(state))
    } catch (error) {
      throw new CodedError(
        'agent/state-unwritable',
        `The state file ${this.path} cannot be written (${codeOf(error) ?? 'error'}). Check the folder's rights and free space.`,
        { cause: error },
      )
    }
  }
}

/** A run that was killed while it wrote left a file with keys in it. */
async function removeUnfinished(folder: string): Promise<void> {
  const names = await readdir(folder)
  for (const name of names)
    if (/^agent\.json\.[0-9a-f]{12}\.tmp$/.test(name)) await unlink(join(folder, name)).catch(() => {})
}

async function takeFolder(folder: string): Promise<FolderLock | 'unlocked'> {
  let lock: FolderLock | 'unlocked' | undefined
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    lock = await FolderLock.take(folder)
  } catch (error) {
    throw new CodedError(
      'agent/state-unwritable',
      `The state folder ${folder} cannot be used (${codeOf(error) ?? 'error'}). Check its owner and rights, or choose another with --state.`,
      { cause: error },
    )
  }
  if (!lock)
    throw new CodedError(
      'agent/state-in-use',
      `Another agent uses the state folder ${folder}. Use that one, stop it, or choose another with --state.`,
    )
  return lock
}
