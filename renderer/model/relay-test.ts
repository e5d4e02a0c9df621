// What the relay's self-test found, as its page shows it.

import type { RelayTestStep, RelayTestView } from '../../electron/contract/relay-test-view.ts'
import { words } from '../words.ts'
import type { Plate } from './plate.ts'
import type { Verdict } from './relay.ts'

/** The step that keeps others away. A family that fails is none while the other lets them in. */
export function seriousStep({ steps }: RelayTestView): RelayTestStep | undefined {
  return steps.find(({ name, result }) => result === 'failed' && !(isReach(name) && steps.some(letsIn)))
}

const isReach = (name: RelayTestStep['name']): boolean => name === 'reachable-v4' || name === 'reachable-v6'
const letsIn = ({ name, result }: RelayTestStep): boolean => isReach(name) && (result === 'ok' || result === 'limited')

/** Undefined when nobody could try, so that nothing is known better than before. */
export function testVerdict(view: RelayTestView): Verdict | undefined {
  const text = words.relay.test
  const serious = seriousStep(view)
  if (serious) return { kind: 'failed', title: text.no, text: serious.text, code: undefined }
  const [best] = view.steps.filter(letsIn).toSorted((a, b) => Number(b.result === 'ok') - Number(a.result === 'ok'))
  if (!best) return undefined
  return best.result === 'ok'
    ? { kind: 'info', title: text.yes, text: best.text, code: undefined }
    : { kind: 'warn', title: text.some, text: best.text, code: undefined }
}

/** The plate of a relay that runs and yet serves nobody. */
export function testedPlate(plate: Plate, view: RelayTestView | undefined): Plate {
  const serious = view && seriousStep(view)
  if (!serious || plate.look !== 'on') return plate
  const [word, line] = words.relay.test.plate[serious.name]
  return { ...plate, look: 'warn', drawing: 'joined', badge: true, word, line }
}
