import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeRows } from '../../../engine/data/encode'
import { evaluate } from '../../../engine/evaluate/evaluate'
import { type GenerateOptions, generate, planGenerate } from '../../../engine/generate/generate'
import { planRows } from '../../../engine/generate/rows'
import type { LoadedModel } from '../../../engine/model'
import { describeModel } from '../../../engine/models/index'
import { planSides, planWeights } from '../../../engine/programs/index'
import { InferenceSession } from '../../../engine/session'
import { tensorFlow } from '../support/backend'
import { TINY_LLAMA } from '../support/tiny'
import { encoded, loadTiny, textRows } from '../support/tiny-gguf'

let model: LoadedModel
let session: InferenceSession
beforeAll(async () => {
  model = loadTiny()
  session = new InferenceSession(await tensorFlow(), model)
})
afterAll(() => {
  session.close()
  model.close()
})

const prompts = ['The keeper', 'On Monday there were three ships in the harbour and', 'Notice: 30', 'a', 'The sea'].map((text) => [
  ...loadIds(text),
])
function loadIds(text: string): number[] {
  const tiny = loadTiny()
  const { ids } = tiny.tokenizer.encode(text)
  tiny.close()
  return ids
}
const say = (options: Partial<GenerateOptions> = {}, of = prompts) =>
  generate(session, of, { temperature: 0, maxNewTokens: 10, batch: 8, stopIds: [], ...options })

describe('E-13: generation', () => {
  it('does not depend on the batch, the order or the padding', { timeout: 180_000 }, async () => {
    const together = await say()
    expect(await say({ batch: 1 })).toEqual(together)
    expect(await say({ batch: 2 }, [...prompts].reverse())).toEqual([...together].reverse())
    const drawn = { temperature: 0.9, topK: 20, seed: 4 }
    expect(await say({ ...drawn, batch: 2 })).toEqual(await say(drawn))
    expect(await say({ ...drawn, seed: 5 })).not.toEqual(await say(drawn))
  })

  it('computes no rows that nobody asked for: groups are of one size, as large as allowed', () => {
    const sizes = (rows: number, batch: number) =>
      planGenerate(
        session,
        Array.from({ length: rows }, () => [5, 6]),
        { maxNewTokens: 4, batch },
      ).map(({ rows: own, size }) => [own.length, size])
    expect(sizes(48, 24)).toEqual([
      [24, 24],
      [24, 24],
    ])
    expect(sizes(3, 16)).toEqual([[3, 3]])
    expect(sizes(50, 24)).toEqual([
      [17, 17],
      [17, 17],
      [16, 17],
    ])
    expect(sizes(0, 8)).toEqual([])
  })

  it('reads in calls of bounded work, so that beats and cancels pass', () => {
    // 355 million parameters: 4,225 tokens are 3e12 operations.
    const large = { hidden_size: 4096, intermediate_size: 8192, vocab_size: 50_000, num_hidden_layers: 1, max_position_embeddings: 4096 }
    const sides = planSides(planWeights(describeModel({ ...TINY_LLAMA, ...large }), { trainable: [], precision: 'fp32' }))
    const sizes = (rows: number, length: number) =>
      planRows(
        sides,
        Array.from({ length: rows }, () => ({ ids: new Int32Array(length), prompt: length })),
        { batch: 16, maxNewTokens: 4 },
      ).map(({ rows: own }) => own.length)
    expect(sizes(8, 1000)).toEqual([4, 4])
    expect(sizes(3, 3000)).toEqual([1, 1, 1])
    expect(sizes(20, 100)).toEqual([10, 10])
  })

  it('ends at stop tokens, which are not part of the answer, and at the limit', async () => {
    const free = await say()
    expect(free.map(({ ids, stop }) => [ids.length, stop])).toEqual(prompts.map(() => [10, null]))
    const first = free[0]?.ids as number[]
    const at = first.findIndex((id, i) => i > 0 && !first.slice(0, i).includes(id))
    const [stopped] = await say({ stopIds: [first[at] as number] })
    expect(stopped).toEqual({ ids: first.slice(0, at), stop: first[at] })
  })

  it('F-15: rows beyond the vocabulary are never said', async () => {
    for (const { ids } of await say({ usableIds: 50 })) for (const id of ids) expect(id).toBeLessThan(50)
    for (const { ids } of await say({ usableIds: 50, temperature: 1.5, seed: 2 })) for (const id of ids) expect(id).toBeLessThan(50)
  })

  it('reports tokens and rows as they come, and can be cancelled between two tokens', async () => {
    const seen: number[][] = prompts.map(() => [])
    const done: number[] = []
    const answers = await say({ onToken: (row, id) => seen[row]?.push(id), onProgress: (count) => done.push(count) })
    expect(seen).toEqual(answers.map(({ ids }) => ids))
    expect(done.at(-1)).toBe(prompts.length)
    const abort = new AbortController()
    let tokens = 0
    const cancelled = say({
      signal: abort.signal,
      onToken: () => {
        if (++tokens === prompts.length * 3) abort.abort()
      },
    })
    await expect(cancelled).rejects.toMatchObject({ code: 'cancelled' })
    expect(tokens).toBe(prompts.length * 3)
  })

  it('refuses prompts that do not fit or are empty, naming the row', async () => {
    await expect(say({ maxNewTokens: 120 }, [[5], Array(20).fill(5)])).rejects.toThrow(/row 2.*at most 128/)
    await expect(say({}, [[5], []])).rejects.toThrow(/prompt is empty.*row 2/)
    await expect(say({ maxNewTokens: 0 })).rejects.toThrow(/max_new_tokens/)
    expect(await say({}, [])).toEqual([])
  })
})

describe('SCI-3: evaluation', () => {
  it('is weighted by tokens, whatever the batch, and gives each row its own loss', { timeout: 180_000 }, async () => {
    const rows = textRows(9)
    const set = await encoded(model, rows)
    const all = await evaluate(session, set, rows.length, { batch: 4 })
    const weighted = set.rows.reduce((sum, row, i) => sum + (all.rowLosses[set.source[i] as number] as number) * row.labels, 0)
    expect(all.tokens).toBe(set.labels)
    expect(all.loss).toBeCloseTo(weighted / set.labels, 10)
    const alone = await evaluate(session, set, rows.length, { batch: 1 })
    // F-44: padding never changes a loss.
    alone.rowLosses.forEach((loss, i) => {
      expect(Math.abs(loss - (all.rowLosses[i] as number))).toBeLessThan(1e-5)
    })
  })

  it('rows that were left out have no loss, and pieces of one row count together', async () => {
    const rows = [{ text: 'Short.' }, { text: 'A ship passed the lighthouse. '.repeat(12) }]
    const encoder = { tokenizer: model.tokenizer, template: model.template, trainOn: 'all' } as const
    const dropped = await encodeRows(encoder, rows, { maxLength: 32, excess: 'drop' })
    const result = await evaluate(session, dropped, 2, { batch: 2 })
    expect(Number.isFinite(result.rowLosses[0])).toBe(true)
    expect(result.rowLosses[1]).toBeNaN()
    const split = await encodeRows(encoder, rows, { maxLength: 32 })
    expect(split.rows.length).toBeGreaterThan(3)
    expect((await evaluate(session, split, 2, { batch: 4 })).rowLosses.every(Number.isFinite)).toBe(true)
  })
})
