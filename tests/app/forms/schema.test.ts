import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { fromSlider, numberText, parseNumber, toSlider } from '../../../app/forms/number-text'
import { blankOf, fieldsOf } from '../../../app/forms/schema'

const params = z.strictObject({
  steps: z.int().min(1).max(1000).default(60).meta({ title: 'Steps', description: 'How many.', unit: 'steps' }),
  seed: z.int().default(42),
  rate: z
    .union([z.literal('auto'), z.number().min(1e-7).max(1)])
    .default('auto')
    .meta({ title: 'Learning rate', scale: 'log' }),
  above: z.number().gt(0).default(1),
  schedule: z
    .enum(['linear', 'constant_with_warmup'])
    .default('linear')
    .meta({ labels: { linear: 'Straight down' } }),
  bf16: z.boolean().default(true).meta({ advanced: true }),
  parts: z.array(z.enum(['attention', 'mlp'])).default(['attention']),
  blocks: z.array(z.int().min(0)).default([]),
  betas: z.tuple([z.number(), z.number()]).default([0.9, 0.999]),
  limit: z.number().nullable().default(null),
  file: z.string().meta({ widget: 'file' }),
  target: z
    .discriminatedUnion('by', [
      z.strictObject({ by: z.literal('share'), share: z.number().min(0).max(1) }),
      z.strictObject({ by: z.literal('count'), rows: z.int().default(10) }),
    ])
    .default({ by: 'count', rows: 10 }),
})
const fields = fieldsOf(params)
const field = (name: string) => fields.find((f) => f.name === name) ?? expect.fail(`no field ${name}`)

describe('UX-40: fields come from the schema', () => {
  it('TC-35: hides the bounds of z.int and keeps real ones', () => {
    expect(field('seed').shape).toEqual({ kind: 'number', integer: true, scale: 'linear' })
    expect(field('steps').shape).toEqual({ kind: 'number', integer: true, min: 1, max: 1000, scale: 'linear' })
    expect(field('above').shape).toEqual({ kind: 'number', integer: false, min: 0, exclusiveMin: true, scale: 'linear' })
  })

  it('reads auto, null, enum with titles, switches, lists, tuples and discriminated unions', () => {
    expect(field('rate')).toMatchObject({
      auto: true,
      default: 'auto',
      title: 'Learning rate',
      shape: { kind: 'number', min: 1e-7, max: 1, scale: 'log' },
    })
    expect(field('limit')).toMatchObject({ nullable: true, shape: { kind: 'number' } })
    expect(field('schedule').shape).toEqual({
      kind: 'choice',
      options: [
        { value: 'linear', title: 'Straight down' },
        { value: 'constant_with_warmup', title: 'Constant with warmup' },
      ],
    })
    expect(field('bf16')).toMatchObject({ advanced: true, shape: { kind: 'flag' } })
    expect(field('parts').shape).toMatchObject({ kind: 'choices', options: [{ value: 'attention' }, { value: 'mlp' }] })
    expect(field('blocks').shape).toMatchObject({ kind: 'list', item: { kind: 'number', min: 0 } })
    expect(field('betas').shape).toMatchObject({ kind: 'tuple', items: [{ shape: { kind: 'number' } }, { shape: { kind: 'number' } }] })
    expect(field('file')).toMatchObject({ required: true, widget: 'file', default: undefined })
    expect(field('target').shape).toMatchObject({
      kind: 'variants',
      key: 'by',
      variants: [
        { value: 'share', fields: [{ name: 'share', required: true }] },
        { value: 'count', fields: [{ name: 'rows', default: 10 }] },
      ],
    })
  })

  it('a blank value of every field is accepted by the schema it came from, up to empty texts', () => {
    for (const f of fields) {
      const tried = params.safeParse({ file: 'x', [f.name]: f.name === 'file' ? 'y' : blankOf(f) })
      expect(tried.error?.issues, f.name).toBeUndefined()
    }
  })
})

describe('numbers in fields', () => {
  it('what is shown parses back to the same number', async () => {
    await fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(parseNumber(numberText(value))).toBe(value === 0 ? 0 : value)
      }),
    )
  })
  it('reads what people type and refuses what could mean two things', () => {
    expect(parseNumber(' 3e-4 ')).toBe(3e-4)
    expect(parseNumber('10,344')).toBe(10_344)
    expect(parseNumber('−2')).toBe(-2)
    for (const wrong of ['', '0,5', '1e', 'ten', '1.2.3', '0x10', 'Infinity']) expect(parseNumber(wrong), wrong).toBeNull()
    expect(numberText(0.0003)).toBe('3e-4')
    expect(numberText(10_344)).toBe('10,344')
  })
  it('a log slider gives round rates and comes back to its place', () => {
    expect(fromSlider(toSlider(3e-4, 1e-6, 1e-2, 'log'), 1e-6, 1e-2, 'log')).toBe(3e-4)
    expect(fromSlider(0, 1e-6, 1e-2, 'log')).toBe(1e-6)
    expect(fromSlider(1, 1e-6, 1e-2, 'log')).toBe(1e-2)
    expect(fromSlider(0.5, 0, 10, 'linear', 1)).toBe(5)
  })
})
