// The oldest Node that runs us. Written so that a much older one can still parse it and say so.

const OLDEST = [20, 19]

/** @param {string} version such as "20.19.0" */
export function isNewEnough(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > (OLDEST[0] ?? 0) || (major === OLDEST[0] && minor >= (OLDEST[1] ?? 0))
}

export function checkNode() {
  if (isNewEnough(process.versions.node)) return
  process.stderr.write(`Peerway needs Node ${OLDEST.join('.')} or newer; this is ${process.versions.node}.\n`)
  process.exit(1)
}
