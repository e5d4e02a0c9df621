import { ChevronDown, Ellipsis, LogOut, Plus, Power } from 'lucide-react'
import { useCallback, useState } from 'react'
import { type NetworkWords } from '../model/network.ts'
import { networkItems } from '../model/networks.ts'
import { Confirm } from '../ui/confirm.tsx'
import { Icon } from '../ui/icon.tsx'
import { Menu, MenuItem } from '../ui/menu.tsx'
import { Tile } from '../ui/tile.tsx'
import { useActions, useUi } from '../use-app.ts'
import { NetworkMenu } from './network-menu.tsx'
import { words } from '../words.ts'

const THEMES = ['system', 'light', 'dark'] as const

export function Header({ network }: { readonly network: NetworkWords }) {
  const [isMenuOpen, setMenuOpen] = useState(false)
  const [isSwitcherOpen, setSwitcherOpen] = useState(false)
  const [asksSignOut, setAsksSignOut] = useState(false)
  const { signOut } = useActions()
  const close = useCallback(() => setMenuOpen(false), [])
  const closeSwitcher = useCallback(() => setSwitcherOpen(false), [])
  const profiles = useUi(({ agent }) => agent?.profiles)
  const own = useUi((ui) => ui.own)
  const colour = networkItems(profiles ?? [], own).find(({ isCurrent }) => isCurrent)?.colour ?? 1
  return (
    <header className="bar">
      <h1 className="unseen">{network.name}</h1>
      <button
        type="button"
        className="network"
        aria-label={words.networks.switchLabel(network.name)}
        aria-haspopup="menu"
        aria-expanded={isSwitcherOpen}
        onClick={() => setSwitcherOpen(!isSwitcherOpen)}
      >
        <Tile letter={network.letter} colour={colour} />
        <span className="two">
          <b title={network.name}>
            {network.name} <Icon of={ChevronDown} size={14} />
          </b>
          {network.account !== '' && <small title={network.account}>{network.account}</small>}
        </span>
      </button>
      {isSwitcherOpen && <NetworkMenu network={network} onClose={closeSwitcher} />}
      <button
        type="button"
        className="icon-button"
        aria-label={words.menu.label}
        title={words.menu.label}
        aria-haspopup="menu"
        aria-expanded={isMenuOpen}
        onClick={() => setMenuOpen(!isMenuOpen)}
      >
        <Icon of={Ellipsis} />
      </button>
      {isMenuOpen && <MainMenu network={network} onClose={close} onSignOut={() => setAsksSignOut(true)} />}
      {asksSignOut && (
        <Confirm
          title={words.signOut.title(network.name)}
          text={words.signOut.text}
          stay={words.signOut.stay}
          go={words.signOut.leave}
          onStay={() => setAsksSignOut(false)}
          onGo={() => {
            setAsksSignOut(false)
            void signOut()
          }}
        />
      )}
    </header>
  )
}

interface MainMenuProps {
  readonly network: NetworkWords
  readonly onClose: () => void
  readonly onSignOut: () => void
}

function MainMenu({ network, onClose, onSignOut }: MainMenuProps) {
  const { open, setTheme, quit } = useActions()
  const theme = useUi((ui) => ui.shell?.theme ?? 'system')
  const canSignOut = useUi(({ agent }) => agent?.state === 'running' || agent?.state === 'stopped')
  const choose = (act: () => void) => () => {
    onClose()
    act()
  }
  return (
    <Menu label={words.menu.label} onClose={onClose}>
      {network.isOwn && (
        <>
          <MenuItem icon={Plus} text={words.list.add} onChoose={choose(() => open({ name: 'invite' }))} />
          <hr />
        </>
      )}
      <div className="menu-head" aria-hidden>
        {words.menu.appearance}
      </div>
      {THEMES.map((one) => (
        <MenuItem
          key={one}
          text={words.menu.theme[one]}
          isChecked={one === theme}
          onChoose={choose(() => void setTheme(one))}
        />
      ))}
      <hr />
      {canSignOut && <MenuItem icon={LogOut} text={words.menu.signOut} onChoose={choose(onSignOut)} />}
      <MenuItem icon={Power} text={words.menu.quit} onChoose={choose(quit)} />
    </Menu>
  )
}
