/**
 * The job that Thaw must do, from the command line and an empty home: SmolLM2-135M learns to read contract fields, the score before and after
 * stands in the result, and what comes out computes in transformers what it computes here.
 *
 * THAW_PYTHON names a Python with torch and transformers; without it the comparison is skipped and the training still judged.
 */
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { generate, InferenceSession, loadModel } from '../../engine/index'
import { logits } from '../../engine/programs/index'
import { tensorFlow } from '../engine/support/backend'
import { ROOT, thaw } from '../kit/product'
import { tempFolder } from '../kit/temp'

type Outputs = Record<string, Record<string, Record<string, number> & { path?: string }>>

let home: Awaited<ReturnType<typeof tempFolder>>
let outputs: Outputs

beforeAll(async () => {
  home = await tempFolder()
  const { code, lines, stderr } = await thaw(['run', 'templates/contract-fields/pipeline.json', '--json'], {
    home: home.path,
    timeoutMs: 1_500_000,
  })
  expect(code, stderr.slice(-4_000)).toBe(0)
  const last = lines.at(-1) as { type: string; status: string; seconds: number; outputs: Outputs }
  expect(last).toMatchObject({ type: 'result', status: 'succeeded' })
  outputs = last.outputs
  const [seen, unseen] = [outputs.validate?.metrics, outputs.unseen?.metrics]
  console.log(
    `Contract fields: ${last.seconds.toFixed(0)} s; exact match ${seen?.base_exact_match} before, ${seen?.exact_match} after; on wordings never seen ${unseen?.exact_match}`,
  )
}, 1_600_000)

afterAll(() => home?.[Symbol.asyncDispose]())

test('UX-95: whole-row exact match on held-out rows rises by at least a half, and wordings never seen are scored beside it', () => {
  const seen = outputs.validate?.metrics
  const unseen = outputs.unseen?.metrics
  expect((seen?.exact_match ?? 0) - (seen?.base_exact_match ?? 1)).toBeGreaterThanOrEqual(0.5)
  expect(unseen?.exact_match).toBeGreaterThanOrEqual(0)
  expect(unseen?.base_exact_match).toBeGreaterThanOrEqual(0)
})

test('F-10: the export is a folder on disk with what transformers looks for', async () => {
  const path = outputs.export?.file?.path ?? ''
  expect(path.startsWith(join(home.path, 'exports'))).toBe(true)
  expect(JSON.parse(await readFile(join(path, 'config.json'), 'utf8'))).toMatchObject({ model_type: 'llama', num_hidden_layers: 30 })
})

describe.skipIf(!process.env.THAW_PYTHON)('in transformers', () => {
  test('F-59, E-13: logits are within 1e-3 of ours and greedy answers are the same', async () => {
    const folder = outputs.export?.file?.path ?? ''
    const rows = (await readFile(join(ROOT, 'templates/contract-fields/unseen.jsonl'), 'utf8')).trim().split('\n').slice(0, 3)
    const chats = rows.map((line) => {
      const row = JSON.parse(line) as { prompt?: string; messages?: { role: string; content: string }[] }
      return row.messages ? row.messages.filter(({ role }) => role !== 'assistant') : [{ role: 'user', content: row.prompt ?? '' }]
    })
    const texts = [
      'The quick brown fox jumps over the lazy dog.',
      'Supplier: Norrland AB, 1.250,50 € per month from 3 March 2024.',
      '  two spaces, ünïcödé and 🙂',
    ]
    await using scratch = await tempFolder()
    const request = join(scratch.path, 'request.json')
    const out = join(scratch.path, 'theirs')
    await writeFile(request, JSON.stringify({ texts, chats, new_tokens: 96 }))
    await promisify(execFile)(process.env.THAW_PYTHON ?? '', [join(ROOT, 'tests/reference/exported_model.py'), folder, request, out], {
      maxBuffer: 1 << 24,
    })
    const theirs = JSON.parse(await readFile(`${out}.json`, 'utf8')) as {
      ids: number[][]
      vocab: number
      dtype: string
      answers: { ids: number[]; text: string }[]
    }
    const bytes = await readFile(`${out}.bin`)
    const reference = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
    expect(theirs.dtype).toBe('torch.float32')

    const model = loadModel(folder)
    const session = new InferenceSession(await tensorFlow(), model)
    try {
      let at = 0
      let largest = 0
      for (const [i, text] of texts.entries()) {
        const { ids } = model.tokenizer.encode(text, { addSpecialTokens: false })
        expect(ids).toEqual(theirs.ids[i])
        const program = logits(session.plan, { batch: 1, length: ids.length, name: `logits-${i}` })
        const executable = await session.prepare([program])
        const { logits: values } = await executable.run(program.name, { ids: Int32Array.from(ids) }, ['logits'])
        const ours = values as Float32Array
        expect(ours.length).toBe(ids.length * theirs.vocab)
        for (let j = 0; j < ours.length; j++) {
          const difference = Math.abs((ours[j] ?? Number.NaN) - (reference[at + j] ?? Number.NaN))
          if (!(difference <= largest)) largest = difference
        }
        at += ours.length
      }
      console.log(`Largest difference of a logit: ${largest.toExponential(1)}`)
      expect(largest).toBeLessThanOrEqual(1e-3)

      const prompts = chats.map(
        (chat) =>
          model.tokenizer.encode(model.template?.render(chat, { addGenerationPrompt: true }) ?? '', { addSpecialTokens: false }).ids,
      )
      const made = await generate(session, prompts, {
        maxNewTokens: 96,
        batch: 1,
        stopIds: model.stopIds,
        temperature: 0,
        topK: 0,
        topP: 1,
        repetitionPenalty: 1,
      })
      expect(made.map(({ ids }) => model.tokenizer.decode([...ids], { skipSpecialTokens: true }))).toEqual(
        theirs.answers.map(({ text }) => text),
      )
    } finally {
      session.close()
      model.close()
    }
  }, 900_000)
})
