// What stands before several servers, in its plainest form: each connection goes to the next of them.
//
//   node spread-connections.mjs HOST PORT PORT…   listens on the first, prints "ready"

import { connect, createServer } from 'node:net'

const [host = '', listen = '', ...ports] = process.argv.slice(2)
let next = 0
createServer((incoming) => {
  const outgoing = connect(Number(ports[next++ % ports.length]), host)
  for (const [from, to] of [
    [incoming, outgoing],
    [outgoing, incoming],
  ]) {
    from?.on('error', () => to?.destroy())
    from?.once('close', () => to?.destroy())
    if (to) from?.pipe(to)
  }
}).listen(Number(listen), host, () => process.stdout.write('ready\n'))
