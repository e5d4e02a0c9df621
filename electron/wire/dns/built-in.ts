// Where programs of a machine ask for names: the field's addresses of the resolver inside the client (control.md §8.2).

export const BUILT_IN_SERVER = '100.100.100.100'

const BUILT_IN_SERVERS: ReadonlySet<string> = new Set([BUILT_IN_SERVER, 'fd7a:115c:a1e0::53'])

/** One that is named as a server for others would ask itself. */
export const isBuiltInServer = (address: string): boolean => BUILT_IN_SERVERS.has(address)
