// The description of the API for programs: OpenAPI 3.1, made of the table that the server itself works by.

import { type Fields, type JsonSchema, maybe, objectSchema, text } from './fields.ts'
import { type Answer, OPERATIONS, type Operation, writes } from './operations.ts'
import { SCHEMAS } from './schemas.ts'

export const API_PREFIX = '/api/v1'

export function openApiDocument(serverUrl: string): JsonSchema {
  const paths: Record<string, Record<string, JsonSchema>> = {}
  for (const operation of OPERATIONS) {
    const path = (paths[operation.path] ??= {})
    path[operation.method.toLowerCase()] = describe(operation)
  }
  paths['/me'] = {
    get: {
      operationId: 'me',
      tags: ['me'],
      summary: 'Who asks, and what they may',
      responses: { 200: json('The caller', { $ref: '#/components/schemas/Me' }), default: failure },
    },
  }
  Object.assign(paths, BACKUP_PATHS)
  return {
    openapi: '3.1.0',
    info: {
      title: 'Peerway coordination server',
      version: '1',
      description: 'Machines, people, keys, routes, DNS and policy of one private network.',
      license: { name: 'BSD-3-Clause', identifier: 'BSD-3-Clause' },
    },
    servers: [{ url: `${serverUrl}${API_PREFIX}` }],
    security: [{ token: [] }],
    paths,
    components: {
      schemas: SCHEMAS,
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'A token made with "peerway coord tokens create".' },
      },
    },
  }
}

function describe(operation: Operation): JsonSchema {
  const { call, area, summary, path_, query, body, answer } = operation
  const scope = writes(operation) ? area : `${area}:read`
  return {
    operationId: call.replaceAll(/[.-](\w)/g, (_, letter: string) => letter.toUpperCase()),
    tags: [area],
    summary,
    description: `Needs the scope "${scope}".`,
    parameters: [...parameters('path', path_), ...parameters('query', query)],
    ...(Object.keys(body).length > 0 && {
      requestBody: { required: true, content: { 'application/json': { schema: objectSchema(body) } } },
    }),
    responses: { ...success(answer), default: failure },
  }
}

const parameters = (where: 'path' | 'query', fields: Fields): JsonSchema[] =>
  Object.entries(fields).map(([name, { schema, isOptional }]) => ({ name, in: where, required: !isOptional, schema }))

function success(answer: Answer): JsonSchema {
  if (answer === 'nothing') return { 204: { description: 'Done' } }
  if (typeof answer === 'string') return { 200: json('Done', { $ref: `#/components/schemas/${answer}` }) }
  return { 200: json('Done', { type: 'array', items: { $ref: `#/components/schemas/${answer.list}` } }) }
}

const json = (description: string, schema: JsonSchema): JsonSchema => ({
  description,
  content: { 'application/json': { schema } },
})

const failure = json('What was wrong, and what to do', { $ref: '#/components/schemas/Error' })

const FILE: JsonSchema = { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } }
const ask = (fields: Fields): JsonSchema => ({
  required: true,
  content: { 'application/json': { schema: objectSchema(fields) } },
})

/** Of the whole server, for who owns every tailnet of it; what goes in and out is a file, not JSON. */
const BACKUP_PATHS: Readonly<Record<string, Record<string, JsonSchema>>> = {
  '/backup': {
    post: {
      operationId: 'backup',
      tags: ['server'],
      summary: 'Take a backup of the whole server along',
      description: 'Needs the scope "all", and an owner of every network.',
      requestBody: ask({ passphrase: maybe(text('Seals the server’s key into it.')) }),
      responses: { 200: { description: 'The file', content: FILE }, default: failure },
    },
  },
  '/restore/upload': {
    post: {
      operationId: 'restoreUpload',
      tags: ['server'],
      summary: 'Look into a backup; nothing is changed yet',
      description:
        'For a person who owns every network and signed in less than five minutes ago. Kept for a quarter of an hour.',
      requestBody: { required: true, content: FILE },
      responses: { 200: json('What is in it', { $ref: '#/components/schemas/UploadedBackup' }), default: failure },
    },
  },
  '/restore': {
    post: {
      operationId: 'restore',
      tags: ['server'],
      summary: 'Put an uploaded backup in the place of everything; the server begins anew',
      description: 'For a person who owns every network and signed in less than five minutes ago.',
      requestBody: ask({
        upload: text('Names the uploaded file.'),
        passphrase: maybe(text('Opens the key in the backup.')),
      }),
      responses: { 202: json('It begins', { $ref: '#/components/schemas/RestoreOutcome' }), default: failure },
    },
  },
  '/restore/{upload}': {
    get: {
      operationId: 'restoreOutcome',
      tags: ['server'],
      summary: 'What came of a restore',
      description: 'Needs no session, for after a restore there may be none: the name of the upload is the proof.',
      security: [],
      parameters: [{ name: 'upload', in: 'path', required: true, schema: { type: 'string' } }],
      responses: { 200: json('What came of it', { $ref: '#/components/schemas/RestoreOutcome' }), default: failure },
    },
  },
}
