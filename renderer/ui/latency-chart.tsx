import type { MarkKind } from '../../electron/contract/path-words.ts'
import type { LatencyLine } from '../model/latency.ts'

interface LatencyChartProps {
  readonly line: LatencyLine
  readonly mark: MarkKind
  /** The whole drawing in one sentence. */
  readonly label: string
}

const HEIGHTS = [0, 50, 100]

/** One thin line between three labelled hairlines; its end takes the colour of the path. */
export function LatencyChart({ line, mark, label }: LatencyChartProps) {
  return (
    <div className="latency-chart">
      <svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label={label}>
        {HEIGHTS.map((y) => (
          <path key={y} className="hair" d={`M0 ${y}H100`} vectorEffect="non-scaling-stroke" />
        ))}
        <path className="line" d={line.path} vectorEffect="non-scaling-stroke" />
      </svg>
      {line.nowAt !== undefined && (
        <span className="end-place" aria-hidden>
          <i className={`path-${mark}`} style={{ top: `${line.nowAt}%` }} />
        </span>
      )}
      <ol aria-hidden>
        {line.labels.map((ms) => (
          <li key={ms}>{ms}</li>
        ))}
      </ol>
    </div>
  )
}
