import { afterAll, beforeAll, expect, it } from 'vitest'
import { generate } from '../../../engine/generate/generate'
import { type Grammar, jsonGrammar } from '../../../engine/generate/grammar'
import type { LoadedModel } from '../../../engine/model'
import { InferenceSession } from '../../../engine/session'
import { tensorFlow } from '../support/backend'
import { loadTiny } from '../support/tiny-gguf'

const SCHEMA = {
  type: 'object',
  properties: { party: { type: ['string', 'null'] }, kind: { enum: ['sale', 'lease'] }, months: { type: 'integer' } },
  required: ['party', 'kind', 'months'],
  additionalProperties: false,
}

let model: LoadedModel
let session: InferenceSession
const grammars: Grammar[] = []
beforeAll(async () => {
  model = loadTiny()
  session = new InferenceSession(await tensorFlow(), model)
})
afterAll(() => {
  for (const grammar of grammars) grammar.close()
  session.close()
  model.close()
})
const grammarOf = async (schema: unknown) => {
  const grammar = await jsonGrammar(model, schema)
  grammars.push(grammar)
  return grammar
}

it('a model that knows no JSON writes nothing but JSON of the schema, greedily and drawn, and ends by itself', {
  timeout: 60_000,
}, async () => {
  const grammar = await grammarOf(SCHEMA)
  const prompts = ['The keeper', 'Notice: 30'].map((text) => model.tokenizer.encode(text).ids)
  const common = { maxNewTokens: 96, batch: 8, stopIds: model.stopIds, usableIds: model.tokenizer.size, grammar }
  let whole = 0
  for (const options of [{ temperature: 0 }, { temperature: 1.5, topK: 40, seed: 3 }, { temperature: 1, topP: 0.8, seed: 4 }]) {
    for (const { ids, stop } of await generate(session, prompts, { ...common, ...options })) {
      const text = model.tokenizer.decode(ids, { skipSpecialTokens: true })
      expect(text, 'begins as the schema says').toMatch(/^\{"party":/)
      if (stop === null) continue
      whole++
      const value = JSON.parse(text) as Record<string, unknown>
      expect(Object.keys(value)).toEqual(['party', 'kind', 'months'])
      expect(['sale', 'lease']).toContain(value.kind)
      expect(Number.isInteger(value.months)).toBe(true)
    }
  }
  expect(whole, 'answers that ended within the limit').toBeGreaterThan(0)
})

it('refuses what it cannot follow by name and place, and goes on', async () => {
  const inner = (party: unknown) => ({ ...SCHEMA, properties: { ...SCHEMA.properties, party } })
  for (const [schema, where] of [
    [{ type: 'no such type' }, 'json_schema.type'],
    [inner({ type: 'string', format: 'date' }), 'json_schema.properties.party.format'],
    [inner({}), 'json_schema.properties.party'],
    [{ ...SCHEMA, required: ['nobody'] }, 'json_schema.required'],
    ['{}', 'json_schema'],
  ] as const)
    await expect(grammarOf(schema), where).rejects.toMatchObject({ code: 'bad_argument', where })
  await grammarOf({ type: 'array', items: { anyOf: [{ const: 1 }, { type: 'boolean' }] }, maxItems: 3 })
  await grammarOf(true)
})
