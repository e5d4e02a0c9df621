import { MonitorOff } from 'lucide-react'
import type { AgentSnapshot, NodeId, PeerView } from '../../electron/contract/snapshot.ts'
import { usePathHistory } from '../hooks/use-path-history.ts'
import { osName, subtitleOf } from '../model/machines.ts'
import { CopyButton } from '../ui/copy-button.tsx'
import { EmptyState } from '../ui/empty-state.tsx'
import { Page } from '../ui/page.tsx'
import { useActions, useUi } from '../use-app.ts'
import { words } from '../words.ts'
import { PeerPath } from './peer-path.tsx'
import { PeerPolicy } from './peer-policy.tsx'

/** One machine: how it is reached and why, its addresses, whose it is. */
export function Peer({ id }: { readonly id: NodeId }) {
  const agent = useUi((ui) => ui.agent)
  const { home } = useActions()
  const peer = agent?.peers[id]
  if (!agent || !peer)
    return (
      <Page title={words.list.label} onBack={home} isOver>
        <EmptyState icon={MonitorOff} title={words.peer.gone} text={words.peer.goneText} />
      </Page>
    )
  return <Known key={id} agent={agent} peer={peer} />
}

function Known({ agent, peer }: { readonly agent: AgentSnapshot; readonly peer: PeerView }) {
  const { home } = useActions()
  const { view, ask } = usePathHistory(peer.id, peer.path.sinceAt)
  const subtitle = peer.mine ? osName(peer.os) : subtitleOf(peer)
  return (
    <Page title={peer.name} subtitle={subtitle} onBack={home} isOver>
      {agent.state === 'running' && <PeerPath agent={agent} peer={peer} view={view} />}
      <h2 className="section">{words.peer.addresses}</h2>
      <div className="card">
        <Fact name={words.peer.name} value={peer.dnsName} />
        {peer.addresses.map((address) => (
          <Fact key={address} name={address.includes(':') ? words.peer.ipv6 : words.peer.ipv4} value={address} />
        ))}
        <Fact name={words.peer.key} value={peer.nodeKey} isKey />
      </div>
      {view.policy && <PeerPolicy peer={peer} policy={view.policy} ask={ask} />}
      <h2 className="section">{words.peer.about}</h2>
      <div className="card">
        <Plain name={words.peer.owner} value={peer.ownerName || peer.ownerLogin} />
        <Plain name={words.peer.system} value={osName(peer.os)} />
        <Plain name={words.peer.tags} value={peer.tags.join(', ')} />
        <Plain name={words.peer.machine} value={peer.hostName === peer.name ? '' : peer.hostName} />
      </div>
    </Page>
  )
}

function Fact({
  name,
  value,
  isKey = false,
}: {
  readonly name: string
  readonly value: string
  readonly isKey?: boolean
}) {
  if (value === '') return null
  return (
    <div className="row tight">
      <span className="name">{name}</span>
      <span className={isKey ? 'grow ell mono' : 'grow ell num selectable'} title={value}>
        {isKey ? shortKey(value) : value}
      </span>
      <CopyButton
        text={value}
        name={isKey ? words.peer.key : value}
        label={`${words.copy} ${isKey ? words.peer.key : value}`}
      />
    </div>
  )
}

function Plain({ name, value }: { readonly name: string; readonly value: string }) {
  if (value === '') return null
  return (
    <div className="row tight plain">
      <span className="name">{name}</span>
      <span className="grow ell" title={value}>
        {value}
      </span>
    </div>
  )
}

/** "nodekey:8f3a61c2…d07e": enough to compare by eye. */
function shortKey(key: string): string {
  const [prefix = '', hex = ''] = key.split(':')
  return hex.length > 16 ? `${prefix}:${hex.slice(0, 8)}…${hex.slice(-4)}` : key
}
