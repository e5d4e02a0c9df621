// A passkey in software, for tests: it answers as real ones do, or wrongly in whatever way a test asks for.

import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'
import type {
  AuthenticationResponseJSON,
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
  RegistrationResponseJSON,
} from '@simplewebauthn/server'

/** What an answer says instead of the truth. */
export interface Lies {
  readonly type?: string
  readonly challenge?: string
  readonly origin?: string
  readonly rpId?: string
  readonly crossOrigin?: boolean
  readonly topOrigin?: string
  readonly isPresent?: boolean
  readonly isVerified?: boolean
  readonly counter?: number
  readonly userHandle?: string | undefined
  readonly algorithm?: number
  readonly idBytes?: number
  readonly signed?: Uint8Array
}

export class SoftAuthenticator {
  readonly origin: string
  #keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  #id = ''
  #handle = ''
  counter = 0

  constructor(origin: string) {
    this.origin = origin
  }

  create(options: PublicKeyCredentialCreationOptionsJSON, lies: Lies = {}): RegistrationResponseJSON {
    const id = randomBytes(lies.idBytes ?? 32)
    this.#id = id.toString('base64url')
    this.#handle = options.user.id
    const authData = Buffer.concat([
      this.#authData(options.rp.id ?? '', 0x40, lies),
      Buffer.alloc(16), // AAGUID: says nothing, as "none" asks
      Buffer.from([id.length >> 8, id.length & 0xff]),
      id,
      coseKey(this.#keys.publicKey, lies.algorithm ?? -7),
    ])
    const attestation = Buffer.concat([
      Buffer.from('a363666d74646e6f6e656761747453746d74a0686175746844617461', 'hex'),
      bytesHead(authData.length),
      authData,
    ])
    return {
      id: this.#id,
      rawId: this.#id,
      type: 'public-key',
      response: {
        clientDataJSON: this.#clientData('webauthn.create', options.challenge, lies).toString('base64url'),
        attestationObject: attestation.toString('base64url'),
        transports: ['internal'],
      },
      clientExtensionResults: {},
    }
  }

  answer(options: PublicKeyCredentialRequestOptionsJSON, lies: Lies = {}): AuthenticationResponseJSON {
    this.counter++
    const authData = this.#authData(options.rpId ?? '', 0, lies)
    const clientData = this.#clientData('webauthn.get', options.challenge, lies)
    const signed = lies.signed ?? Buffer.concat([authData, createHash('sha256').update(clientData).digest()])
    const userHandle = 'userHandle' in lies ? lies.userHandle : this.#handle
    return {
      id: this.#id,
      rawId: this.#id,
      type: 'public-key',
      response: {
        clientDataJSON: clientData.toString('base64url'),
        authenticatorData: authData.toString('base64url'),
        signature: sign('sha256', signed, this.#keys.privateKey).toString('base64url'),
        ...(userHandle !== undefined && { userHandle }),
      },
      clientExtensionResults: {},
    }
  }

  #authData(rpId: string, flags: number, lies: Lies): Buffer {
    const present = lies.isPresent === false ? 0 : 0x01
    const verified = lies.isVerified === false ? 0 : 0x04
    const counter = Buffer.alloc(4)
    counter.writeUInt32BE(lies.counter ?? this.counter)
    const rpIdHash = createHash('sha256')
      .update(lies.rpId ?? rpId)
      .digest()
    return Buffer.concat([rpIdHash, Buffer.from([flags | present | verified]), counter])
  }

  #clientData(type: string, challenge: string, lies: Lies): Buffer {
    return Buffer.from(
      JSON.stringify({
        type: lies.type ?? type,
        challenge: lies.challenge ?? challenge,
        origin: lies.origin ?? this.origin,
        crossOrigin: lies.crossOrigin ?? false,
        ...(lies.topOrigin !== undefined && { topOrigin: lies.topOrigin }),
      }),
    )
  }
}

/** RFC 9053 §7.1.1 in CBOR: kty EC2, the algorithm, P-256, x, y. */
function coseKey(key: KeyObject, algorithm: number): Buffer {
  const { x = '', y = '' } = key.export({ format: 'jwk' })
  return Buffer.concat([
    Buffer.from([0xa5, 0x01, 0x02, 0x03, ...negative(algorithm), 0x20, 0x01, 0x21, 0x58, 0x20]),
    Buffer.from(x, 'base64url'),
    Buffer.from([0x22, 0x58, 0x20]),
    Buffer.from(y, 'base64url'),
  ])
}

const negative = (value: number): number[] => (value >= -24 ? [0x20 - 1 - value] : [0x38, -1 - value])

const bytesHead = (length: number): Buffer => Buffer.from([0x59, length >> 8, length & 0xff])
