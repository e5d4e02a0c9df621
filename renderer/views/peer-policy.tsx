import { useState } from 'react'
import type { Reply } from '../../electron/contract/calls.ts'
import type { PathPolicyView } from '../../electron/contract/path-policy.ts'
import type { PeerView } from '../../electron/contract/snapshot.ts'
import {
  type Choice,
  familyChoices,
  likelyRelay,
  modeChoices,
  modeOf,
  needsRelay,
  pathWishFrom,
  relayChoices,
} from '../model/path-choice.ts'
import { Note } from '../ui/note.tsx'
import { Select } from '../ui/select.tsx'
import { Setting, SwitchSetting } from '../ui/setting.tsx'
import { useActions, useUi } from '../use-app.ts'
import { splitMessage, words } from '../words.ts'

interface PeerPolicyProps {
  readonly peer: PeerView
  readonly policy: PathPolicyView
  /** After a change. */
  readonly ask: () => Promise<void>
}

const NOT_CHOSEN: Choice = ['', words.peer.policy.chooseRelay]

/** By which paths a person lets this computer reach the machine. */
export function PeerPolicy({ peer, policy, ask }: PeerPolicyProps) {
  const { setPath } = useActions()
  const agent = useUi((ui) => ui.agent)
  const [failure, setFailure] = useState<Extract<Reply<unknown>, { readonly ok: false }>>()
  /** A way that needs a relay was chosen, and nobody is known to relay: it is in force once a machine is chosen. */
  const [pending, setPending] = useState<string>()
  const text = words.peer.policy
  async function change(changed: Parameters<typeof pathWishFrom>[2]): Promise<void> {
    setPending(undefined)
    const reply = await setPath(pathWishFrom(peer.id, policy, changed))
    setFailure(reply.ok ? undefined : reply)
    await ask()
  }
  const isRelayed = needsRelay(modeOf(policy))
  function chooseMode(mode: string): void {
    const relay = isRelayed ? policy.relayId : agent && likelyRelay(agent, peer.id)
    if (needsRelay(mode) && relay === undefined) setPending(mode)
    else void change({ mode, relay })
  }
  const relays = agent ? relayChoices(agent, peer.id, policy) : []
  const mode = pending ?? modeOf(policy)
  return (
    <>
      <h2 className="section">{text.title}</h2>
      <div className="card">
        <Setting name={text.mode}>
          <Select label={text.mode} value={mode} options={modeChoices(policy)} onChoose={chooseMode} />
        </Setting>
        {needsRelay(mode) && (
          <Setting name={text.relay}>
            <Select
              label={text.relay}
              value={pending === undefined ? (policy.relayId ?? policy.relay ?? '') : ''}
              options={pending === undefined ? relays : [NOT_CHOSEN, ...relays]}
              onChoose={(relay) => void (relay !== '' && change({ mode, relay }))}
            />
          </Setting>
        )}
        <Setting name={text.family}>
          <Select
            label={text.family}
            value={policy.family ?? 'any'}
            options={familyChoices()}
            onChoose={(family) => void change({ family })}
          />
        </Setting>
        <SwitchSetting
          name={text.derp}
          text={text.derpText}
          isOn={policy.derpData}
          onToggle={() => void change({ derpData: !policy.derpData })}
        />
      </div>
      {failure && <Note kind="bad" {...splitMessage(failure.message)} code={failure.code} />}
    </>
  )
}
