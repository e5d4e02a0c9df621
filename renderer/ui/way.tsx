// Two machines and the way between them, on a 16 grid: the mark of the app, the plate and (drawn again) the tray.

interface WayProps {
  readonly drawing: 'apart' | 'growing' | 'joined' | 'serving'
  readonly badge?: boolean
}

const WAY = 'M3 13C3 4 13 12 13 3'

export function Way({ drawing, badge = false }: WayProps) {
  const isOn = drawing === 'joined' || drawing === 'serving'
  return (
    <svg className="way" viewBox="0 0 16 16" aria-hidden>
      {drawing === 'apart' ? <HollowEnd x={3} y={13} /> : <FullEnd x={3} y={13} />}
      {isOn ? <FullEnd x={13} y={3} /> : <HollowEnd x={13} y={3} />}
      {drawing === 'joined' && <path d={WAY} fill="none" stroke="currentColor" strokeWidth="2" />}
      {drawing === 'serving' && <path d="M8 4.3 11.7 8 8 11.7 4.3 8z" fill="currentColor" />}
      {drawing === 'growing' && (
        <path className="growing" d={WAY} fill="none" stroke="currentColor" strokeWidth="2" pathLength="100" />
      )}
      {badge && (
        <>
          <path d="M13.2 8.8v3.4" fill="none" stroke="currentColor" strokeWidth="2" />
          <circle cx="13.2" cy="14.5" r="1.2" fill="currentColor" />
        </>
      )}
    </svg>
  )
}

const FullEnd = ({ x, y }: { readonly x: number; readonly y: number }) => (
  <circle cx={x} cy={y} r="2.75" fill="currentColor" />
)
const HollowEnd = ({ x, y }: { readonly x: number; readonly y: number }) => (
  <circle cx={x} cy={y} r="2.1" fill="none" stroke="currentColor" strokeWidth="1.6" />
)
