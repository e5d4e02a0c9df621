import { useState } from 'react'
import type { Reply } from '../../electron/contract/calls.ts'
import type { PathPolicyView } from '../../electron/contract/path-policy.ts'
import type { PeerView } from '../../electron/contract/snapshot.ts'
import { familyChoices, modeChoices, modeOf, pathWishFrom } from '../model/path-choice.ts'
import { Note } from '../ui/note.tsx'
import { Select } from '../ui/select.tsx'
import { Setting, SwitchSetting } from '../ui/setting.tsx'
import { useActions } from '../use-app.ts'
import { splitMessage, words } from '../words.ts'

interface PeerPolicyProps {
  readonly peer: PeerView
  readonly policy: PathPolicyView
  /** After a change. */
  readonly ask: () => Promise<void>
}

/** By which paths a person lets this computer reach the machine. */
export function PeerPolicy({ peer, policy, ask }: PeerPolicyProps) {
  const { setPath } = useActions()
  const [failure, setFailure] = useState<Extract<Reply<unknown>, { readonly ok: false }>>()
  const text = words.peer.policy
  async function change(changed: Parameters<typeof pathWishFrom>[2]): Promise<void> {
    const reply = await setPath(pathWishFrom(peer.id, policy, changed))
    setFailure(reply.ok ? undefined : reply)
    await ask()
  }
  return (
    <>
      <h2 className="section">{text.title}</h2>
      <div className="card">
        <Setting name={text.mode}>
          <Select
            label={text.mode}
            value={modeOf(policy)}
            options={modeChoices(policy)}
            onChoose={(mode) => void change({ mode })}
          />
        </Setting>
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
