import { chipText, type PathWords } from '../../electron/contract/path-words.ts'
import { PathMark } from './path-mark.tsx'

/** A path where it stands alone. */
export function PathChip({ path, big = false }: { readonly path: PathWords; readonly big?: boolean }) {
  return (
    <span className={big ? 'chip big' : 'chip'}>
      <PathMark kind={path.mark} />
      <span>{chipText(path)}</span>
    </span>
  )
}
