import { ArrowDown, ArrowUp, ChevronRight, Globe, House, Route, Server, Waypoints } from 'lucide-react'
import { type FormEvent, useEffect, useRef, useState } from 'react'
import type { Reply } from '../../electron/contract/calls.ts'
import type { RoutingView } from '../../electron/contract/routing-view.ts'
import type { RoutingWish } from '../../electron/contract/routing-wish.ts'
import type { AgentSnapshot } from '../../electron/contract/snapshot.ts'
import {
  EXIT_ROUTES,
  exitNodeChoices,
  relayFact,
  routesOffered,
  routesTyped,
  waitsForApproval,
} from '../model/sharing.ts'
import { Icon } from '../ui/icon.tsx'
import { Note } from '../ui/note.tsx'
import { Page } from '../ui/page.tsx'
import { Select } from '../ui/select.tsx'
import { Setting, SwitchSetting } from '../ui/setting.tsx'
import { useActions, useUi } from '../use-app.ts'
import { splitMessage, words } from '../words.ts'

type Failed = Extract<Reply<unknown>, { readonly ok: false }>

type Part = 'uses' | 'gives'

interface PartProps {
  readonly agent: AgentSnapshot
  readonly routing: RoutingView
  readonly failure: Failed | undefined
  readonly change: (wish: RoutingWish) => Promise<boolean>
}

/** What this computer uses of others, and what it gives them. */
export function Sharing() {
  const { home, setRouting } = useActions()
  const agent = useUi((ui) => ui.agent)
  const [failure, setFailure] = useState<{ readonly of: Part; readonly answer: Failed }>()
  /** A failure is told where it was asked for. */
  const partOf = (of: Part): Pick<PartProps, 'change' | 'failure'> => ({
    failure: failure?.of === of ? failure.answer : undefined,
    change: async (wish) => {
      const answer = await setRouting(wish)
      setFailure(answer.ok ? undefined : { of, answer })
      return answer.ok
    },
  })
  const routing = agent?.routing
  return (
    <Page title={words.sharing.title} onBack={home} isOver>
      {agent && routing && (
        <>
          <Uses agent={agent} routing={routing} {...partOf('uses')} />
          <Gives agent={agent} routing={routing} {...partOf('gives')} />
        </>
      )}
    </Page>
  )
}

function Uses({ agent, routing, failure, change }: PartProps) {
  const text = words.sharing
  const routes = routesOffered(agent.peers)
  return (
    <>
      <h2 className="section">
        <Icon of={ArrowDown} size={14} />
        {words.self.uses}
      </h2>
      {failure && <Note kind="bad" {...splitMessage(failure.message)} code={failure.code} />}
      <div className="card">
        <Setting icon={Globe} name={text.exitNode} text={text.exitNodeText}>
          <Select
            label={text.exitNode}
            value={routing.exitNode ?? ''}
            options={exitNodeChoices(agent.peers, routing.exitNode)}
            onChoose={(exitNode) => void change({ exitNode })}
          />
        </Setting>
        {routing.exitNode !== undefined && (
          <SwitchSetting
            icon={House}
            name={text.lan}
            text={text.lanText}
            isOn={routing.exitNodeAllowLan}
            onToggle={() => void change({ exitNodeAllowLan: !routing.exitNodeAllowLan })}
          />
        )}
        <SwitchSetting
          icon={Route}
          name={text.routes}
          text={routes.length > 0 ? routes.map(({ route, by }) => text.routeBy(route, by)).join(', ') : text.noRoutes}
          isOn={routing.acceptRoutes}
          onToggle={() => void change({ acceptRoutes: !routing.acceptRoutes })}
        />
        <SwitchSetting
          icon={Server}
          name={text.names}
          text={text.namesText}
          isOn={routing.acceptDns}
          onToggle={() => void change({ acceptDns: !routing.acceptDns })}
        />
      </div>
    </>
  )
}

function Gives({ agent, routing, failure, change }: PartProps) {
  const { open } = useActions()
  const [isEditing, setEditing] = useState(false)
  const text = words.sharing
  const { relay, self } = agent
  const served = agent.state === 'running' ? self?.allowedIps : undefined
  const { advertiseRoutes: offered } = routing
  const waiting = (routes: readonly string[], otherwise: string): string =>
    waitsForApproval(routes, served) ? text.waiting : otherwise
  return (
    <>
      <h2 className="section">
        <Icon of={ArrowUp} size={14} />
        {words.self.gives}
      </h2>
      {failure && <Note kind="bad" {...splitMessage(failure.message)} code={failure.code} />}
      <div className="card">
        {relay && (
          <button type="button" className="row setting" onClick={() => open({ name: 'relay' })}>
            <Icon of={Waypoints} />
            <span className="grow">
              {text.relay}
              <small>{relayFact(relay, agent.state === 'running')}</small>
            </span>
            <Icon of={ChevronRight} size={14} />
          </button>
        )}
        <SwitchSetting
          icon={Globe}
          name={text.exitNode}
          text={routing.advertiseExitNode ? waiting(EXIT_ROUTES, text.isExit) : text.offersExit}
          isOn={routing.advertiseExitNode}
          onToggle={() => void change({ advertiseExitNode: !routing.advertiseExitNode })}
        />
        <Setting
          icon={Route}
          name={text.routes}
          text={
            offered.length > 0
              ? [offered.join(', '), waiting(offered, '')].filter(Boolean).join('. ')
              : text.noneOffered
          }
        >
          <button
            type="button"
            className="button"
            aria-label={isEditing ? text.cancel : text.editLabel}
            aria-expanded={isEditing}
            onClick={() => setEditing(!isEditing)}
          >
            {isEditing ? text.cancel : text.edit}
          </button>
        </Setting>
        {isEditing && (
          <RoutesField
            routes={offered}
            onSet={async (advertiseRoutes) => {
              if (await change({ advertiseRoutes })) setEditing(false)
            }}
          />
        )}
      </div>
    </>
  )
}

interface RoutesFieldProps {
  readonly routes: readonly string[]
  readonly onSet: (routes: readonly string[]) => Promise<void>
}

function RoutesField({ routes, onSet }: RoutesFieldProps) {
  const [typed, setTyped] = useState(routes.join(', '))
  const field = useRef<HTMLInputElement>(null)
  useEffect(() => field.current?.focus(), [])
  const text = words.sharing
  function submit(event: FormEvent): void {
    event.preventDefault()
    void onSet(routesTyped(typed))
  }
  return (
    <form className="row setting typed" onSubmit={submit}>
      <label className="field grow">
        <span className="unseen">{text.routesLabel}</span>
        <span className="input">
          <input ref={field} value={typed} maxLength={2000} onChange={(event) => setTyped(event.target.value)} />
        </span>
        <small>{text.routesForm}</small>
      </label>
      <button type="submit" className="button">
        {text.save}
      </button>
    </form>
  )
}
