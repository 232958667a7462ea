/** gguf/: block formats, a whole small file, and the real SmolLM2 file where it is. */
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { GgufFile } from '../../engine/formats/gguf'
import { dequantize, type GgufType, ggufTypeById } from '../../engine/formats/gguf-blocks'
import { generate } from '../../engine/generate/generate'
import { evaluate, logits } from '../../engine/programs/index'
import { InferenceSession } from '../../engine/session'
import { type Context, exists, foldersIn, type Json, number, readJson, runCase, Tensors } from './cases'
import { labelFeeds, openFixtureModel } from './models'

const sha256 = (values: Uint8Array | Float32Array | string): string =>
  createHash('sha256')
    .update(typeof values === 'string' ? values : Buffer.from(values.buffer, values.byteOffset, values.byteLength))
    .digest('hex')

export async function gguf(context: Context, topic: string): Promise<void> {
  for (const name of foldersIn(topic)) {
    const folder = path.join(topic, name)
    await runCase(context, folder, async (at) => {
      if (!exists(folder, 'expected.json')) return context.report.fail(at, 'unread', 'the case has no expected.json')
      const expected = readJson(folder, 'expected.json')
      if (Object.values(expected).some((entry: Json) => entry?.ggml_type_id !== undefined)) return blocks(context, at, folder, expected)
      if (!expected.tensors) return context.report.fail(at, 'unread', `unknown kind of case: ${Object.keys(expected).join(', ')}`)
      const own = fs.readdirSync(folder).find((file) => file.endsWith('.gguf'))
      const wanted = own ?? path.basename(expected.file ?? '')
      const file = [folder, ...context.modelFolders]
        .map((place) => path.join(place, wanted))
        .find((candidate) => wanted && fs.existsSync(candidate))
      if (!file) return context.report.skip(at, `${wanted} is not here; node scripts/model-fetch.mjs brings it`)
      if (expected.file_sha256) {
        const digest = sha256(fs.readFileSync(file))
        if (digest !== expected.file_sha256) return context.report.skip(at, `${wanted} is another version of the file`)
      }
      await wholeFile(context, at, folder, file, expected)
    })
  }
}

function blocks(context: Context, at: string, folder: string, expected: Json): void {
  const tensors = new Tensors(folder, 'blocks.safetensors')
  for (const [type, want] of Object.entries(expected) as [string, Json][]) {
    if (want.ggml_type_id === undefined) continue
    if (ggufTypeById(want.ggml_type_id) !== type) {
      context.report.skip(at, `the block format ${type} is not built`)
      continue
    }
    const values = tensors.floats(`values/${type}`)
    const out = new Float32Array(values.length)
    dequantize(type as GgufType, tensors.bytes(`raw/${type}`), out)
    context.report.near(at, type, out, values, 0)
    if (want.sha256_of_f32) context.report.same(at, `${type} bits`, sha256(out), want.sha256_of_f32)
  }
  tensors.close()
}

async function wholeFile(context: Context, at: string, folder: string, location: string, expected: Json): Promise<void> {
  const { report } = context
  using file = GgufFile.open(location)
  const metadata: Record<string, unknown> = {}
  for (const [key, entry] of Object.entries(expected.metadata ?? {}) as [string, Json][]) {
    if (key.startsWith('GGUF.')) {
      metadata[key] = { 'GGUF.version': file.version, 'GGUF.tensor_count': file.tensors.size, 'GGUF.kv_count': file.metadata.size }[key]
      report.same(at, key, metadata[key], entry.value)
      continue
    }
    const got = file.metadata.get(key)
    report.same(at, `${key} type`, got?.type, entry.type)
    if (entry.type !== 'ARRAY') {
      if (typeof entry.value === 'number' || (typeof entry.value === 'string' && typeof got?.value === 'number'))
        report.near(at, key, [Number(got?.value)], [number(entry.value)], 0)
      else report.same(at, key, got?.value, entry.value)
      continue
    }
    const { of, values } = (got?.value ?? { of: null, values: [] }) as { of: string; values: readonly unknown[] }
    const { first, last, values: whole, length, sha256_of_newline_joined: digest } = entry.value
    report.same(at, `${key} length`, [of, values.length], [entry.value.array, length])
    if (whole) report.same(at, key, values, whole)
    if (first) report.same(at, `${key} first`, values.slice(0, first.length), first)
    if (last) report.same(at, `${key} last`, values.slice(values.length - last.length), last)
    if (digest) report.same(at, `${key} digest`, sha256(values.map(String).join('\n')), digest)
  }
  const table = (expected.tensors as Json[]).map((t) => [t.name, t.type, t.dims_in_file])
  report.same(
    at,
    'tensor table',
    (expected.tensors as Json[]).map((t) => [t.name, file.tensors.get(t.name)?.type, file.tensors.get(t.name)?.dims]),
    table,
  )
  if ((expected.tensors as Json[])[0]?.data_offset !== undefined) {
    report.same(
      at,
      'tensor offsets',
      (expected.tensors as Json[]).map((t) => file.dataStart + (file.tensors.get(t.name)?.offset ?? Number.NaN)),
      (expected.tensors as Json[]).map((t) => t.data_offset),
    )
  }

  const opened = openFixtureModel(location)
  const session = new InferenceSession(context.backend, opened)
  try {
    if (exists(folder, 'expected.safetensors')) {
      const tensors = new Tensors(folder, 'expected.safetensors')
      for (const name of tensors.names) {
        if (name.startsWith('gguf_layout/')) report.near(at, name, file.readFloat32(name.slice(12)), tensors.floats(name), 0)
        if (name.startsWith('hf_layout/')) report.near(at, name, opened.read(name.slice(10)), tensors.floats(name), 0)
      }
      if (tensors.has('logits')) {
        const [batch, length] = tensors.shape('input_ids') as [number, number]
        const ids = Int32Array.from(tensors.numbers('input_ids'))
        const labels = labelFeeds(ids, batch, length)
        const programs = [logits(session.plan, { batch, length }), evaluate(session.plan, { batch, length, labels: labels.count })] as const
        const executable = await session.prepare(programs)
        report.near(
          at,
          'logits',
          (await executable.run(programs[0].name, { ids })).logits as Float32Array,
          tensors.floats('logits'),
          expected.tolerance_abs.logits,
        )
        if (expected.loss !== undefined) {
          const { count, ...feeds } = labels
          const { loss } = await executable.run(programs[1].name, { ids, ...feeds }, ['loss'])
          report.near(at, 'loss', [(loss?.[0] as number) / count], [expected.loss], expected.tolerance_abs.loss)
        }
      }
      tensors.close()
    }
    if (exists(folder, 'values.json')) await realValues(context, at, file, opened, session, readJson(folder, 'values.json'))
  } finally {
    session.close()
    opened.close()
  }
}

async function realValues(
  context: Context,
  at: string,
  file: GgufFile,
  opened: ReturnType<typeof openFixtureModel>,
  session: InferenceSession,
  values: Json,
): Promise<void> {
  const { report } = context
  for (const want of (values.dequantized ?? []) as Json[]) {
    if (want.sha256_of_raw_bytes) report.same(at, `${want.name} bytes`, sha256(file.readBytes(want.name)), want.sha256_of_raw_bytes)
    if (want.sha256_of_f32) report.same(at, `${want.name} values`, sha256(file.readFloat32(want.name)), want.sha256_of_f32)
    if (want.sha256_of_f32_in_hf_layout)
      report.same(at, `${want.hf_name} values`, sha256(opened.read(want.hf_name)), want.sha256_of_f32_in_hf_layout)
  }
  const texts = (values.texts ?? []) as Json[]
  const tops = (values.top5 ?? []) as Json[]
  const rows = [...texts, ...tops].map(({ ids }) => ids as number[])
  const length = Math.max(...rows.map((ids) => ids.length))
  const batch = rows.length
  const ids = new Int32Array(batch * length)
  rows.forEach((row, b) => {
    ids.set(row, b * length)
  })
  const labels = new Int32Array(batch * length).fill(-100)
  texts.forEach((text, b) => {
    labels.set(text.ids, b * length)
  })
  const { count, ...feeds } = labelFeeds(labels, batch, length)
  const lastRows = Int32Array.from(rows, (row, b) => b * length + row.length - 1)
  const programs = [
    evaluate(session.plan, { batch, length, labels: count }),
    logits(session.plan, { batch, length, labels: batch }),
  ] as const
  const executable = await session.prepare(programs)
  const { logProbs } = await executable.run(programs[0].name, { ids, ...feeds }, ['logProbs'])
  let from = 0
  for (const [i, text] of texts.entries()) {
    const own = Array.from((logProbs as Float32Array).subarray(from, from + text.ids.length - 1))
    from += text.ids.length - 1
    report.near(at, `token log-probabilities of text ${i}`, own, text.token_logprobs, values.tolerance_abs.token_logprob)
    report.near(at, `loss of text ${i}`, [-own.reduce((a, b) => a + b, 0) / own.length], [text.loss], values.tolerance_abs.loss)
  }
  const vocab = opened.model.config.vocabSize
  const out = (await executable.run(programs[1].name, { ids, rows: lastRows })).logits as Float32Array
  for (const [i, top] of tops.entries()) {
    const row = out.subarray((texts.length + i) * vocab, (texts.length + i + 1) * vocab)
    const max = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
    const logSum = max + Math.log(row.reduce((sum, x) => sum + Math.exp(x - max), 0))
    const best = Array.from(row, (x, id) => [id, x - logSum] as const)
      .sort((a, b) => b[1] - a[1])
      .slice(0, top.top5.length)
    report.same(
      at,
      `top ${top.top5.length} after "${top.prompt}"`,
      best.map(([id]) => id),
      top.top5.map(([id]: Json) => id),
    )
    report.near(
      at,
      `their log-probabilities`,
      best.map(([, p]) => p),
      top.top5.map((entry: Json) => entry[2]),
      values.tolerance_abs.token_logprob,
    )
  }
  const greedy = (values.greedy ?? []) as Json[]
  if (greedy.length) {
    const keys = greedy.map((run) => Object.keys(run).find((key) => /^greedy\d+$/.test(key)) as string)
    const most = Math.max(...greedy.map((run, i) => run[keys[i] as string].length))
    const answers = await generate(
      session,
      greedy.map((run) => run.ids),
      { temperature: 0, maxNewTokens: most, batch: 8, stopIds: [] },
    )
    greedy.forEach((run, i) => {
      const want = run[keys[i] as string] as number[]
      report.same(at, `greedy after "${run.prompt}"`, answers[i]?.ids.slice(0, want.length), want)
    })
  }
}
