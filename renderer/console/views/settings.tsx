import { Select } from '../../ui/select.tsx'
import { useState } from 'react'
import { api, downloadBackup } from '../api.ts'
import { Loading, Place } from '../parts.tsx'
import { act, enterTailnet, mayWrite, useConsole } from '../store.ts'
import type { Settings } from '../types.ts'
import { RestoreCard } from './restore.tsx'

const DAY_MS = 86_400_000
const MODES: readonly (readonly [Settings['deviceApproval'], string])[] = [
  ['off', 'Not needed'],
  ['unless-pre-approved', 'Needed, unless the key is pre-approved'],
  ['always', 'Always needed'],
]
const LIVES: readonly (readonly [string, string])[] = [
  ['never', 'Do not end'],
  [String(30 * DAY_MS), '30 days'],
  [String(90 * DAY_MS), '90 days'],
  [String(180 * DAY_MS), '180 days'],
  [String(365 * DAY_MS), 'A year'],
]

export function SettingsPlace() {
  const settings = useConsole((state) => state.lists.settings)
  const isMine = useConsole(mayWrite)
  const isOwner = useConsole(({ me }) => typeof me === 'object' && me.role === 'owner')
  if (!settings)
    return (
      <Place title="Settings">
        <Loading />
      </Place>
    )
  const { tailnet, domain, deviceApproval, keyLifetimeMs, keyRenewal } = settings
  const change = (wish: Readonly<Record<string, unknown>>): void => void act(() => api.setSettings(wish), 'Saved.')
  const life = keyLifetimeMs === undefined ? 'never' : String(keyLifetimeMs)
  const lives = LIVES.some(([value]) => value === life)
    ? LIVES
    : [...LIVES, [life, `${Math.round(Number(life) / 3_600_000)} hours`] as const]
  return (
    <Place title="Settings">
      <ul className="card settings">
        <Row title="Network" text="Names of machines end in the part after it, which stays when the name changes.">
          <span className="selectable">
            {isOwner ? <NetworkName key={tailnet} name={tailnet} /> : tailnet} <span className="faint">{domain}</span>
          </span>
        </Row>
        <Row
          title="Approval of new machines"
          text="A machine that waits is signed in, but reaches nobody. Those that are in stay in; those that wait go on waiting."
        >
          {isMine ? (
            <Select
              label="Approval of new machines"
              value={deviceApproval}
              options={MODES}
              onChoose={(mode) => change({ deviceApproval: mode })}
            />
          ) : (
            <span>{MODES.find(([mode]) => mode === deviceApproval)?.[1]}</span>
          )}
        </Row>
        <Row
          title="Keys of machines"
          text="How long a sign-in of a machine counts. For those from now on; tags have no end."
        >
          {isMine ? (
            <Select
              label="Keys of machines"
              value={life}
              options={lives}
              onChoose={(value) =>
                change(value === 'never' ? { keyNeverEnds: true } : { keyLifetimeMs: Number(value) })
              }
            />
          ) : (
            <span>{lives.find(([value]) => value === life)?.[1]}</span>
          )}
        </Row>
        <Row title="Renew keys quietly" text="A machine in use when half of the time is over gets all of it again.">
          <label className="check">
            <input
              type="checkbox"
              aria-label="Renew keys quietly"
              checked={keyRenewal}
              disabled={!isMine || keyLifetimeMs === undefined}
              onChange={(event) => change({ keyRenewal: event.target.checked })}
            />
            {keyLifetimeMs === undefined ? 'Keys do not end' : keyRenewal ? 'On' : 'Off'}
          </label>
        </Row>
      </ul>
      {isOwner && <BackupCard />}
      {isOwner && <RestoreCard />}
    </Place>
  )
}

function NetworkName({ name }: { readonly name: string }) {
  const [typed, setTyped] = useState(name)
  const to = typed.trim()
  return (
    <form
      className="inline"
      onSubmit={(event) => {
        event.preventDefault()
        void act(async () => {
          await api.setSettings({ name: to })
          // What is asked from now on names it anew.
          enterTailnet(to)
        }, `It is called ${to} now.`)
      }}
    >
      <span className="input">
        <input
          aria-label="Name of the network"
          value={typed}
          maxLength={63}
          spellCheck={false}
          onChange={(event) => setTyped(event.target.value)}
        />
      </span>
      {to !== name && to !== '' && (
        <button type="submit" className="button">
          Rename
        </button>
      )}
    </form>
  )
}

function BackupCard() {
  const [passphrase, setPassphrase] = useState('')
  const [isBusy, setBusy] = useState(false)
  return (
    <>
      <h2 className="section">Backup</h2>
      <form
        className="line"
        onSubmit={(event) => {
          event.preventDefault()
          setBusy(true)
          void act(() => downloadBackup(passphrase), 'The backup is in your downloads.').then(() => setBusy(false))
        }}
      >
        <label className="field grow">
          <span className="label">Passphrase for the server’s key</span>
          <span className="input">
            <input
              type="password"
              autoComplete="new-password"
              value={passphrase}
              onChange={(event) => setPassphrase(event.target.value)}
            />
          </span>
        </label>
        <button type="submit" className="button" disabled={isBusy}>
          Download a backup
        </button>
      </form>
      <p className="faint small">
        All networks of this server are in it. Without a passphrase its key is not, and the file noise.key has to be
        kept too.
      </p>
    </>
  )
}

function Row({
  title,
  text,
  children,
}: {
  readonly title: string
  readonly text: string
  readonly children: React.ReactNode
}) {
  return (
    <li>
      <div className="grow">
        <b>{title}</b>
        <p className="faint small">{text}</p>
      </div>
      {children}
    </li>
  )
}
