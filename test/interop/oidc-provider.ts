// A provider program in a process of its own, for labs: says where it is, and lets one person in.
//
//   node --import tsx test/interop/oidc-provider.ts REDIRECT-URI

import { CLIENT, testProvider } from '../../electron/coord/identity/oidc/test-provider.ts'

const [redirectUri = ''] = process.argv.slice(2)
// It lives as long as its process.
const provider = await testProvider({ after: () => undefined }, [redirectUri])
provider.person = { sub: 'k-1', email: 'karin@corp.example', email_verified: true, name: 'Karin Holm' }
process.stdout.write(`ready ${provider.issuer} ${CLIENT.id} ${CLIENT.secret}\n`)
