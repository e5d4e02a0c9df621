import { Plus, Trash2 } from 'lucide-react'
import { useState } from 'react'
import { type NetworkItem, networkItems } from '../model/networks.ts'
import { Confirm } from '../ui/confirm.tsx'
import { Icon } from '../ui/icon.tsx'
import { Page } from '../ui/page.tsx'
import { Tile } from '../ui/tile.tsx'
import { useActions, useUi } from '../use-app.ts'
import { words } from '../words.ts'

/** Every network this computer has joined: change to it, or forget it. */
export function Networks() {
  const { home, open, switchTo, removeNetwork } = useActions()
  const profiles = useUi(({ agent }) => agent?.profiles)
  const own = useUi((ui) => ui.own)
  const [leaving, setLeaving] = useState<NetworkItem>()
  const text = words.networks
  return (
    <Page title={text.title} onBack={home} isOver>
      <ul className="card rows">
        {networkItems(profiles ?? [], own).map((item) => (
          <li key={item.id} className="row">
            <Tile letter={item.letter} colour={item.colour} />
            <span className="two grow">
              <b title={item.name}>{item.name}</b>
              <small title={item.account}>{item.isCurrent ? text.current(item.account) : item.account}</small>
            </span>
            {!item.isCurrent && (
              <button
                type="button"
                className="button"
                aria-label={text.switchTo(item.name)}
                onClick={() => {
                  home()
                  void switchTo(item)
                }}
              >
                {item.isLoggedIn ? text.change : words.banner.signIn}
              </button>
            )}
            <button
              type="button"
              className="icon-button"
              aria-label={text.forget(item.name)}
              title={text.forget(item.name)}
              onClick={() => setLeaving(item)}
            >
              <Icon of={Trash2} />
            </button>
          </li>
        ))}
      </ul>
      <p className="hint">{text.hint}</p>
      <div className="buttons gap-5">
        <button type="button" className="button" onClick={() => open({ name: 'join' })}>
          <Icon of={Plus} />
          {text.add}
        </button>
      </div>
      {leaving && (
        <Confirm
          title={text.leave(leaving.name)}
          text={leaving.isOwn ? text.leaveOwnText : text.leaveText}
          stay={text.keep}
          go={text.remove}
          onStay={() => setLeaving(undefined)}
          onGo={() => {
            setLeaving(undefined)
            void removeNetwork(leaving.id)
          }}
        />
      )}
    </Page>
  )
}
