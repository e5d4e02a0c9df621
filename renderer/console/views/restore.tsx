import { useState } from 'react'
import { chooseBackup, leaveRestore, restoreBackup, useRestore } from '../restore.ts'
import type { UploadedBackup } from '../types.ts'

const WORD = 'replace'

/** Where a file is chosen, and then decided on. */
export function RestoreCard() {
  const now = useRestore((state) => state.now)
  if (now.kind === 'decide') return <Decide backup={now.backup} />
  const isBusy = now.kind === 'uploading'
  return (
    <>
      <h2 className="section">Restore</h2>
      <p className="faint small">
        Puts a backup in the place of everything this server has. You see what is in it before you decide, and what is
        here now is kept as a backup in the server’s state folder.
      </p>
      <label className="button file" aria-disabled={isBusy}>
        {isBusy ? 'Looking into it…' : 'Choose a backup…'}
        <input
          type="file"
          className="hidden-input"
          accept=".backup,application/gzip,application/octet-stream"
          disabled={isBusy}
          onChange={({ target }) => {
            const [file] = target.files ?? []
            target.value = ''
            if (file) void chooseBackup(file)
          }}
        />
      </label>
    </>
  )
}

function Decide({ backup }: { readonly backup: UploadedBackup }) {
  const [typed, setTyped] = useState('')
  const [passphrase, setPassphrase] = useState('')
  const [isBusy, setBusy] = useState(false)
  const isReady = typed.trim().toLowerCase() === WORD && (!backup.needsPassphrase || passphrase !== '')
  return (
    <>
      <h2 className="section">Restore</h2>
      <form
        className="card restore"
        onSubmit={(event) => {
          event.preventDefault()
          setBusy(true)
          void restoreBackup(backup, passphrase).finally(() => setBusy(false))
        }}
      >
        <b>
          A backup of {new Date(backup.createdAt).toLocaleString(undefined, { dateStyle: 'long', timeStyle: 'short' })}
        </b>
        <dl className="facts">
          <dt>Networks</dt>
          <dd className="selectable">{backup.networks.join(', ')}</dd>
          <dt>People</dt>
          <dd>{backup.people}</dd>
          <dt>Machines</dt>
          <dd>{backup.machines}</dd>
        </dl>
        <p className="dim">
          All networks, people, machines, keys and rules of now go, and these take their place. The server is away for
          some seconds; machines keep talking to each other meanwhile. You sign in with an account of the backup
          afterwards.
        </p>
        {!backup.isOfThisServer && (
          <p className="warn-text">
            It was made on another server. This one becomes that server: machines of now have to join anew.
          </p>
        )}
        {backup.needsPassphrase && (
          <label className="field">
            <span className="label">Passphrase of the backup</span>
            <span className="input">
              <input
                type="password"
                autoComplete="off"
                value={passphrase}
                onChange={(event) => setPassphrase(event.target.value)}
              />
            </span>
          </label>
        )}
        <label className="field">
          <span className="label">Type “{WORD}” to go on</span>
          <span className="input">
            <input
              value={typed}
              spellCheck={false}
              autoCapitalize="none"
              autoComplete="off"
              onChange={(event) => setTyped(event.target.value)}
            />
          </span>
        </label>
        <div className="buttons">
          <button type="button" className="button" onClick={leaveRestore}>
            Keep what is here
          </button>
          <button type="submit" className="button danger" disabled={!isReady || isBusy}>
            Replace everything
          </button>
        </div>
      </form>
    </>
  )
}

/** In the place of the console while the server begins anew, and until somebody has read what came of it. */
export function RestorePage() {
  const now = useRestore((state) => state.now)
  if (now.kind === 'running')
    return (
      <main className="alone" aria-busy>
        <h1>Restoring</h1>
        <p className="dim" role="status">
          The server puts the backup in place and begins anew. Stay on this page.
        </p>
      </main>
    )
  if (now.kind === 'done')
    return (
      <main className="alone">
        <h1>The backup is in place</h1>
        <p className="dim" role="status">
          Machines come back by themselves. Sign in with an account of the backup.
        </p>
        <button type="button" className="button primary large" onClick={() => location.reload()}>
          Go on
        </button>
      </main>
    )
  const message =
    now.kind === 'failed'
      ? now.message
      : 'The server does not answer. Look at its log; what it had is kept in its state folder, as before-restore-….backup.'
  return (
    <main className="alone">
      <h1>{now.kind === 'failed' ? 'Nothing was restored' : 'The server is away'}</h1>
      <p className="dim" role="alert">
        {message}
      </p>
      {now.kind === 'failed' && <p className="faint small">Everything is as it was before.</p>}
      <button
        type="button"
        className="button large"
        onClick={() => {
          leaveRestore()
          location.reload()
        }}
      >
        Back to the console
      </button>
    </main>
  )
}

/** True while that page stands in the place of all others. */
export const useIsRestoring = (): boolean =>
  useRestore(({ now }) => now.kind !== 'none' && now.kind !== 'uploading' && now.kind !== 'decide')
