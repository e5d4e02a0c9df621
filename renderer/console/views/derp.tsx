import { useState } from 'react'
import { api } from '../api.ts'
import { Loading, Sure, Writes } from '../parts.tsx'
import { act, useConsole } from '../store.ts'

const DERP_PORT = 443
const STUN_PORT = 3_478

/** Where machines go while they have no better way: this server's own region, and those added to it. */
export function DerpRegions() {
  const map = useConsole((state) => state.lists.derpMap)
  if (map === undefined) return <Loading />
  return (
    <>
      <h2 className="section">DERP regions</h2>
      <p className="faint small">
        Machines that find no direct way and no relay talk through one of these. Each is at home in the nearest.
      </p>
      {map.regions.length === 0 && <p className="dim">There is none: machines without a direct way do not meet.</p>}
      <Writes>
        <ul className="card records" aria-label="DERP regions">
          {map.regions.map(({ id, name, code, embedded, nodes }) => (
            <li key={id}>
              <span className="grow">
                <b>{name || code}</b> <span className="faint num">{id}</span>
                {embedded && <span className="tag">this server</span>}
                <span className="dim num where selectable">
                  {nodes
                    .filter(({ stunOnly }) => !stunOnly)
                    .map(({ host, derpPort }) => (derpPort === DERP_PORT ? host : `${host}:${derpPort}`))
                    .join(', ')}
                </span>
              </span>
              {nodes.some(({ certificate }) => certificate?.startsWith('sha256-raw:')) && (
                <span className="tag" title="Machines take no other certificate from it.">
                  certificate pinned
                </span>
              )}
              {!embedded && (
                <Sure
                  label="Remove"
                  sure={`Remove ${name || code}`}
                  onSure={() => void act(() => api.removeRegion(id), 'Machines are told.')}
                />
              )}
            </li>
          ))}
        </ul>
        <NewRegion />
      </Writes>
    </>
  )
}

const FIELDS = [
  ['code', 'Short name', 'fra'],
  ['host', 'Host', 'derp.example.org'],
  ['certificate', 'Certificate, if self-signed', 'sha256-raw:…'],
] as const
type Typed = Readonly<Record<(typeof FIELDS)[number][0], string>>
const NOTHING: Typed = { code: '', host: '', certificate: '' }

function NewRegion() {
  const [typed, setTyped] = useState(NOTHING)
  const { code, certificate } = typed
  const [host = '', port] = typed.host.trim().split(/:(\d{1,5})$/)
  return (
    <form
      className="line"
      onSubmit={(event) => {
        event.preventDefault()
        const wish = {
          code: code.trim(),
          host,
          stunPort: STUN_PORT,
          ...(port !== undefined && { derpPort: Number(port) }),
          ...(certificate.trim() !== '' && { certificate: certificate.trim() }),
        }
        void act(() => api.addRegion(wish), 'Machines are told.').then((isDone) => isDone && setTyped(NOTHING))
      }}
    >
      {FIELDS.map(([name, label, example]) => (
        <label key={name} className="field grow">
          <span className="label">{label}</span>
          <span className="input">
            <input
              value={typed[name]}
              placeholder={example}
              spellCheck={false}
              autoCapitalize="none"
              onChange={(event) => setTyped({ ...typed, [name]: event.target.value })}
            />
          </span>
        </label>
      ))}
      <button type="submit" className="button" disabled={code.trim() === '' || host === ''}>
        Add a region
      </button>
    </form>
  )
}
