/** Discovery goes ahead of data in every queue here: it is small, rare, and what gets a pair off the relay. */
export type PacketKind = 'disco' | 'wireguard'

/** Magic, sender's disco key, nonce: no disco packet is shorter (paths.md §1.1). */
const DISCO_MIN_BYTES = 6 + 32 + 24

/** Whether `bytes[start..end)` begins as disco packets do ("TS💬"); a WireGuard packet never does. */
export function packetKind(bytes: Uint8Array, start: number, end: number): PacketKind {
  return end - start >= DISCO_MIN_BYTES &&
    bytes[start] === 0x54 &&
    bytes[start + 1] === 0x53 &&
    bytes[start + 2] === 0xf0 &&
    bytes[start + 3] === 0x9f &&
    bytes[start + 4] === 0x92 &&
    bytes[start + 5] === 0xac
    ? 'disco'
    : 'wireguard'
}
