/** The letter of a network on its colour. */
export function Tile({ letter, colour }: { readonly letter: string; readonly colour: number }) {
  return (
    <span className={`tile net-${colour}`} aria-hidden>
      {letter}
    </span>
  )
}
