import { Ellipsis, LogOut, Plus, Power } from 'lucide-react'
import { useCallback, useState } from 'react'
import { type NetworkWords } from '../model/network.ts'
import { Confirm } from '../ui/confirm.tsx'
import { Icon } from '../ui/icon.tsx'
import { Menu, MenuItem } from '../ui/menu.tsx'
import { useActions, useUi } from '../use-app.ts'
import { words } from '../words.ts'

const THEMES = ['system', 'light', 'dark'] as const

export function Header({ network }: { readonly network: NetworkWords }) {
  const [isMenuOpen, setMenuOpen] = useState(false)
  const [asksSignOut, setAsksSignOut] = useState(false)
  const { signOut } = useActions()
  const close = useCallback(() => setMenuOpen(false), [])
  return (
    <header className="bar">
      <div className="network">
        <span className="tile" aria-hidden>
          {network.letter}
        </span>
        <span className="two">
          <h1 title={network.name}>{network.name}</h1>
          {network.account !== '' && <small title={network.account}>{network.account}</small>}
        </span>
      </div>
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
