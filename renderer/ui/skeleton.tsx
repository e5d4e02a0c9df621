import { words } from '../words.ts'

const WIDTHS = ['w1', 'w2', 'w3', 'w2', 'w1']

/** Where rows will be: grey bars on their grid, after a moment. */
export function Skeleton() {
  return (
    <div className="skeleton" role="status" aria-busy="true" aria-label={words.list.loading}>
      <div className="group" aria-hidden>
        &nbsp;
      </div>
      {WIDTHS.map((width, index) => (
        <div key={index} className="machine" aria-hidden>
          <span className="bone square" />
          <span className="who">
            <span className={`bone ${width}`} />
          </span>
          <span className="path">
            <span className="bone mark-bone" />
            <span className="bone word-bone" />
            <span className="bone time-bone" />
          </span>
        </div>
      ))}
    </div>
  )
}
