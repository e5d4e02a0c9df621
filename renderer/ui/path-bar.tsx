import type { PathTimes } from '../model/path-times.ts'
import { clockText } from '../model/time.ts'
import { words } from '../words.ts'

/** Which path when: the height of a part says its kind as well as the colour. */
export function PathBar({ times }: { readonly times: PathTimes }) {
  const label = times.shares.map(({ kind, percent }) => `${words.peer.share[kind]} ${words.peer.percent(percent)}`)
  return (
    <>
      <div className="path-bar" role="img" aria-label={`${words.peer.paths(times.minutes)}: ${label.join(', ')}`}>
        {times.segments.map(({ kind, part }, index) => (
          <i key={index} className={kind} style={{ flexGrow: part }} />
        ))}
      </div>
      <div className="path-axis" aria-hidden>
        {times.ticks.map((at) => (
          <span key={at}>{clockText(at)}</span>
        ))}
        <span>{words.peer.now}</span>
      </div>
      <div className="path-legend" aria-hidden>
        {times.shares.map(({ kind, percent }) => (
          <span key={kind}>
            <i className={kind} />
            {words.peer.share[kind]} <em>{words.peer.percent(percent)}</em>
          </span>
        ))}
      </div>
    </>
  )
}
