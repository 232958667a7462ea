/**
 * Export and its gate (F-57, F-58): a model is written as a Hugging Face folder or a GGUF file, read back through the import path, and
 * compared with the model in memory; what does not compute the same is not stored.
 */
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import * as path from 'node:path'
import type { Backend } from '../../engine/backends/backend'
import { EngineError } from '../../engine/errors'
import { FLOAT_DTYPES, type FloatDtype } from '../../engine/formats/dtypes'
import { GGUF_ENCODINGS, type GgufEncoding, ggufFileName, saveGguf } from '../../engine/formats/gguf-export'
import { MODEL_TEXTS } from '../../engine/formats/model-texts'
import { modelfileOf } from '../../engine/formats/ollama'
import { generate, planGenerate, programsOf } from '../../engine/generate/generate'
import { type LoadedModel, loadModel } from '../../engine/model'
import { logits } from '../../engine/programs/index'
import { saveModel } from '../../engine/save'
import { InferenceSession } from '../../engine/session'
import type { Tokenizer } from '../../engine/tokenizer/tokenizer'
import type { ExportGate, ExportJob, ExportResult } from '../../nodes/_kit/context'
import type { EngineHost } from '../executor/context'

type Place = {
  readonly host: EngineHost
  readonly backend: Backend
  readonly model: LoadedModel
  /** The model in memory, in 32 bit. */
  readonly session: InferenceSession
  /** Frees the memory of `session` before the written file is loaded. */
  unload(): void
}

/** Throws `mismatch` with what differs; nothing is stored then. */
export async function writeAndCompare({ host, backend, model, session, unload }: Place, job: ExportJob): Promise<ExportResult> {
  const probes = probesOf(model)
  const before = await probe(session, model, probes)
  const folder = path.join(host.tmp, 'export')
  const { names, opens, notes } = job.format === 'gguf' ? await writeGgufFolder(folder, model, job) : await writeFolder(folder, model, job)
  unload()
  const again = loadModel(path.join(folder, opens))
  const check = new InferenceSession(backend, again)
  try {
    sameTexts(model, again, probes, job.format === 'gguf')
    const gate = compare({ before, after: await probe(check, again, probes), encoding: job.dtype })
    const files: { path: string; digest: string; size: number }[] = []
    for (const name of names) {
      const file = path.join(folder, name)
      const { size } = fs.statSync(file)
      files.push({ path: name, digest: await host.artifacts.putFile(file), size })
    }
    return {
      file: await host.artifacts.putManifest(job.name, files),
      maxLogitDifference: gate.largest,
      gate: { ...gate, prompts: probes.length, notes },
    }
  } finally {
    check.close()
    again.close()
  }
}

type Written = { names: string[]; opens: string; notes: string[] }

async function writeFolder(folder: string, model: LoadedModel, job: ExportJob): Promise<Written> {
  if (!isFloat(job.dtype))
    throw new EngineError('bad_argument', 'a Hugging Face folder holds no quantised weights', {
      expected: FLOAT_DTYPES.join(', '),
      got: job.dtype,
      fix: 'export as GGUF',
    })
  const { dtype, metadata, card, shardBytes } = job
  const names = await saveModel(folder, model, { dtype, metadata, card, ...(shardBytes && { shardBytes }) })
  return { names, opens: '.', notes: [] }
}

async function writeGgufFolder(folder: string, model: LoadedModel, job: ExportJob): Promise<Written> {
  if (!isEncoding(job.dtype))
    throw new EngineError('bad_argument', 'this is no type of a GGUF file', {
      expected: Object.keys(GGUF_ENCODINGS).join(', '),
      got: job.dtype,
    })
  fs.mkdirSync(folder, { recursive: true })
  const parameters = model.model.parameters.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
  const file = ggufFileName(job.name, parameters, job.dtype)
  const { note } = await saveGguf(model, {
    path: path.join(folder, file),
    encoding: job.dtype,
    name: job.name,
    metadata: job.metadata,
    ...(job.license !== undefined && { license: job.license }),
    ...(job.base && { base: job.base }),
  })
  const modelfile = modelfileOf(model, file)
  fs.writeFileSync(path.join(folder, 'Modelfile'), modelfile.text)
  fs.writeFileSync(path.join(folder, 'README.md'), job.card)
  return {
    names: ['Modelfile', 'README.md', file],
    opens: file,
    notes: [note, modelfile.lacks].filter((text): text is string => text !== null),
  }
}

const isFloat = (dtype: string): dtype is FloatDtype => (FLOAT_DTYPES as readonly string[]).includes(dtype)
const isEncoding = (dtype: string): dtype is GgufEncoding => Object.hasOwn(GGUF_ENCODINGS, dtype)

const digestOf = (text: string | null): string => (text === null ? 'none' : createHash('sha256').update(text).digest('hex').slice(0, 12))

/** Strings that are tokenised with both: the probes, and what runs of the vocabulary spell. */
const STRINGS = 100
function stringsOf(tokenizer: Tokenizer): string[] {
  return Array.from({ length: STRINGS }, (_, i) => {
    const ids = Array.from({ length: 9 }, (_, j) => (i * 7919 + j * 104_729) % tokenizer.size)
    return tokenizer.decode(ids, { skipSpecialTokens: true })
  })
}

/** Text files, special tokens and tokens of the written model are those of the model in memory. */
function sameTexts(model: LoadedModel, again: LoadedModel, probes: readonly Probe[], made: boolean): void {
  const sorted = (ids: readonly number[]) => [...ids].sort((a, b) => a - b).join(', ')
  same('stop tokens', sorted(model.stopIds), sorted(again.stopIds))
  // A GGUF file holds the tokenizer in its own form, which is compared by what it does. Generation settings may have gained a stop token.
  const texts = made ? (['chat_template.jinja'] as const) : MODEL_TEXTS.filter((text) => text !== 'generation_config.json')
  for (const name of texts) same(name, digestOf(model.source.text(name)), digestOf(again.source.text(name)))
  for (const token of ['bosToken', 'padToken', 'unkToken'] as const)
    same(token, String(model.tokenizer[token]), String(again.tokenizer[token]))
  for (const text of [...probes.map((one) => one.text), ...stringsOf(model.tokenizer)])
    for (const addSpecialTokens of [false, true])
      same(
        `tokens of "${text}"`,
        model.tokenizer.encode(text, { addSpecialTokens }).ids.join(' '),
        again.tokenizer.encode(text, { addSpecialTokens }).ids.join(' '),
      )
}

type Probe = { text: string; ids: number[] }

/** Fixed texts that the export gate compares on: prose, digits, code, other scripts, white space, and a chat where there is a template. */
function probesOf(model: LoadedModel): Probe[] {
  const texts = [
    'The quick brown fox jumps over the lazy dog.',
    'This agreement is made on 3 March 2024 between',
    'for (let i = 0; i < 10; i++) {\n  total += i',
    'Ce contrat est régi par le droit français; “prix”: 1.250,50 €',
    '  two leading spaces, a\ttab and 한국어 日本語 🙂',
    '{"supplier": "',
    '1234567890',
  ]
  const asked = model.template?.render([{ role: 'user', content: 'What is the notice period?' }], { addGenerationPrompt: true })
  return [...texts, ...(asked ? [asked] : [])].map((text) => ({ text, ids: model.tokenizer.encode(text, { addSpecialTokens: false }).ids }))
}

/** Tokens that are generated greedily after each probe (F-57). */
const GREEDY_TOKENS = 24

/** Logits of every position of every probe, and what the model says after each. Compiled together: the weights are loaded once. */
async function probe(
  session: InferenceSession,
  model: LoadedModel,
  probes: readonly Probe[],
): Promise<{ values: Float32Array; vocab: number; rows: number[]; greedy: (readonly number[])[] }> {
  const { padId } = model
  const length = Math.min(session.plan.model.config.contextLength, Math.max(...probes.map(({ ids }) => ids.length)))
  const program = logits(session.plan, { batch: probes.length, length, name: `probe-${probes.length}x${length}` })
  const prompts = probes.map(({ ids }) => ids)
  const options = { temperature: 0, maxNewTokens: GREEDY_TOKENS, batch: 16, stopIds: [], padId, usableIds: model.tokenizer.size } as const
  const executable = await session.prepare([program, ...programsOf(planGenerate(session, prompts, options))])
  const ids = new Int32Array(probes.length * length).fill(padId)
  const rows: number[] = []
  probes.forEach((one, b) => {
    one.ids.slice(0, length).forEach((id, t) => {
      ids[b * length + t] = id
      rows.push(b * length + t)
    })
  })
  const { logits: values } = await executable.run(program.name, { ids }, ['logits'])
  const greedy = (await generate(session, prompts, options)).map((answer) => answer.ids)
  return { values: values as Float32Array, vocab: session.plan.model.config.vocabSize, rows, greedy }
}

type Probed = Awaited<ReturnType<typeof probe>>

/** How far apart two models may be (F-58): logits for 32 bit, else nats per token and the share of places with the same first choice. */
const LIMITS: Readonly<Record<string, { logits?: number; nats?: number; top?: number }>> = {
  F32: { logits: 1e-4 },
  F16: { nats: 1e-3 },
  BF16: { nats: 1e-3 },
  Q8_0: { nats: 0.01, top: 0.98 },
  // Starting values of ours: four bits are a loss that the report shows, and beyond these the file is no use.
  Q4_K_M: { nats: 0.25, top: 0.75 },
  Q4_1: { nats: 0.25, top: 0.75 },
  Q4_0: { nats: 0.3, top: 0.7 },
}

/** Compares at every place of every probe; throws `mismatch` when the difference is above what the encoding explains. */
function compare({ before, after, encoding }: { before: Probed; after: Probed; encoding: string }): Omit<ExportGate, 'prompts' | 'notes'> {
  let largest = 0
  let total = 0
  let agreed = 0
  const { vocab, rows } = before
  const top = (values: Float32Array) => values.reduce((best, value, i) => (value > (values[best] as number) ? i : best), 0)
  for (const row of rows) {
    const a = before.values.subarray(row * vocab, (row + 1) * vocab)
    const b = after.values.subarray(row * vocab, (row + 1) * vocab)
    for (let i = 0; i < vocab; i++) {
      const difference = Math.abs((a[i] as number) - (b[i] as number))
      // Written so that NaN counts as the largest of all.
      if (!(difference <= largest)) largest = difference
    }
    total += divergenceOf(a, b)
    if (top(a) === top(b)) agreed++
  }
  const gate = {
    largest,
    divergence: total / rows.length,
    sameTop: agreed / rows.length,
    sameGreedy: before.greedy.filter((ids, i) => ids.join() === after.greedy[i]?.join()).length / before.greedy.length,
  }
  const limit = LIMITS[encoding] ?? {}
  const refuse = (expected: string, got: string): never => {
    throw new EngineError('mismatch', 'the written file does not compute what the model in memory does; it was not exported', {
      where: 'export',
      expected,
      got,
      fix: encoding === 'F32' ? 'report this with the log' : 'export with more bits',
    })
  }
  if (limit.logits !== undefined && !(largest <= limit.logits)) refuse(`logits within ${limit.logits}`, String(largest))
  if (limit.nats !== undefined && !(gate.divergence <= limit.nats))
    refuse(`a divergence of at most ${limit.nats} nats per token`, String(gate.divergence))
  if (limit.top !== undefined && gate.sameTop < limit.top)
    refuse(`the same first choice in ${limit.top * 100} % of places`, `${(gate.sameTop * 100).toFixed(1)} %`)
  // Fewer bits may choose another word where two are about as likely.
  if (encoding === 'F32' && gate.sameGreedy < 1) refuse('the same greedy text after every prompt', `${gate.sameGreedy * 100} % of prompts`)
  return gate
}

/** Kullback-Leibler divergence of softmax(b) from softmax(a), nats. */
function divergenceOf(a: Float32Array, b: Float32Array): number {
  const logSum = (values: Float32Array): number => {
    const top = values.reduce((x, y) => Math.max(x, y), Number.NEGATIVE_INFINITY)
    return top + Math.log(values.reduce((sum, x) => sum + Math.exp(x - top), 0))
  }
  const za = logSum(a)
  const zb = logSum(b)
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += Math.exp((a[i] as number) - za) * ((a[i] as number) - za - ((b[i] as number) - zb))
  return sum
}

function same(what: string, expected: string, got: string): void {
  if (expected === got) return
  throw new EngineError('mismatch', `${what} changed on the way to the file; the model was not exported`, {
    where: 'export',
    expected,
    got,
  })
}
