import { MonitorOff } from 'lucide-react'
import { useState } from 'react'
import type { PingReply, Reply } from '../../electron/contract/calls.ts'
import type { AgentSnapshot, NodeId, PeerView } from '../../electron/contract/snapshot.ts'
import { useNow } from '../hooks/use-now.ts'
import { osName, subtitleOf } from '../model/machines.ts'
import { pathTexts, pathWords, regionName } from '../../electron/contract/path-words.ts'
import { momentText } from '../model/time.ts'
import { CopyButton } from '../ui/copy-button.tsx'
import { EmptyState } from '../ui/empty-state.tsx'
import { Note } from '../ui/note.tsx'
import { Page } from '../ui/page.tsx'
import { PathChip } from '../ui/path-chip.tsx'
import { useActions, useUi } from '../use-app.ts'
import { splitMessage, words } from '../words.ts'

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
  const subtitle = peer.mine ? osName(peer.os) : subtitleOf(peer)
  return (
    <Page key={id} title={peer.name} subtitle={subtitle} onBack={home} isOver>
      {agent.state === 'running' && <PathSection agent={agent} peer={peer} />}
      <h2 className="section">{words.peer.addresses}</h2>
      <div className="card">
        <Fact name={words.peer.name} value={peer.dnsName} />
        {peer.addresses.map((address) => (
          <Fact key={address} name={address.includes(':') ? words.peer.ipv6 : words.peer.ipv4} value={address} />
        ))}
        <Fact name={words.peer.key} value={peer.nodeKey} isKey />
      </div>
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

interface PathSectionProps {
  readonly agent: AgentSnapshot
  readonly peer: PeerView
}

function PathSection({ agent, peer }: PathSectionProps) {
  const nowMs = useNow()
  const path = pathWords(peer, agent.derpRegions, nowMs)
  const works = path.mark !== 'off' && path.mark !== 'idle' && path.mark !== 'find'
  return (
    <section aria-label={path.sentence}>
      <div className="headline">
        <PathChip path={path} big />
        {works && <span className="right">{words.peer.since(momentText(peer.path.sinceAt, nowMs))}</span>}
      </div>
      <p className="dim small">{reasonOf(peer, agent, path.mark)}</p>
      {works && peer.path.kind === 'direct' && peer.path.via !== undefined && (
        <p className="faint small gap-2 num">
          {words.peer.viaEndpoint} <span className="selectable">{peer.path.via}</span>
        </p>
      )}
      {!peer.expired && peer.online !== false && <Measure peer={peer} regions={agent.derpRegions} />}
    </section>
  )
}

function reasonOf(peer: PeerView, agent: AgentSnapshot, mark: string): string {
  const text = words.peer
  if (peer.expired) return text.signedOut
  if (mark === 'off') return text.offline
  if (mark === 'idle') return text.idle
  const reason = asSentence(peer.path.reasonText)
  if (mark !== 'derp') return reason
  return `${reason} ${text.encryptedDerp(regionName(peer.path.via ?? '', agent.derpRegions))}`.trim()
}

function asSentence(text: string): string {
  if (text === '') return ''
  const capital = text[0]?.toUpperCase() + text.slice(1)
  return /[.!?]$/.test(capital) ? capital : `${capital}.`
}

/** Sends one ping and says by which way, and how fast, it was answered. */
function Measure({ peer, regions }: { readonly peer: PeerView; readonly regions: AgentSnapshot['derpRegions'] }) {
  const { ping, say } = useActions()
  const [isBusy, setBusy] = useState(false)
  const [reply, setReply] = useState<Reply<PingReply>>()
  async function measure(): Promise<void> {
    setBusy(true)
    const next = await ping(peer.addresses[0] ?? peer.dnsName)
    setReply(next)
    setBusy(false)
    if (next.ok) say(answerText(next.value, regions))
  }
  return (
    <div className="gap-3">
      {reply?.ok === false && <Note kind="warn" {...splitMessage(reply.message)} code={reply.code} />}
      <div className={reply?.ok === false ? 'measure gap-2' : 'measure'}>
        <button type="button" className="button" disabled={isBusy} onClick={() => void measure()}>
          {isBusy ? words.peer.measuring : words.peer.measure}
        </button>
        {reply?.ok === true && !isBusy && <span className="small dim num">{answerText(reply.value, regions)}</span>}
      </div>
    </div>
  )
}

function answerText({ kind, via, latencyMs }: PingReply, regions: AgentSnapshot['derpRegions']): string {
  const how = {
    direct: pathTexts.sentence.direct,
    'peer-relay': pathTexts.sentence.relay(via),
    derp: pathTexts.sentence.derp(regionName(via, regions)),
  }[kind]
  return words.peer.answered(pathTexts.ms(latencyMs), how)
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
