import { useState } from 'react'
import { api } from '../api.ts'
import { Loading, Place, Sure, Writes } from '../parts.tsx'
import { act, useConsole } from '../store.ts'
import type { Dns } from '../types.ts'

export function DnsPlace() {
  const dns = useConsole((state) => state.lists.dns)
  return (
    <Place title="DNS">
      {dns === undefined ? (
        <Loading />
      ) : (
        <Writes>
          <DnsSettings dns={dns} />
        </Writes>
      )}
    </Place>
  )
}

const listed = (text: string): string[] => text.split(/[\s,]+/).filter((one) => one !== '')

function DnsSettings({ dns }: { readonly dns: Dns }) {
  const [servers, setServers] = useState(dns.nameservers.join(' '))
  const [name, setName] = useState('')
  const [value, setValue] = useState('')
  return (
    <div className="stack">
      <label className="check">
        <input
          type="checkbox"
          checked={dns.magicDns}
          onChange={(event) => void act(() => api.setDns({ magicDns: event.target.checked }))}
        />
        Machines have names under {dns.baseDomain}
      </label>
      <form
        className="line"
        onSubmit={(event) => {
          event.preventDefault()
          void act(() => api.setDns({ nameservers: listed(servers) }), 'Machines are told.')
        }}
      >
        <label className="field grow">
          <span className="label">Name servers for everything else</span>
          <span className="input">
            <input
              value={servers}
              placeholder="9.9.9.9"
              spellCheck={false}
              onChange={(event) => setServers(event.target.value)}
            />
          </span>
        </label>
        <button type="submit" className="button" disabled={listed(servers).join(' ') === dns.nameservers.join(' ')}>
          Save
        </button>
      </form>
      <label className="check">
        <input
          type="checkbox"
          checked={dns.overrideLocal}
          disabled={dns.nameservers.length === 0}
          onChange={(event) => void act(() => api.setDns({ overrideLocal: event.target.checked }))}
        />
        Use those instead of each machine’s own
      </label>
      <h2 className="section">Names of your own</h2>
      <form
        className="line"
        onSubmit={(event) => {
          event.preventDefault()
          void act(() => api.addRecord(name, value), `${name} is there.`).then((isDone) => {
            if (isDone) for (const clear of [setName, setValue]) clear('')
          })
        }}
      >
        <label className="field grow">
          <span className="label">Name</span>
          <span className="input">
            <input
              value={name}
              placeholder="printer.corp.example"
              spellCheck={false}
              onChange={(event) => setName(event.target.value)}
            />
          </span>
        </label>
        <label className="field grow">
          <span className="label">Address</span>
          <span className="input">
            <input
              value={value}
              placeholder="192.168.1.20"
              spellCheck={false}
              onChange={(event) => setValue(event.target.value)}
            />
          </span>
        </label>
        <button type="submit" className="button" disabled={name === '' || value === ''}>
          Add
        </button>
      </form>
      {dns.records.length > 0 && (
        <ul className="card records" aria-label="Names of your own">
          {dns.records.map((record) => (
            <li key={`${record.name} ${record.value}`}>
              <span className="grow ell">{record.name}</span>
              <span className="num dim">{record.value}</span>
              <Sure
                label="Remove"
                sure="Remove it"
                onSure={() => void act(() => api.removeRecord(record.name, record.value), `${record.name} is removed.`)}
              />
            </li>
          ))}
        </ul>
      )}
      {Object.entries(dns.split).length > 0 && (
        <>
          <h2 className="section">Domains with servers of their own</h2>
          <ul className="card records">
            {Object.entries(dns.split).map(([domain, own]) => (
              <li key={domain}>
                <span className="grow ell">{domain}</span>
                <span className="num dim">{own.join(', ')}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </div>
  )
}
