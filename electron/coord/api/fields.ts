// What an operation takes, told once: as a check for what arrives, and as JSON Schema for the document that describes it.

import {
  BadArgument,
  type Check,
  listOf,
  optional,
  text as checkText,
  whole as checkWhole,
  yesNo,
} from '../../contract/check.ts'

export type JsonSchema = Readonly<Record<string, unknown>>

export interface Field {
  readonly schema: JsonSchema
  readonly check: Check<unknown>
  readonly isOptional: boolean
}

export const text = (description: string, most = 1_024): Field => ({
  schema: { type: 'string', minLength: 1, maxLength: most, description },
  check: checkText(most),
  isOptional: false,
})

export const choice = (description: string, of: readonly string[]): Field => ({
  schema: { type: 'string', enum: of, description },
  check: (raw) => {
    if (typeof raw !== 'string' || !of.includes(raw)) throw new BadArgument(`Expected one of ${of.join(', ')}.`)
    return raw
  },
  isOptional: false,
})

export const flag = (description: string): Field => ({
  schema: { type: 'boolean', description },
  check: yesNo,
  isOptional: false,
})

export const number = (description: string, least: number, most: number): Field => ({
  schema: { type: 'integer', minimum: least, maximum: most, description },
  check: checkWhole(least, most),
  isOptional: false,
})

/** Whole numbers that come as text, in a path or a query. */
export const digits = (description: string): Field => ({
  schema: { type: 'integer', minimum: 0, description },
  check: (raw) => {
    if (typeof raw !== 'string' || !/^\d{1,15}$/.test(raw)) throw new BadArgument('Expected a whole number.')
    return Number(raw)
  },
  isOptional: false,
})

export const texts = (description: string, most = 64): Field => ({
  schema: { type: 'array', maxItems: most, items: { type: 'string', minLength: 1, maxLength: 1_024 }, description },
  check: listOf(checkText(1_024), most),
  isOptional: false,
})

export const maybe = (field: Field): Field => ({ ...field, check: optional(field.check), isOptional: true })

export type Fields = Readonly<Record<string, Field>>

/** As JSON Schema; nothing else is taken. */
export const objectSchema = (fields: Fields): JsonSchema => ({
  type: 'object',
  properties: Object.fromEntries(Object.entries(fields).map(([name, { schema }]) => [name, schema])),
  required: Object.entries(fields).flatMap(([name, { isOptional }]) => (isOptional ? [] : [name])),
  additionalProperties: false,
})
