import assert from 'node:assert/strict'
import { test } from 'node:test'
import { relayOff } from '../agent/relay-settings.ts'
import type { RelayStatusView } from '../contract/relay-view.ts'
import { emptySnapshot, type NodeId, type PeerView } from '../contract/snapshot.ts'
import { metricsText } from './metrics.ts'

const ID = 'n2' as NodeId
const PEER: PeerView = {
  id: ID,
  name: 'anna"s\\pc',
  dnsName: '',
  hostName: '',
  os: 'linux',
  addresses: [],
  allowedIps: [],
  nodeKey: '',
  ownerId: '1',
  ownerLogin: '',
  ownerName: '',
  mine: true,
  tags: [],
  online: true,
  lastSeenAt: undefined,
  expired: false,
  homeRegion: undefined,
  path: {
    kind: 'derp',
    lan: false,
    via: 'own',
    latencyMs: 1,
    looking: false,
    idle: false,
    sinceAt: 0,
    reason: '',
    reasonText: '',
  },
}

test('counts are told in the form that Prometheus reads', () => {
  const relay: RelayStatusView = {
    ...relayOff(undefined),
    state: 'running',
    totals: { 'sessions.open': 1, 'forwarded.bytes': 1234, 'refused.bad-pair': 2 },
  }
  const counted = { rxBytes: 5, txBytes: 6, lastHandshakeAt: 0, active: true }
  const text = metricsText(
    { ...emptySnapshot, state: 'running', peers: { [ID]: PEER } },
    { peers: { [ID]: counted } },
    relay,
  )
  for (const line of [
    'peerway_running 1',
    'peerway_peers{path="derp"} 1',
    'peerway_peer_received_bytes_total{peer="anna\\"s\\\\pc"} 5',
    '# TYPE peerway_relay_forwarded_bytes_total counter',
    'peerway_relay_forwarded_bytes_total 1234',
    'peerway_relay_sessions{state="open"} 1',
    'peerway_relay_refused_total{reason="bad-pair"} 2',
  ])
    assert.ok(text.split('\n').includes(line), `${line} is not in\n${text}`)
  for (const line of text.split('\n'))
    assert.match(line, /^(# (HELP|TYPE) \w+ .+|\w+(\{\w+="([^"\\\n]|\\.)*"\})? \d+)$/)
})
