import { ChevronRight, CircleCheck, CircleX, ExternalLink, Globe, KeyRound } from 'lucide-react'
import { type FormEvent, useEffect, useRef, useState } from 'react'
import { hostOf, readJoinInput } from '../model/join-input.ts'
import { networkWords } from '../model/network.ts'
import { Icon } from '../ui/icon.tsx'
import { Note } from '../ui/note.tsx'
import { Page } from '../ui/page.tsx'
import { useActions, useUi } from '../use-app.ts'
import { splitMessage, words } from '../words.ts'
import { JoinProgress } from './join-progress.tsx'

/** An address, then a sign-in or a key. Says what is wrong where it is wrong, and keeps what was typed. */
export function Join() {
  const { home, join, cancelJoin, dismissFailure, toast } = useActions()
  const agent = useUi((ui) => ui.agent)
  const failure = useUi((ui) => ui.failure)
  const wish = useUi((ui) => ui.wish)
  const [address, setAddress] = useState('')
  const [key, setKey] = useState('')
  const [usesKey, setUsesKey] = useState(false)
  const [wasTried, setTried] = useState(false)
  /** Joining was asked for on this page: what the agent then says belongs here. */
  const [wasAsked, setAsked] = useState(false)
  /** The agent has let go of the network it was in before: what runs from now on is the new one. */
  const [isUnderWay, setUnderWay] = useState(false)
  const field = useRef<HTMLInputElement>(null)
  useEffect(() => field.current?.focus(), [])

  const isRunning = agent?.state === 'running'
  useEffect(() => {
    if (!isRunning || !isUnderWay) return
    home()
    toast(words.join.joined(networkWords(agent, undefined).name))
  }, [isRunning, isUnderWay, agent, home, toast])

  const input = readJoinInput(address)
  const isWrong = wasTried && input === undefined
  const isBusy =
    (wasAsked && wish === 'on') || agent?.loginUrl !== undefined || (wasAsked && agent?.state === 'starting')
  const problem = failure ?? (wasAsked ? agent?.problem : undefined)
  const text = words.join

  function take(typed: string): void {
    setAddress(typed)
    setTried(false)
    setAsked(false)
    dismissFailure()
    const pasted = readJoinInput(typed)
    if (pasted?.authKey === undefined) return
    setAddress(pasted.serverUrl)
    setKey(pasted.authKey)
    setUsesKey(true)
  }

  function submit(event: FormEvent): void {
    event.preventDefault()
    setTried(true)
    if (!input || (usesKey && key.trim() === '')) return
    setAsked(true)
    void join(input.serverUrl, usesKey ? key.trim() : undefined).then((done) => setUnderWay(done))
  }

  const stop = (): void => {
    setAsked(false)
    setUnderWay(false)
    void cancelJoin()
  }

  return (
    <Page
      title={text.title}
      focusesField
      onBack={() => {
        if (isBusy) stop()
        home()
      }}
    >
      <form className="join" onSubmit={submit} noValidate>
        <label className="field first">
          <span className="label">{text.address}</span>
          <span className="input">
            <input
              ref={field}
              value={address}
              spellCheck={false}
              autoComplete="off"
              maxLength={4096}
              disabled={isBusy}
              placeholder={text.addressExample}
              aria-invalid={isWrong}
              aria-describedby="address-hint"
              onChange={(event) => take(event.target.value)}
            />
            {isWrong || problem ? (
              <Icon of={CircleX} className="bad" />
            ) : (
              input && <Icon of={CircleCheck} className="good" />
            )}
          </span>
        </label>
        {!problem && !isBusy && (
          <p className="hint" id="address-hint" role={isWrong ? 'alert' : undefined}>
            {isWrong ? text.addressWrong : text.addressHint}
          </p>
        )}
        {problem && <Trouble message={problem.message} code={problem.code} isOver={!isBusy} />}
        {isBusy && <JoinProgress host={hostOf(input?.serverUrl ?? '')} onCancel={stop} />}
        {!isBusy && usesKey && <KeyEntry authKey={key} onKey={setKey} isMissing={wasTried && key.trim() === ''} />}
        {!isBusy && !usesKey && !problem && <SignIn serverUrl={input?.serverUrl} />}
        {!isBusy && <Other usesKey={usesKey} onSwitch={() => setUsesKey(!usesKey)} />}
      </form>
    </Page>
  )
}

function SignIn({ serverUrl }: { readonly serverUrl: string | undefined }) {
  const text = words.join
  return (
    <>
      <h2 className="section">{text.signInSection}</h2>
      <button type="submit" className="button primary large wide">
        <Icon of={ExternalLink} />
        {text.signIn}
      </button>
      <p className="hint center">
        {serverUrl === undefined ? text.signInHintEmpty : text.signInHint(hostOf(serverUrl))}
      </p>
    </>
  )
}

interface TroubleProps {
  readonly message: string
  readonly code: string
  /** Nothing tries again by itself. */
  readonly isOver: boolean
}

function Trouble({ message, code, isOver }: TroubleProps) {
  return (
    <div className="gap-3">
      <Note kind={isOver ? 'bad' : 'warn'} {...splitMessage(message)} code={code}>
        {isOver && (
          <button type="submit" className="button">
            {words.tryAgain}
          </button>
        )}
      </Note>
    </div>
  )
}

interface KeyEntryProps {
  readonly authKey: string
  readonly onKey: (key: string) => void
  readonly isMissing: boolean
}

function KeyEntry({ authKey, onKey, isMissing }: KeyEntryProps) {
  const text = words.join
  return (
    <>
      <label className="field gap-5">
        <span className="label">{text.key}</span>
        <span className="input">
          <input
            value={authKey}
            className="mono"
            spellCheck={false}
            autoComplete="off"
            maxLength={4096}
            aria-invalid={isMissing}
            aria-describedby="key-hint"
            onChange={(event) => onKey(event.target.value)}
          />
        </span>
      </label>
      <p className="hint" id="key-hint" role={isMissing ? 'alert' : undefined}>
        {isMissing ? text.keyMissing : text.keyHint}
      </p>
      <button type="submit" className="button primary large wide gap-3">
        {text.joinWithKey}
      </button>
    </>
  )
}

function Other({ usesKey, onSwitch }: { readonly usesKey: boolean; readonly onSwitch: () => void }) {
  const text = words.join
  return (
    <div className="card gap-5">
      <button type="button" className="row" onClick={onSwitch}>
        <Icon of={usesKey ? Globe : KeyRound} />
        <span className="grow">
          {usesKey ? text.bySignIn : text.byKey}
          <small>{usesKey ? text.bySignInText : text.byKeyText}</small>
        </span>
        <Icon of={ChevronRight} size={14} />
      </button>
    </div>
  )
}
