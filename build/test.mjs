// `npm test`: the set-up, then every stage; goes on after a stage that failed, and fails when any did.
//
//   node build/test.mjs                   unit, rust, lab, e2e
//   node build/test.mjs unit wire/ derp   one stage, and only files whose path has one of these parts
//   node build/test.mjs interop           against stock clients and servers, built once and cached
//   node build/test.mjs bench-tunnel      not a test: figures of the tunnel beside others

import { pathToFileURL } from 'node:url'
import { ROOT, SetupError, fail, say, show } from './run.mjs'
import { setup } from './setup.mjs'
import { NODE_STAGES, nodeStage, rustStage } from './test-stages.mjs'

const DEFAULT = ['unit', 'rust', 'lab', 'e2e']
/** What a stage needs to be set up, where that is not all. */
const NEEDS = /** @type {Record<string, string[]>} */ ({
  unit: ['system', 'packages', 'addon'],
  rust: ['system', 'packages'],
})

/**
 * @param {readonly string[]} args
 * @returns {{ stages: string[], filters: string[] }}
 */
export function parse(args) {
  const isStage = (/** @type {string} */ arg) => arg === 'rust' || arg in NODE_STAGES
  const stages = args.filter(isStage)
  const filters = args.filter((arg) => !isStage(arg))
  const option = filters.find((arg) => arg.startsWith('-'))
  if (option !== undefined)
    throw new SetupError(`There is no option ${option}. Stages: ${[...DEFAULT, 'interop'].join(', ')}.`)
  return { stages: stages.length > 0 ? stages : DEFAULT, filters }
}

/** @param {string[]} args */
async function main(args) {
  if (args[0] === 'bench-tunnel') {
    await setup()
    await stockPeers()
    process.exit(await show(process.execPath, ['--import', 'tsx', `${ROOT}/test/bench/tunnel.ts`, ...args.slice(1)]))
  }
  const { stages, filters } = parse(args)
  const only = stages.every((stage) => NEEDS[stage]) ? stages.flatMap((stage) => NEEDS[stage] ?? []) : undefined
  // A look at one file should not wait for a compiler; stages that run the built program have to have it, though.
  await setup(only ? { only: filters.length > 0 ? ['packages'] : only } : {})

  const total = { passed: 0, failed: 0, skipped: 0 }
  /** @type {string[]} */
  const lines = []
  for (const stage of stages) {
    say(`\n=== ${stage} ===`)
    const startedMs = Date.now()
    if (stage === 'interop') await stockPeers()
    const counts = stage === 'rust' ? await rustStage(filters) : await nodeStage(stage, filters)
    total.passed += counts.passed
    total.failed += counts.failed
    total.skipped += counts.skipped
    lines.push(`${stage.padEnd(8)} ${closing(counts)} (${((Date.now() - startedMs) / 1000).toFixed(1)} s)`)
  }
  say(`\n=== summary ===\n${lines.join('\n')}\n\n${closing(total)}`)
  process.exitCode = total.failed > 0 || total.passed + total.skipped === 0 ? 1 : 0
}

/** Builds what is missing of the programs of others; it says itself what could not be built, and those tests skip. */
const stockPeers = () => show(process.execPath, [`${ROOT}/test/stock/build.mjs`], { timeoutMs: 3_600_000 })

/** @param {import('./test-counts.mjs').Counts} counts */
export const closing = ({ passed, failed, skipped }) =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main(process.argv.slice(2)).catch(fail)
