import { FingerprintPattern } from 'lucide-react'
import { useHeld, useNow } from '../hooks/use-now.ts'
import { type Banner, type BannerAction, bannersOf } from '../model/banner.ts'
import { Note } from '../ui/note.tsx'
import { useActions, useUi } from '../use-app.ts'
import { words } from '../words.ts'

/** A server that restarts is back within this time; only then is its absence worth a word. */
const SERVER_GRACE_MS = 5_000

export function BannerPlace() {
  const agent = useUi((ui) => ui.agent)
  const own = useUi((ui) => ui.own)
  const shell = useUi((ui) => ui.shell)
  const failure = useUi((ui) => ui.failure)
  const serverAwayLong = useHeld(agent?.state === 'running' && !agent.controlConnected, SERVER_GRACE_MS)
  const nowMs = useNow()
  if (!agent) return null
  const [worst, ...others] = bannersOf({ agent, own, shell, failure, serverAwayLong, nowMs })
  return worst ? <BannerNote key={worst.title} banner={worst} others={others.length} /> : null
}

function BannerNote({ banner, others }: { readonly banner: Banner; readonly others: number }) {
  const actions = useActions()
  const { kind, title, text, code, action } = banner
  const dismiss = {
    'dismiss-failure': actions.dismissFailure,
    'dismiss-no-tray': () => void actions.noTrayRead(),
  } as Partial<Record<BannerAction, () => void>>
  return (
    <Note
      kind={kind}
      {...(action === 'set-up-sign-in' ? { icon: FingerprintPattern } : {})}
      title={title}
      text={text}
      aside={others > 0 ? words.more(others) : ''}
      code={code}
      onDismiss={action && dismiss[action]}
    >
      <ActionButton action={action} />
    </Note>
  )
}

function ActionButton({ action }: { readonly action: BannerAction | undefined }) {
  const { signIn, openLogin, connect, startOwn, setUpSignIn, open } = useActions()
  const guest = useUi(({ own }) => own?.waiting[0]?.id)
  const acts: Partial<Record<BannerAction, [string, () => Promise<unknown>]>> = {
    'sign-in': [words.banner.signIn, signIn],
    'open-login': [words.join.openAgain, openLogin],
    retry: [words.tryAgain, connect],
    'retry-own': [words.tryAgain, startOwn],
    'set-up-sign-in': [words.signInSetup.button, setUpSignIn],
    'look-waiting': [words.waiting.look, async () => guest !== undefined && open({ name: 'waiting', id: guest })],
  }
  const act = action && acts[action]
  if (!act) return null
  return (
    <button type="button" className="button" onClick={() => void act[1]()}>
      {act[0]}
    </button>
  )
}
