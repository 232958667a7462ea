import * as z from 'zod'
import type { RunContext } from './_kit/context'
import { datasetFacts, evenly, modelFacts, putNew, putRows } from './_kit/dataset'
import { defineNode } from './_kit/define-node'
import {
  CHARS_PER_TOKEN,
  DECODE_FLOPS_PER_SECOND,
  FLOPS_PER_SECOND,
  forwardBytes,
  forwardFlopsPerToken,
  tokensOfChars,
  WARM_UP_SECONDS,
} from './_kit/estimate'
import { NodeError } from './_kit/node-error'
import { baseOf, type DatasetHandle, isTrained, type ModelHandle } from './_kit/ports'
import { putReport, type Report, type Section } from './_kit/report'
import { autoTrainOn } from './_kit/resolve-train'
import { plural } from './_kit/words'

/** Characters of the text that comes with Thaw. */
const SHIPPED_CHARS = 46_000
const TRAINABLE: readonly string[] = ['messages', 'prompt_completion', 'text']

export const measureRetention = defineNode({
  type: 'measure-retention',
  title: 'Measure retention',
  summary: 'Measures what training cost in general knowledge, against the same model before training.',
  help: `New behaviour is paid for with knowledge the model had. This node says how much.

**Knowledge cost**: how many more bits per byte the trained model needs for general English prose than it did before. 0 is nothing forgotten; a tenth of what it needed before is a lot. The prose comes with Thaw (Moby-Dick and old speeches, public domain); wire **general** rows to measure on your own instead, for example texts in the language you care about.

**Divergence** on texts that the model writes itself needs no reference text at all: it shows how far the model has moved from its former self. With **task** rows wired you also see how far it moved there, where it was meant to; forgetting follows that movement.

Every figure comes with its 95 % interval over documents, and one that holds 0 means: no difference seen. Compare two trainings at the **same score**, since more training nearly always forgets more.`,
  group: 'Evaluation',
  icon: 'measure-retention',
  tags: ['forgetting', 'catastrophic', 'knowledge', 'perplexity', 'bits per byte', 'kl', 'divergence', 'drift', 'retention'],
  params: z.strictObject({
    max_texts: z.int().min(2).max(10_000).default(48).meta({
      title: 'Texts',
      description: 'How many passages of general text are read, spread evenly over what there is.',
      unit: 'texts',
    }),
    max_length: z.int().min(16).max(8192).default(256).meta({
      title: 'Longest text',
      description: 'Passages are cut into pieces of about this length.',
      unit: 'tokens',
      advanced: true,
    }),
    self_samples: z.int().min(0).max(1000).default(16).meta({
      title: 'Texts of its own',
      description: 'How many texts the model before training writes, to see how far it has moved; 0: none.',
      unit: 'texts',
    }),
    self_sample_length: z
      .int()
      .min(8)
      .max(1024)
      .default(64)
      .meta({ title: 'Their length', description: 'Tokens of each text it writes.', unit: 'tokens', advanced: true }),
    seed: z
      .int()
      .min(0)
      .max(2_147_483_647)
      .default(42)
      .meta({ title: 'Seed', description: 'What the model writes; the same seed writes the same.', advanced: true }),
  }),
  inputs: {
    model: { kind: 'model', title: 'Model', description: 'The trained model; what it was before comes with it.' },
    general: {
      kind: 'dataset',
      title: 'General',
      description: 'Text to measure on instead of the prose that comes with Thaw.',
      optional: true,
    },
    task: { kind: 'dataset', title: 'Task', description: 'Rows of the task, to see how far the model moved there.', optional: true },
  },
  outputs: {
    metrics: { kind: 'metrics', title: 'Metrics', description: 'Knowledge cost and divergence, with intervals.' },
    report: { kind: 'report', title: 'Report', description: 'What was forgotten, in one sentence, and where most was lost.' },
  },
  purity: 'seeded',
  resource: 'engine',
  infer({ params, inputs }) {
    const model = modelFacts(inputs.model)
    const general = datasetFacts(inputs.general)
    const task = datasetFacts(inputs.task)
    const texts = Math.min(params.max_texts, general?.rows ?? 48)
    const chars = general?.chars ? texts * general.chars.mean : (SHIPPED_CHARS * texts) / 48
    const tokens = chars / CHARS_PER_TOKEN + (task?.rows && task.chars ? Math.min(task.rows, 64) * tokensOfChars(task.chars.mean) : 0)
    const written = params.self_samples * params.self_sample_length
    return {
      outputs: {
        metrics: { kind: 'metrics', facts: { names: ['knowledge_cost', 'bits_per_byte', 'base_bits_per_byte', 'general_divergence'] } },
        report: { kind: 'report', facts: { name: 'Measure retention' } },
      },
      ...(model && {
        estimate: {
          // Two models read; beside the products each token's whole distribution is compared in JavaScript, about 50 M values a second.
          seconds: Math.round(
            2 * WARM_UP_SECONDS +
              (2 * (tokens + written) * forwardFlopsPerToken(model, params.max_length)) / FLOPS_PER_SECOND +
              ((tokens + written) * model.vocabSize) / 50e6 +
              (written * forwardFlopsPerToken(model, params.self_sample_length)) / DECODE_FLOPS_PER_SECOND,
          ),
          memoryBytes: Math.round(2 * forwardBytes(model, 2, params.max_length)),
          diskBytes: 100_000,
        },
      }),
      card: [
        { label: 'Read', value: inputs.general ? `${texts} of ${general?.name ?? 'the general rows'}` : `${texts} passages of prose` },
        { label: 'Own texts', value: params.self_samples === 0 ? 'none' : String(params.self_samples) },
        { label: 'Task', value: inputs.task ? 'compared too' : 'not wired' },
      ],
      problems:
        general?.format && !TRAINABLE.includes(general.format)
          ? [
              {
                severity: 'error' as const,
                code: 'format_not_readable',
                message: `${general.format.replaceAll('_', ' ')} rows are no text to read.`,
                expected: 'text, messages, or prompt and completion',
                got: general.format,
              },
            ]
          : [],
    }
  },
  async run({ params, inputs, ctx }) {
    const { GENERAL_TEXT, pieces, retentionOf, gravity, parseJsonl, packRows, overlapOf, contentOf } = await import('../analysis/index')
    const { model } = inputs
    const base = baseOf(model)
    const max_length = Math.min(params.max_length, model.contextLength)
    // Two characters a token is the worst that English prose does.
    const chars = 2 * max_length
    const own = inputs.general ? parseJsonl(await ctx.artifacts.readText(inputs.general.artifact)) : null
    const texts = evenly(own ? own.map(contentOf) : [...GENERAL_TEXT], params.max_texts).filter((text) => text.trim() !== '')
    if (texts.length < 2)
      throw new NodeError('no_text', 'There is too little general text to measure on.', {
        expected: 'at least 2 texts',
        got: plural(texts.length, 'text'),
      })
    // The document is the unit of the interval, so its pieces are added up again.
    const cut = texts.flatMap((text, document) =>
      pieces([text], chars).map((piece, i) => ({ id: `${document}.${i}`, document, text: piece })),
    )
    const read = async (data: DatasetHandle, train_on: 'all' | 'completion' | 'assistant', what: string) => {
      ctx.log(`Comparing on ${what}`)
      return ctx.engine.divergence({
        model,
        base,
        data,
        train_on,
        max_length,
        onProgress: (done, total) => ctx.progress(done, total, 'texts'),
      })
    }
    const found = await read(await putNew(ctx, packRows(cut), 'text', 'general text'), 'all', plural(texts.length, 'passage'))
    const documents = texts.map(() => ({ bytes: 0, tokens: 0, base: 0, tuned: 0, divergence: 0, agreed: 0 }))
    for (const [i, row] of found.rows.entries()) {
      const piece = cut[i] as (typeof cut)[number]
      const document = documents[piece.document] as (typeof documents)[number]
      if (row.tokens > 0) document.bytes += new TextEncoder().encode(piece.text).length
      for (const key of ['tokens', 'base', 'tuned', 'divergence', 'agreed'] as const) document[key] += row[key]
    }
    const general = retentionOf(documents)
    const perToken = (rows: readonly { tokens: number; base: number; tuned: number; divergence: number; agreed: number }[]) =>
      retentionOf(rows.map((row) => ({ ...row, bytes: row.tokens })))
    const self =
      params.self_samples > 0
        ? perToken(
            (await read(await putNew(ctx, packRows(await written(ctx, base, params)), 'text', 'its own texts'), 'all', 'its own texts'))
              .rows,
          )
        : null
    const taskRows = inputs.task ? evenly(parseJsonl(await ctx.artifacts.readText(inputs.task.artifact)), 64) : null
    const task =
      inputs.task && taskRows && TRAINABLE.includes(inputs.task.format)
        ? perToken(
            (await read(await putRows(ctx, inputs.task, packRows(taskRows)), autoTrainOn(inputs.task.format) ?? 'all', 'rows of the task'))
              .rows,
          )
        : null
    const overlap = taskRows ? overlapOf(texts, taskRows.map(contentOf)) : 0

    const { cost } = general
    const grave = gravity(general)
    const share = general.base > 0 ? cost.mean / general.base : 0
    const verdict: Report['verdict'] = !isTrained(model)
      ? { tone: 'good', text: 'This model was not trained, so nothing is forgotten: every difference is 0.', action: null }
      : grave === 'none'
        ? {
            tone: 'good',
            text: `No knowledge cost seen: ${signed(cost.mean)} bits per byte (interval ${signed(cost.low)} to ${signed(cost.high)}).`,
            action: null,
          }
        : {
            tone: grave === 'large' ? 'bad' : 'look',
            text: `Training cost ${cost.mean.toFixed(3)} bits per byte of general text, ${Math.round(100 * share)} % of what the model needed before (interval ${signed(cost.low)} to ${signed(cost.high)}).`,
            action:
              grave === 'large'
                ? 'Stop earlier or lower the learning rate; then mix in replay, open fewer layers, or interpolate between before and after.'
                : 'Where that matters, mix 5 % replay into the training rows, or interpolate between before and after.',
          }
    const metrics: Record<string, number> = {
      knowledge_cost: cost.mean,
      knowledge_cost_low: cost.low,
      knowledge_cost_high: cost.high,
      bits_per_byte: general.tuned,
      base_bits_per_byte: general.base,
      general_divergence: general.divergence.mean,
      general_agreement: general.agreement,
      ...(self && {
        self_divergence: self.divergence.mean,
        self_divergence_low: self.divergence.low,
        self_divergence_high: self.divergence.high,
      }),
      ...(task && { task_divergence: task.divergence.mean }),
    }
    const bars: NonNullable<Section['bars']> = [
      { label: 'Before training', value: general.base, tone: 'quiet', note: `${general.base.toFixed(3)} bits per byte` },
      {
        label: 'After training',
        value: general.tuned,
        tone: grave === 'none' ? 'good' : grave === 'large' ? 'bad' : 'look',
        note: `${general.tuned.toFixed(3)} bits per byte`,
      },
    ]
    const moved = [
      { label: 'General text', of: general },
      ...(self ? [{ label: 'Its own texts', of: self }] : []),
      ...(task ? [{ label: 'The task', of: task }] : []),
    ]
    const report = await putReport(ctx, {
      title: 'Measure retention',
      verdict,
      facts: [
        { label: 'Text', value: inputs.general ? inputs.general.name : 'Moby-Dick and speeches, public domain' },
        { label: 'Passages, tokens', value: `${texts.length.toLocaleString('en-US')}, ${general.tokens.toLocaleString('en-US')}` },
        { label: 'Own texts, seed', value: params.self_samples > 0 ? `${params.self_samples}, ${params.seed}` : 'none' },
        { label: 'Model', value: `${model.base.name}, ${model.delta?.slice(0, 12) ?? 'untrained or adapter'}` },
        { label: 'Backend', value: ctx.engine.backend.device },
      ],
      sections: [
        { title: 'What a byte of general text costs', text: 'Fewer bits mean that the text surprises the model less.', bars },
        {
          title: 'How far the model has moved',
          text: `Divergence of its predictions from those before training, in nats per token. Both prefer the same next token in ${Math.round(100 * general.agreement)} % of places of general text.${task ? ' On the task movement is wanted.' : ''}${overlap > 0 ? ` ${plural(overlap, 'passage')} of general text overlaps the task, which hides forgetting.` : ''}`,
          bars: moved.map(({ label, of }) => ({
            label,
            value: of.divergence.mean,
            low: of.divergence.low,
            high: of.divergence.high,
            tone: 'quiet' as const,
            note: of.divergence.mean.toFixed(4),
          })),
        },
        ...(found.lost.length > 0
          ? [
              {
                title: 'Where most was lost',
                text: 'Tokens that surprise the model much more than before.',
                passages: varied(found.lost, 10).map((token) => ({
                  note: `${token.base.toFixed(1)} → ${token.tuned.toFixed(1)} nats`,
                  parts: [{ text: token.before }, { text: token.token, tone: 'bad' as const }],
                })),
              },
            ]
          : []),
      ],
    })
    return { metrics, report }
  },
})

/** The first places, each token at most twice: a full stop everywhere says less than two of them and eight other words. */
function varied<T extends { token: string }>(list: readonly T[], most: number): T[] {
  const seen = new Map<string, number>()
  return list
    .filter(({ token }) => {
      const n = (seen.get(token) ?? 0) + 1
      seen.set(token, n)
      return n <= 2
    })
    .slice(0, most)
}

const signed = (n: number): string => `${n < 0 ? '−' : n > 0 ? '+' : ''}${Math.abs(n).toFixed(3)}`

/** Texts of the model before training at temperature 1, each begun by a few words so that they differ. */
async function written(
  ctx: RunContext,
  base: ModelHandle,
  params: { self_samples: number; self_sample_length: number; seed: number },
): Promise<{ id: string; text: string }[]> {
  const { REPLAY_PROMPTS, packRows } = await import('../analysis/index')
  const asked = Array.from({ length: params.self_samples }, (_, i) => ({
    id: `self-${i}`,
    prompt: REPLAY_PROMPTS[i % REPLAY_PROMPTS.length] as string,
    completion: '',
  }))
  const { texts } = await ctx.engine.generate({
    model: base,
    data: await putNew(ctx, packRows(asked), 'prompt_completion', 'first words'),
    options: {
      max_new_tokens: params.self_sample_length,
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
  return asked.map((row, i) => ({ id: row.id, text: `${row.prompt} ${(texts[i] ?? '').trim()}`.trim() }))
}
