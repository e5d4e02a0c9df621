// The verbs `peerway coord routes …`: networks behind nodes, and exit nodes.

import type { RouteInfo } from '../coord/routes/routes-admin.ts'
import { adminOptionHelp, adminOptions, answer, ask, list } from './coord-admin.ts'
import type { Command, CommandCall } from './command.ts'

const base = { help: adminOptionHelp, options: adminOptions }

const routesList: Command = {
  ...base,
  name: 'coord routes list',
  summary: 'Lists the routes that nodes announce, and whether they may.',
  usage: ['coord routes list [NODE] [--json]'],
  example: 'peerway coord routes list',
  positionals: [0, 1],
  async run(call) {
    const routes = await ask(call, 'routes.list', { node: call.positionals[0] })
    return answer(call, routes, (rows) =>
      rows.length === 0
        ? 'No node announces routes. On a router: peerway up --advertise-routes 192.168.1.0/24'
        : list(['NODE', 'ROUTE', 'KIND', 'STATE', 'SERVING'], rows, (row) => [
            row.node,
            row.route,
            row.kind,
            row.announced ? row.state : `${row.state}, not announced`,
            row.serving ? 'yes' : '-',
          ]),
    )
  },
}

const routesApprove: Command = {
  ...base,
  name: 'coord routes approve',
  summary: 'Lets a node serve routes: those named, or all it announces.',
  usage: ['coord routes approve NODE [ROUTE,… | exit]'],
  example: 'peerway coord routes approve home-router 192.168.1.0/24',
  positionals: [1, 1_024],
  async run(call) {
    const routes = await ask(call, 'routes.approve', { node: call.positionals[0], routes: routesOf(call) })
    return answer(call, routes, (rows) => told(rows, 'approved'))
  },
}

const routesRevoke: Command = {
  ...base,
  name: 'coord routes revoke',
  summary: 'Takes routes from a node: those named, or all. They stay refused until approved again.',
  usage: ['coord routes revoke NODE [ROUTE,… | exit]'],
  example: 'peerway coord routes revoke home-router 192.168.1.0/24',
  positionals: [1, 1_024],
  async run(call) {
    const routes = await ask(call, 'routes.revoke', { node: call.positionals[0], routes: routesOf(call) })
    return answer(call, routes, (rows) => told(rows, 'refused'))
  },
}

function routesOf(call: CommandCall): string[] {
  return call.positionals
    .slice(1)
    .flatMap((text) => text.split(','))
    .map((text) => text.trim())
    .filter((text) => text !== '')
}

function told(rows: readonly RouteInfo[], state: RouteInfo['state']): string {
  const names = rows.filter((row) => row.state === state).map(({ route }) => route)
  const node = rows[0]?.node ?? 'the node'
  return names.length === 0 ? `${node} has no ${state} routes.` : `${state} for ${node}: ${names.join(', ')}`
}

export const routeCommands: readonly Command[] = [routesList, routesApprove, routesRevoke]
