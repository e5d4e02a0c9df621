import { Check, ExternalLink, Globe, Plus, Settings2 } from 'lucide-react'
import { networkItems } from '../model/networks.ts'
import type { NetworkWords } from '../model/network.ts'
import { Icon } from '../ui/icon.tsx'
import { Menu, MenuItem } from '../ui/menu.tsx'
import { Tile } from '../ui/tile.tsx'
import { useActions, useUi } from '../use-app.ts'
import { words } from '../words.ts'

/** The networks of this computer, and the ways to more of them. */
export function NetworkMenu({ network, onClose }: { readonly network: NetworkWords; readonly onClose: () => void }) {
  const { open, switchTo, openConsole } = useActions()
  const profiles = useUi(({ agent }) => agent?.profiles)
  const own = useUi((ui) => ui.own)
  const choose = (act: () => void) => () => {
    onClose()
    act()
  }
  const text = words.networks
  return (
    <Menu label={text.menu} onClose={onClose} place="left">
      {networkItems(profiles ?? [], own).map((item, index) => (
        <button
          key={item.id}
          type="button"
          className="menu-item tall"
          role="menuitemradio"
          aria-checked={item.isCurrent}
          tabIndex={-1}
          onClick={choose(() => void (item.isCurrent ? undefined : switchTo(item)))}
        >
          <Tile letter={item.letter} colour={item.colour} />
          <span className="two">
            <b title={item.name}>{item.name}</b>
            <small title={item.account}>{item.account}</small>
          </span>
          <span className={item.isLoggedIn ? 'end' : 'end warn'}>
            {item.isCurrent ? (
              <Icon of={Check} className="accent" />
            ) : item.isLoggedIn ? (
              index < 9 && words.networks.key(index + 1)
            ) : (
              words.banner.signIn
            )}
          </span>
        </button>
      ))}
      <hr />
      <MenuItem icon={Plus} text={text.add} onChoose={choose(() => open({ name: 'join' }))} />
      <MenuItem icon={Settings2} text={text.manage} onChoose={choose(() => open({ name: 'networks' }))} />
      {network.isOwn && (
        <MenuItem
          icon={Globe}
          text={text.console(network.name)}
          end={<Icon of={ExternalLink} size={14} />}
          onChoose={choose(() => void openConsole())}
        />
      )}
    </Menu>
  )
}
