/** What nodes that try short trainings share: which rows they take, at what size, and what one costs. */
import type { RunContext, TrialJob } from './context'
import { evenly, type PackedRows, putRows } from './dataset'
import { FLOPS_PER_SECOND, forwardFlopsPerToken, tokensOfChars, trainBytes, trainFlopsPerToken, WARM_UP_SECONDS } from './estimate'
import type { DatasetFacts, ModelFacts, NodeProblem } from './facts'
import { NodeError } from './node-error'
import type { DatasetHandle, ModelHandle, TrainablePlan } from './ports'
import { autoLength, autoTrainOn } from './resolve-train'

const TRAINABLE: readonly string[] = ['messages', 'prompt_completion', 'text']

/** Rows that cannot be trained on. */
export const trainableProblem = (format: DatasetHandle['format'] | null | undefined): NodeProblem[] =>
  !format || TRAINABLE.includes(format)
    ? []
    : [
        {
          severity: 'error',
          code: 'format_not_trainable',
          message: `${format.replaceAll('_', ' ')} rows cannot be trained on.`,
          expected: 'messages, prompt and completion, or text',
          got: format.replaceAll('_', ' '),
        },
      ]

/** Params of a trial that follow from model and data. */
export function trialBasis(ctx: RunContext, model: ModelHandle, data: DatasetHandle, batch: number) {
  const max_length = autoLength({ chars: data.chars, contextLength: model.contextLength }) ?? model.contextLength
  const train_on = autoTrainOn(data.format) ?? ('all' as const)
  return {
    model,
    data,
    train_on,
    max_length,
    batch_size: Math.max(1, Math.min(batch, data.rows)),
    eval_batch_size: 16,
    bf16: ctx.engine.backend.bf16 ?? false,
  } satisfies Partial<TrialJob>
}

type Rows = { pack(rows: { id: string }[]): PackedRows; parse(text: string): ({ id: string } & Record<string, unknown>)[] }

/** At most `most` rows of a dataset, spread evenly, as a dataset of its own. */
export async function someRows(ctx: RunContext, data: DatasetHandle, most: number, { pack, parse }: Rows): Promise<DatasetHandle> {
  if (data.rows <= most) return data
  return putRows(ctx, data, pack(evenly(parse(await ctx.artifacts.readText(data.artifact)), most)))
}

/** Refuses rows that are too few to say anything about. */
export function needRows(data: DatasetHandle, least: number, what: string): void {
  if (data.rows < least)
    throw new NodeError('too_few_rows', `There are too few ${what} rows to measure on.`, {
      expected: `at least ${least}`,
      got: String(data.rows),
      fix: 'Give the split a larger share, or use more data.',
    })
}

/** Predicted cost of trials (SCI-7): steps with the given plan, and rows looked at after each trial. */
export function trialEstimate(
  model: ModelFacts,
  data: DatasetFacts | null,
  trials: readonly { plan: TrainablePlan | null; count: number; steps: number; looks: number }[],
  { batch, watched }: { batch: number; watched: number },
): { seconds: number; memoryBytes: number; diskBytes: number } | null {
  if (!data?.chars) return null
  const length = tokensOfChars(data.chars.mean)
  let flops = 0
  let count = 0
  for (const trial of trials) {
    count += trial.count
    flops += trial.count * trial.steps * batch * length * trainFlopsPerToken(model, trial.plan, length)
    flops += trial.count * trial.looks * watched * length * forwardFlopsPerToken(model, length)
  }
  return {
    seconds: Math.round(WARM_UP_SECONDS + count * (0.5 + model.sizeBytes / 300e6) + flops / FLOPS_PER_SECOND),
    memoryBytes: Math.round(trainBytes(model, null, batch, tokensOfChars(data.chars.max))),
    diskBytes: 1_000_000,
  }
}

/** A short warm-up, then one rate: what a trial of a few steps needs so that its first steps do no harm. */
export const trialRates = (rate: number, steps: number, warmup: number): number[] =>
  Array.from({ length: steps }, (_, i) => rate * Math.min(1, (i + 1) / (Math.min(warmup, steps) + 1)))
