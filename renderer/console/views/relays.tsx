import { Waypoints } from 'lucide-react'
import { EmptyState } from '../../ui/empty-state.tsx'
import { Loading, Place } from '../parts.tsx'
import { useConsole } from '../store.ts'
import { DerpRegions } from './derp.tsx'

const pairs = (count: number): string => `${count} ${count === 1 ? 'pair' : 'pairs'}`
const ms = (value: number): string => `${Math.round(value)} ms`

export function RelaysPlace() {
  const advice = useConsole((state) => state.lists.advice)
  if (advice === undefined)
    return (
      <Place title="Relays">
        <Loading />
      </Place>
    )
  const { candidates, relays, pairsInNeed, isGathering } = advice
  return (
    <Place title="Relays">
      <p className="dim">
        {pairsInNeed === 0
          ? 'No pair of machines that report is badly connected.'
          : `${pairs(pairsInNeed)} would be better off with a relay.`}
        {isGathering ? ' Figures are still coming in.' : ''}
      </p>
      {relays.length > 0 && (
        <>
          <h2 className="section">What relays have brought</h2>
          <ul className="card records">
            {relays.map(({ node, pairCount, inUseCount, savedMs }) => (
              <li key={node}>
                <b className="grow ell">{node}</b>
                <span className="dim">
                  {pairs(pairCount)}, {inUseCount} in use now, {ms(savedMs)} saved in all
                </span>
              </li>
            ))}
          </ul>
        </>
      )}
      <h2 className="section">Who would help most</h2>
      {candidates.length === 0 ? (
        <EmptyState
          icon={Waypoints}
          title="Nobody in particular"
          text="As soon as a machine could shorten the way of others, it stands here."
        />
      ) : (
        <ul className="card records">
          {candidates.map(({ node, isRelay, pairCount, measuredCount, savedMs }) => (
            <li key={node}>
              <b className="grow ell">{node}</b>
              {isRelay && <span className="tag">relays already</span>}
              <span className="dim">
                {pairs(pairCount)}, {ms(savedMs)} less in all,{' '}
                {measuredCount === pairCount ? 'measured' : `${measuredCount} of them measured`}
              </span>
            </li>
          ))}
        </ul>
      )}
      <DerpRegions />
    </Place>
  )
}
