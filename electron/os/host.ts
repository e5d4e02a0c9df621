// The one place that reads process.platform.

import { mkdirSync } from 'node:fs'
import { homedir, hostname, release } from 'node:os'
import { join } from 'node:path'
import { CodedError } from '../base/errors.ts'
import type { HostNetwork } from './host-network.ts'
import { LinuxHostNetwork } from './host-network-linux.ts'
import { LinuxSystemDns, type SystemDns } from './system-dns.ts'

export function openHostNetwork(): HostNetwork {
  if (process.platform === 'linux') return new LinuxHostNetwork()
  throw new CodedError(
    'os/unsupported',
    `Peerway cannot set up the network of this system yet (${process.platform}). Linux works today.`,
  )
}

/** Settings that were there before are kept in the state folder. */
export const openSystemDns = (stateDir: string): SystemDns =>
  new LinuxSystemDns({ keep: join(stateDir, 'resolv.conf.before') })

export const isRoot = (): boolean => process.getuid?.() === 0

/** Where state lives by default: /var/lib/peerway as root, else XDG. */
export function defaultStateDir(): string {
  if (isRoot()) return '/var/lib/peerway'
  return join(process.env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'peerway')
}

/** The agent's socket by default: /run/peerway as root, else XDG_RUNTIME_DIR, else beside the state. */
export function defaultSocketPath(): string {
  if (isRoot()) return '/run/peerway/agent.sock'
  const runtime = process.env['XDG_RUNTIME_DIR']
  return runtime ? join(runtime, 'peerway', 'agent.sock') : join(defaultStateDir(), 'agent.sock')
}

/** Creates the folder of a path that only its owner may enter. */
export function ensurePrivateFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
}

export interface HostFacts {
  /** As the field's Hostinfo writes it: linux, windows, macOS. */
  readonly os: string
  readonly osVersion: string
  readonly hostname: string
  readonly arch: string
}

export function hostFacts(): HostFacts {
  const names: Partial<Record<NodeJS.Platform, string>> = { linux: 'linux', darwin: 'macOS', win32: 'windows' }
  const architectures: Record<string, string> = { x64: 'amd64', ia32: '386' }
  return {
    os: names[process.platform] ?? process.platform,
    osVersion: release(),
    hostname: hostname().split('.')[0] || 'computer',
    arch: architectures[process.arch] ?? process.arch,
  }
}
