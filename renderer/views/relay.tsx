import { ArrowUp, BatteryMedium, Calendar, CircleCheck, CircleX, Clock, type LucideIcon, Wifi } from 'lucide-react'
import { useState } from 'react'
import type { Reply } from '../../electron/contract/calls.ts'
import type { RelayPauseReason, RelayStatusView } from '../../electron/contract/relay-view.ts'
import { useNow } from '../hooks/use-now.ts'
import { useRelay } from '../hooks/use-relay.ts'
import { bytesText, rateText } from '../model/amounts.ts'
import { carriedPairs, isLocal, relayPlate, type Verdict, verdictOf } from '../model/relay.ts'
import { testedPlate, testVerdict } from '../model/relay-test.ts'
import { momentText } from '../model/time.ts'
import { CopyButton } from '../ui/copy-button.tsx'
import { Icon } from '../ui/icon.tsx'
import { Note } from '../ui/note.tsx'
import { Page } from '../ui/page.tsx'
import { PlateControl } from '../ui/plate-control.tsx'
import { useActions, useUi } from '../use-app.ts'
import { splitMessage, words } from '../words.ts'
import { RelayLimits, RouterSetting } from './relay-limits.tsx'
import { RelayTest } from './relay-test.tsx'

type Failed = Extract<Reply<unknown>, { readonly ok: false }>

/** This computer as a relay for others: the switch, who can come, who is carried, and how much. */
export function Relay() {
  const { home } = useActions()
  const { reply, ask } = useRelay()
  const [failure, setFailure] = useState<Failed>()
  const testFailure = useUi((ui) => ui.relayFailure)
  const trouble = failure ?? testFailure ?? (reply?.ok === false ? reply : undefined)
  const change = async (asked: Promise<Reply<void>>): Promise<boolean> => {
    const answer = await asked
    setFailure(answer.ok ? undefined : answer)
    if (answer.ok) await ask()
    return answer.ok
  }
  return (
    <Page title={words.relay.title} onBack={home} isOver>
      <p className="gives-head">
        <Icon of={ArrowUp} size={14} />
        {words.self.gives}
      </p>
      {reply?.ok === true && <Status view={reply.value} change={change} />}
      {trouble && <Note kind="bad" {...splitMessage(trouble.message)} code={trouble.code} />}
    </Page>
  )
}

const VERDICT_SIGNS: Readonly<Record<Verdict['kind'], { readonly icon?: LucideIcon; readonly className?: string }>> = {
  info: { icon: CircleCheck },
  failed: { icon: CircleX, className: 'failed' },
  warn: {},
  bad: {},
  plain: {},
}

const PAUSE_SIGNS: Readonly<Record<RelayPauseReason, LucideIcon>> = {
  quota: Calendar,
  hours: Clock,
  battery: BatteryMedium,
  metered: Wifi,
}

interface StatusProps {
  readonly view: RelayStatusView
  readonly change: (asked: Promise<Reply<void>>) => Promise<boolean>
}

function Status({ view, change }: StatusProps) {
  const { setRelay, say } = useActions()
  const nowMs = useNow()
  const isConnected = useUi(({ agent }) => agent?.state === 'running')
  const [wish, setWish] = useState<'on' | 'off'>()
  const tested = useUi((ui) => ui.relayTest.view)
  const verdict = (view.state === 'running' && tested && testVerdict(tested)) || verdictOf(view, isConnected, nowMs)
  async function toggle(): Promise<void> {
    const next = (wish ?? (view.wantedPort === undefined ? 'off' : 'on')) === 'on' ? 'off' : 'on'
    setWish(next)
    const done = await change(setRelay(next === 'on'))
    setWish((now) => (now === next ? undefined : now))
    if (done) say(words.relay.said[next])
  }
  return (
    <>
      <PlateControl
        plate={testedPlate(relayPlate(view, { wish, isConnected }), tested)}
        name={words.relay.name}
        onToggle={() => void toggle()}
      />
      {view.wantedPort === undefined && <p className="hint gap-2">{words.relay.what}</p>}
      {verdict && wish !== 'off' && (
        <Note
          kind={verdict.kind === 'failed' ? 'plain' : verdict.kind}
          {...VERDICT_SIGNS[verdict.kind]}
          {...(verdict.pause && { icon: PAUSE_SIGNS[verdict.pause] })}
          title={verdict.title}
          text={verdict.text}
          code={verdict.code}
        />
      )}
      {view.state === 'running' && <RelayTest />}
      {(view.state === 'running' || view.sessions.length > 0) && <Carried view={view} />}
      {view.wantedPort !== undefined && <RelayLimits view={view} change={change} />}
      {view.state === 'running' && <Addresses view={view} />}
      <RouterSetting view={view} change={change} />
    </>
  )
}

function Carried({ view }: { readonly view: RelayStatusView }) {
  const nowMs = useNow()
  const pairs = carriedPairs(view)
  const total = view.totals['forwarded.bytes'] ?? 0
  return (
    <>
      <h2 className="section">
        {words.relay.carried}
        {pairs.length > 0 && <span className="right">{words.relay.encrypted}</span>}
      </h2>
      {pairs.length === 0 ? (
        <p className="dim">{words.relay.nobody}</p>
      ) : (
        <ul className="card">
          {pairs.map(({ vni, names, bytes, bytesPerSecond, sinceAt }) => (
            <li key={vni} className="row pair">
              <span className="grow">
                <span className="names">
                  {names.map((name, index) => (
                    <span key={index}>
                      {index > 0 && <span className="faint"> {words.relay.and} </span>}
                      {name}
                    </span>
                  ))}
                </span>
                <small className="num">{words.relay.sinceAndBytes(momentText(sinceAt, nowMs), bytesText(bytes))}</small>
              </span>
              <span className={bytesPerSecond > 0 ? 'num' : 'faint'}>
                {bytesPerSecond > 0 ? rateText(bytesPerSecond) : words.relay.quiet}
              </span>
            </li>
          ))}
        </ul>
      )}
      {total > 0 && <p className="hint num">{words.relay.total(bytesText(total))}</p>}
    </>
  )
}

function Addresses({ view }: { readonly view: RelayStatusView }) {
  if (view.endpoints.length === 0) return null
  const text = words.relay
  const kind = (endpoint: string): string =>
    view.staticEndpoints.includes(endpoint) ? text.set : isLocal(endpoint) ? text.inside : text.outside
  return (
    <>
      <h2 className="section">
        {text.address}
        {view.port !== undefined && (
          <span className="right num">
            {text.port} {view.port}
          </span>
        )}
      </h2>
      <ul className="card">
        {view.endpoints.map((endpoint) => (
          <li key={endpoint} className="row tight">
            <span className="name">{kind(endpoint)}</span>
            <span className="grow ell num selectable" title={endpoint}>
              {endpoint}
            </span>
            <CopyButton text={endpoint} label={`${words.copy} ${endpoint}`} />
          </li>
        ))}
      </ul>
    </>
  )
}
