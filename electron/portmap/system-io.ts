// Sockets of the system for a port mapper: short-lived ones of its own, never those of the data plane.

import { createSocket } from 'node:dgram'
import { request as httpRequest } from 'node:http'
import { CodedError } from '../base/errors.ts'
import { joinEndpoint, splitEndpoint, type Endpoint, type IpAddress } from '../base/endpoint.ts'
import type { Gateway, HttpReply, HttpRequest, PortmapIo, UdpPort } from './portmap-io.ts'

/** Where routers announce that they restarted (RFC 6886 §3.2.1, RFC 6887 §14.1.1). */
const ANNOUNCE_PORT = 5350
const ALL_HOSTS = '224.0.0.1'
const MOST_HEADER_BYTES = 16 * 1024

export function systemPortmapIo(gateway: () => Gateway | undefined): PortmapIo {
  return { gateway, openUdp, onAnnouncement, http }
}

function openUdp(ownAddress: IpAddress, onPacket: (from: Endpoint, bytes: Uint8Array) => void): UdpPort {
  const socket = createSocket('udp4')
  let isOpen = true
  const close = (): void => {
    if (!isOpen) return
    isOpen = false
    socket.close()
  }
  // An address that is gone, a network that is down: the question gets no answer, which every asker is ready for.
  socket.on('error', close)
  socket.on('message', (bytes, { address, port }) => {
    if (isOpen) onPacket(joinEndpoint(address, port), bytes)
  })
  socket.bind(0, ownAddress, () => {
    try {
      // Searches go out where the router is, whatever the routes of the tunnel say.
      if (isOpen) socket.setMulticastInterface(ownAddress)
    } catch {
      // The interface has gone down.
    }
  })
  return {
    send(to, bytes) {
      const parts = splitEndpoint(to)
      if (!isOpen || !parts) return
      socket.send(bytes, parts.port, parts.address, () => {})
    },
    close,
  }
}

function onAnnouncement(gateway: Gateway, told: () => void): () => void {
  const socket = createSocket({ type: 'udp4', reuseAddr: true })
  let isOpen = true
  const close = (): void => {
    if (!isOpen) return
    isOpen = false
    socket.close()
  }
  // Another program has the port: then the regular look finds out, up to a minute later.
  socket.on('error', close)
  socket.on('message', (_, { address }) => {
    if (address === gateway.address) told()
  })
  socket.bind(ANNOUNCE_PORT, () => {
    try {
      if (isOpen) socket.addMembership(ALL_HOSTS, gateway.ownAddress)
    } catch {
      // Every host is a member of this group in any case.
    }
  })
  socket.unref()
  return close
}

function http(request: HttpRequest, mostBytes: number, signal: AbortSignal): Promise<HttpReply> {
  const { address, ownAddress, port, path, headers, body } = request
  return new Promise((resolve, reject) => {
    const sent = httpRequest({
      host: address,
      port,
      path,
      localAddress: ownAddress,
      method: body ? 'POST' : 'GET',
      // No proxy and no kept connection: this never leaves the LAN.
      agent: false,
      headers: { ...headers, Connection: 'close', ...(body ? { 'Content-Length': body.length } : {}) },
      maxHeaderSize: MOST_HEADER_BYTES,
      signal,
    })
    sent.on('error', reject)
    sent.on('response', (response) => {
      const chunks: Buffer[] = []
      let bytes = 0
      response.on('error', reject)
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes > mostBytes) sent.destroy(new CodedError('portmap/too-long', 'The router answers without end.'))
        else chunks.push(chunk)
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }))
      response.on('close', () => reject(new CodedError('portmap/cut-short', 'The router cut its answer short.')))
    })
    sent.end(body)
  })
}
