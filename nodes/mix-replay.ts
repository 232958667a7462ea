import * as z from 'zod'
import type { RunContext } from './_kit/context'
import { datasetFacts, modelFacts, putRows } from './_kit/dataset'
import { defineNode } from './_kit/define-node'
import { DECODE_FLOPS_PER_SECOND, forwardFlopsPerToken, WARM_UP_SECONDS } from './_kit/estimate'
import type { NodeProblem } from './_kit/facts'
import { NodeError, throwProblem } from './_kit/node-error'
import { baseOf, type DatasetHandle, type ModelHandle } from './_kit/ports'
import { putReport } from './_kit/report'
import { autoTrainOn } from './_kit/resolve-train'
import { percentWords, plural } from './_kit/words'

const MIXABLE: readonly string[] = ['messages', 'prompt_completion', 'text']

export const mixReplay = defineNode({
  type: 'mix-replay',
  title: 'Mix replay',
  summary: 'Mixes a small share of general rows into the training rows, so that the model forgets less.',
  help: `Training on one task costs knowledge about everything else. A few rows of general text between the task’s rows keep it alive: in a published case 1 % repaired a model that had lost its first task completely.

Wire **replay** rows, general text or exchanges of any kind; they are brought into the shape of the data. Or wire only a **model**: then the model as it was loaded writes its own replay text, once, from everyday questions, which needs no other data and keeps what the model itself would have said.

The share is one of **trained tokens**, not of rows, and replay rows are spread evenly. Five percent cost five percent of the training time. Put the node after Split data, on the training rows only: validation and test stay as they are.`,
  group: 'Data',
  icon: 'mix-replay',
  tags: ['forgetting', 'retention', 'rehearsal', 'replay', 'mix', 'catastrophic', 'general', 'blend'],
  params: z.strictObject({
    replay_ratio: z
      .number()
      .min(0)
      .max(0.9)
      .default(0.05)
      .meta({ title: 'Share of replay', description: 'Share of the trained tokens that comes from replay rows.', step: 0.01 }),
    samples: z.int().min(1).max(2000).default(32).meta({
      title: 'Texts to write',
      description: 'How many replay texts the model writes where no replay rows are wired.',
      unit: 'texts',
      advanced: true,
    }),
    max_new_tokens: z.int().min(8).max(2048).default(96).meta({
      title: 'Longest text',
      description: 'Where the model’s own texts end if it does not stop by itself.',
      unit: 'tokens',
      advanced: true,
    }),
    seed: z
      .int()
      .min(0)
      .max(2_147_483_647)
      .default(42)
      .meta({ title: 'Seed', description: 'Which rows are drawn, and what the model writes.' }),
  }),
  inputs: {
    data: { kind: 'dataset', title: 'Data', description: 'The rows to train on.' },
    replay: { kind: 'dataset', title: 'Replay', description: 'General rows to mix in.', optional: true },
    model: {
      kind: 'model',
      title: 'Model',
      description: 'Counts the tokens, and writes the replay text where none is wired.',
      optional: true,
    },
  },
  outputs: {
    data: { kind: 'dataset', title: 'Data', description: 'The rows with replay rows between them.' },
    replay: { kind: 'dataset', title: 'Replay', description: 'The replay rows that were there to draw from, to look at or to use again.' },
    report: { kind: 'report', title: 'Report', description: 'What was mixed in, and which share it is.' },
  },
  purity: 'seeded',
  resource: 'light',
  infer({ params, inputs }) {
    const data = datasetFacts(inputs.data)
    const replay = datasetFacts(inputs.replay)
    const model = modelFacts(inputs.model)
    const writes = !inputs.replay && inputs.model !== undefined
    const seconds =
      writes && model
        ? WARM_UP_SECONDS +
          (params.samples * params.max_new_tokens * forwardFlopsPerToken(model, params.max_new_tokens)) / DECODE_FLOPS_PER_SECOND
        : 1
    return {
      ...(data && {
        outputs: {
          data: { kind: 'dataset' as const, facts: { ...data, rows: null } },
          replay: {
            kind: 'dataset' as const,
            facts: { ...data, name: 'replay', rows: replay?.rows ?? (writes ? params.samples : null), columns: [], chars: null },
          },
          report: { kind: 'report' as const, facts: { name: 'Mix replay' } },
        },
        estimate: {
          seconds: Math.round(seconds),
          memoryBytes: model && writes ? 4 * model.sizeBytes : 0,
          diskBytes: Math.round(1.2 * (data.rows ?? 0) * (data.chars?.mean ?? 0)),
        },
      }),
      card: [
        { label: 'Replay', value: percentWords(params.replay_ratio) },
        { label: 'From', value: inputs.replay ? (replay?.name ?? 'the replay wire') : writes ? 'the model itself' : 'nothing yet' },
        { label: 'Counted in', value: inputs.model ? 'tokens' : 'characters' },
      ],
      problems: [
        // Before anything is wired the missing data input speaks for itself.
        ...(inputs.data && !inputs.replay && !inputs.model ? [NOTHING_TO_MIX] : []),
        ...(data?.format && !MIXABLE.includes(data.format) ? [notMixable(data.format)] : []),
      ],
    }
  },
  async run({ params, inputs, ctx }) {
    const { parseJsonl, packRows, rowsToJsonl, mixRows, reshaped, trainedChars } = await import('../analysis/index')
    const { format } = inputs.data
    throwProblem([...(!inputs.replay && !inputs.model ? [NOTHING_TO_MIX] : []), ...(MIXABLE.includes(format) ? [] : [notMixable(format)])])
    const rows = parseJsonl(await ctx.artifacts.readText(inputs.data.artifact))
    const source = inputs.replay
      ? parseJsonl(await ctx.artifacts.readText(inputs.replay.artifact))
      : await selfSampled(ctx, inputs.model as ModelHandle, params)
    const replay = source.flatMap((row) => reshaped(row, format) ?? [])
    if (replay.length < source.length)
      ctx.log(
        `${plural(source.length - replay.length, 'replay row')} could not be brought into the shape of the data and were left out.`,
        'warn',
      )
    if (replay.length === 0)
      throw new NodeError('no_replay_rows', 'There are no replay rows that could be mixed in.', {
        expected: 'texts of more than twelve words, conversations, or prompts with completions',
        got: plural(source.length, 'row'),
      })
    const pool = await putRows(ctx, inputs.data, packRows(replay), {
      name: 'replay',
      columns: [],
      split: 'all',
      source: inputs.replay?.source ?? (await ctx.artifacts.put(rowsToJsonl(replay))),
    })
    const { model } = inputs
    const weigh = async (handle: DatasetHandle, list: typeof rows): Promise<number[]> =>
      model
        ? (await ctx.engine.tokens({ model, data: handle, train_on: autoTrainOn(format) ?? 'all' })).map((row) => row.trained)
        : list.map(trainedChars)
    const mixed = mixRows(rows, replay, params.replay_ratio, params.seed, {
      rows: await weigh(inputs.data, rows),
      replay: await weigh(pool, replay),
    })
    const unit = model ? 'tokens' : 'characters'
    const report = await putReport(ctx, {
      title: 'Mix replay',
      verdict: {
        tone: mixed.repeated > mixed.added / 2 ? 'look' : 'good',
        text: `${plural(mixed.added, 'replay row')} between ${plural(rows.length, 'row')}: ${percentWords(mixed.share)} of the trained ${unit}.`,
        action:
          mixed.repeated > mixed.added / 2
            ? `Most replay rows come more than once; give at least ${(mixed.added).toLocaleString('en-US')} of them.`
            : null,
      },
      facts: [
        { label: 'Rows', value: rows.length.toLocaleString('en-US') },
        { label: 'Replay rows to draw from', value: replay.length.toLocaleString('en-US') },
        { label: 'Put in, of them again', value: `${mixed.added.toLocaleString('en-US')}, ${mixed.repeated.toLocaleString('en-US')}` },
        { label: 'Wanted share', value: `${params.replay_ratio} of trained ${unit}` },
        {
          label: 'From',
          value: inputs.replay ? inputs.replay.name : `${model?.base.name ?? 'the model'} as loaded, seed ${params.seed}, temperature 1`,
        },
        { label: 'Data', value: inputs.data.artifact.slice(0, 12) },
      ],
      sections: [],
    })
    return {
      data: await putRows(ctx, inputs.data, packRows(mixed.rows), { columns: [...new Set([...inputs.data.columns, 'replay'])] }),
      replay: pool,
      report,
    }
  },
})

const NOTHING_TO_MIX: NodeProblem = {
  severity: 'error',
  code: 'nothing_to_mix',
  message: 'There is nothing to mix in: wire replay rows, or a model that writes them.',
  expected: 'replay rows or a model',
  got: 'neither',
}
const notMixable = (format: string): NodeProblem => ({
  severity: 'error',
  code: 'format_not_mixable',
  message: `Replay cannot be mixed into ${format.replaceAll('_', ' ')} rows.`,
  expected: 'messages, prompt and completion, or text',
  got: format.replaceAll('_', ' '),
})

/** Texts of the model as it was loaded, at temperature 1: what it would say by itself is what it must not forget. */
async function selfSampled(ctx: RunContext, model: ModelHandle, params: { samples: number; max_new_tokens: number; seed: number }) {
  const { REPLAY_PROMPTS, rowsToJsonl, lengthsOf } = await import('../analysis/index')
  // Beyond the list a question is asked again; at temperature 1 the answer is another one.
  const asked = Array.from({ length: params.samples }, (_, i) => ({
    id: `self-${i}`,
    prompt: REPLAY_PROMPTS[i % REPLAY_PROMPTS.length] as string,
    completion: '',
  }))
  const artifact = await ctx.artifacts.put(rowsToJsonl(asked))
  const { texts } = await ctx.engine.generate({
    model: baseOf(model),
    data: {
      artifact,
      rows: asked.length,
      format: 'prompt_completion',
      columns: [],
      name: 'replay prompts',
      split: 'all',
      source: artifact,
      chars: lengthsOf(asked),
    },
    options: {
      max_new_tokens: params.max_new_tokens,
      temperature: 1,
      top_k: 0,
      top_p: 1,
      repetition_penalty: 1,
      seed: params.seed,
      batch_size: 16,
    },
    onProgress: (done, total) => ctx.progress(done, total, 'texts'),
  })
  ctx.signal.throwIfAborted()
  return asked.map((row, i) => ({ ...row, completion: (texts[i] ?? '').trim() })).filter((row) => row.completion !== '')
}
