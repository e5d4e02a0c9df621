// How a machine is reached, why so, what to do about it, and how that was over the last minutes and hours.

import { useState } from 'react'
import type { PingReply, Reply } from '../../electron/contract/calls.ts'
import type { DoctorCause } from '../../electron/contract/doctor.ts'
import { type PathWords, pathTexts, pathWords, regionName } from '../../electron/contract/path-words.ts'
import type { PathChangeView, PathHistoryView } from '../../electron/contract/path-history-view.ts'
import type { AgentSnapshot, PeerView } from '../../electron/contract/snapshot.ts'
import { useNow } from '../hooks/use-now.ts'
import { latencyLine } from '../model/latency.ts'
import { changeText, pathTimes } from '../model/path-times.ts'
import { momentText } from '../model/time.ts'
import { LatencyChart } from '../ui/latency-chart.tsx'
import { Note } from '../ui/note.tsx'
import { PathBar } from '../ui/path-bar.tsx'
import { PathChip } from '../ui/path-chip.tsx'
import { useActions, useLatencies } from '../use-app.ts'
import { splitMessage, words } from '../words.ts'

interface PathPart {
  readonly agent: AgentSnapshot
  readonly peer: PeerView
}

/** How often the line and the bar move on while nothing changes. */
const CHART_MS = 5_000

export function PeerPath({ agent, peer, view }: PathPart & { readonly view: PathHistoryView }) {
  const nowMs = useNow(CHART_MS)
  const path = pathWords(peer, agent.derpRegions, nowMs)
  const works = path.mark !== 'off' && path.mark !== 'idle' && path.mark !== 'find'
  return (
    <>
      <section aria-label={path.sentence}>
        <div className="headline">
          <PathChip path={path} big />
          {works && <span className="right">{words.peer.since(momentText(peer.path.sinceAt, nowMs))}</span>}
        </div>
        <Why agent={agent} peer={peer} path={path} />
        {works && peer.path.kind === 'direct' && peer.path.via !== undefined && (
          <p className="faint small gap-2 num">
            {words.peer.viaEndpoint} <span className="selectable">{peer.path.via}</span>
          </p>
        )}
        {!peer.expired && peer.online !== false && <Measure peer={peer} regions={agent.derpRegions} />}
      </section>
      <Latency peer={peer} path={path} nowMs={nowMs} />
      <History agent={agent} changes={view.changes} nowMs={nowMs} />
    </>
  )
}

/** States of rest: a card would make a trouble of them. */
const QUIET: ReadonlySet<DoctorCause> = new Set(['idle', 'looking', 'peer-offline', 'peer-key-expired'])

function Why({ agent, peer, path }: PathPart & { readonly path: PathWords }) {
  const { doctor } = peer
  if (!doctor || QUIET.has(doctor.cause) || path.mark === 'idle')
    return <p className="dim small">{reasonOf(peer, agent, path.mark)}</p>
  const encrypted = path.mark === 'derp' && !doctor.nextStep.includes('DERP') ? encryptedText(peer, agent) : ''
  return (
    <div className="note plain why" role="note">
      <div className="body">
        <b>{doctor.text}</b>
        <small>{[doctor.nextStep, encrypted].filter(Boolean).join(' ')}</small>
      </div>
    </div>
  )
}

const encryptedText = (peer: PeerView, agent: AgentSnapshot): string =>
  words.peer.encryptedDerp(regionName(peer.path.via ?? '', agent.derpRegions))

function reasonOf(peer: PeerView, agent: AgentSnapshot, mark: string): string {
  const text = words.peer
  if (peer.expired) return text.signedOut
  if (mark === 'off') return text.offline
  if (mark === 'idle') return text.idle
  const reason = asSentence(peer.path.reasonText)
  return mark === 'derp' ? `${reason} ${encryptedText(peer, agent)}`.trim() : reason
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

interface LatencyProps {
  readonly peer: PeerView
  readonly path: PathWords
  readonly nowMs: number
}

function Latency({ peer, path, nowMs }: LatencyProps) {
  const line = latencyLine(useLatencies().of(peer.id), nowMs)
  if (!line) return null
  const [least, most] = [pathTexts.ms(line.leastMs), pathTexts.ms(line.mostMs)]
  const range = least === most ? most : `${least.replace(/ ms$/, '')}–${most}`
  return (
    <>
      <h2 className="section">
        {words.peer.latency}
        <span className="right num">{words.peer.latencyRange(line.minutes, range)}</span>
      </h2>
      <LatencyChart line={line} mark={path.mark} label={words.peer.latencySpoken(line.minutes, range)} />
    </>
  )
}

/** More only on request. */
const FEW = 3

interface HistoryProps {
  readonly agent: AgentSnapshot
  readonly changes: readonly PathChangeView[]
  readonly nowMs: number
}

function History({ agent, changes, nowMs }: HistoryProps) {
  const [showsAll, setShowsAll] = useState(false)
  const times = pathTimes(changes, nowMs)
  if (!times) return null
  const newest = changes.toReversed()
  const shown = showsAll ? newest : newest.slice(0, FEW)
  return (
    <>
      <h2 className="section">{words.peer.paths(times.minutes)}</h2>
      <PathBar times={times} />
      <ul className="path-log">
        {shown.map((change) => (
          <li key={`${change.at} ${change.to.kind} ${change.reason}`}>
            <time dateTime={new Date(change.at).toISOString()}>{momentText(change.at, nowMs)}</time>
            <span>{changeText(change, agent.derpRegions)}</span>
          </li>
        ))}
      </ul>
      {!showsAll && changes.length > FEW && (
        <button type="button" className="link small" onClick={() => setShowsAll(true)}>
          {words.peer.allChanges(changes.length)}
        </button>
      )}
    </>
  )
}
