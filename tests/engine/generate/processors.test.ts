import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, it } from 'vitest'
import { Random } from '../../../engine/data/random'
import { SafetensorsFile } from '../../../engine/formats/safetensors'
import { checkSampling, chooseToken, probabilities, type SamplingOptions } from '../../../engine/generate/processors'

const folder = path.join(import.meta.dirname, '../../reference/generation')
const expected = JSON.parse(fs.readFileSync(path.join(folder, 'expected.json'), 'utf8'))
const tensors = SafetensorsFile.open(path.join(folder, 'expected.safetensors'))

const NAMES: Record<string, keyof SamplingOptions> = {
  temperature: 'temperature',
  top_k: 'topK',
  top_p: 'topP',
  min_p: 'minP',
  typical_p: 'typicalP',
  repetition_penalty: 'repetitionPenalty',
  no_repeat_ngram_size: 'noRepeatNgramSize',
}
type Case = { index: number; config: Record<string, number>; probs?: number[] }

describe.each(Object.keys(expected).filter((m) => expected[m].processors))('E-13: processors on %s', (model) => {
  const logits = expected[model].logits ? Float32Array.from(expected[model].logits) : tensors.readFloat32(`${model}/logits`)
  const history: number[] = expected[model].history ?? [...tensors.readNumbers(`${model}/history`)]
  it.each((expected[model].processors as Case[]).map((c) => [JSON.stringify(c.config), c] as const))('%s', (_, c) => {
    const options = Object.fromEntries(Object.entries(c.config).map(([name, value]) => [NAMES[name] as string, value])) as SamplingOptions
    const got = [...probabilities(logits, history, options)]
    const want = c.probs ?? [...tensors.readFloat32(`${model}/probs/${c.index}`)]
    expect(got.map((p) => p > 0)).toEqual(want.map((p) => p > 0))
    expect(Math.max(...got.map((p, i) => Math.abs(p - (want[i] as number))))).toBeLessThanOrEqual(expected.tolerance_abs.probabilities)
  })
})

describe('drawing', () => {
  const logits = Float32Array.of(0, Math.log(2), Math.log(5), 9)
  it('follows the probabilities and never draws rows beyond the vocabulary (F-15)', () => {
    const counts = [0, 0, 0, 0]
    const random = Random.of(3)
    for (let i = 0; i < 40_000; i++) {
      const id = chooseToken(logits, [], {}, random, 3)
      counts[id] = (counts[id] as number) + 1
    }
    expect(counts[3]).toBe(0)
    for (const [i, share] of [1 / 8, 2 / 8, 5 / 8].entries()) expect((counts[i] as number) / 40_000).toBeCloseTo(share, 2)
  })
  it('temperature 0 takes the most likely one', () => {
    expect(chooseToken(logits, [], { temperature: 0, topK: 1 }, Random.of(1), 3)).toBe(2)
    expect(chooseToken(logits, [2], { temperature: 0, repetitionPenalty: 3 }, Random.of(1), 3)).toBe(1)
  })
  it('refuses settings without meaning by name', () => {
    expect(() => checkSampling({ topP: 0 })).toThrow(/top_p/)
    expect(() => checkSampling({ temperature: Number.NaN })).toThrow(/temperature/)
    expect(() => checkSampling({ topK: 1.5 })).toThrow(/top_k/)
  })
})
