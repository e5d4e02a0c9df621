/** Without what would turn the rest of the line around or hide parts of it, and not longer than a person reads. */
export function plainText(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu, '').slice(0, 63)
}
