/** generation/: greedy tokens with the key/value cache, and the logits processors. */
import * as path from 'node:path'
import { generate } from '../../engine/generate/generate'
import { probabilities, type SamplingOptions } from '../../engine/generate/processors'
import { InferenceSession } from '../../engine/session'
import { type Context, exists, type Json, readJson, runCase, Tensors } from './cases'
import { openFixtureModel } from './models'

const OPTIONS: Readonly<Record<string, keyof SamplingOptions>> = {
  temperature: 'temperature',
  top_k: 'topK',
  top_p: 'topP',
  min_p: 'minP',
  typical_p: 'typicalP',
  repetition_penalty: 'repetitionPenalty',
  no_repeat_ngram_size: 'noRepeatNgramSize',
}

export async function generation(context: Context, topic: string): Promise<void> {
  if (!exists(topic, 'expected.json'))
    return context.report.fail(path.relative(context.root, topic), 'unread', 'the topic has no expected.json')
  const expected = readJson(topic, 'expected.json')
  const tensors = exists(topic, 'expected.safetensors') ? new Tensors(topic, 'expected.safetensors') : null
  for (const [name, want] of Object.entries(expected) as [string, Json][]) {
    if (!want || typeof want !== 'object' || !(want.runs || want.processors)) continue
    const folder = path.join(topic, name)
    // Two cases: the processors need no model.
    if (want.processors)
      await runCase(context, folder, (at) => processors(context, `${at}/processors`, name, want, tensors, expected.tolerance_abs))
    if (want.runs) await runCase(context, folder, (at) => runs(context, at, path.join(path.dirname(topic), 'models', name), want))
  }
}

function processors(context: Context, at: string, name: string, want: Json, tensors: Tensors | null, tolerance: Json): void {
  const logits = want.logits ? Float32Array.from(want.logits) : tensors?.floats(`${name}/logits`)
  const history: number[] = want.history ?? [...(tensors?.numbers(`${name}/history`) ?? [])]
  if (!logits) {
    context.report.fail(at, 'unread', 'there are no logits')
    return
  }
  for (const { index, config, probs } of want.processors as Json[]) {
    const unknown = Object.keys(config).filter((key) => !Object.hasOwn(OPTIONS, key))
    const label = JSON.stringify(config)
    if (unknown.length) {
      context.report.skip(at, `${label}: ${unknown.join(', ')} is not built`)
      continue
    }
    const options = Object.fromEntries(Object.entries(config).map(([key, value]) => [OPTIONS[key] as string, value])) as SamplingOptions
    const got = Array.from(probabilities(logits, history, options))
    const reference: number[] = probs ?? Array.from(tensors?.floats(`${name}/probs/${index}`) ?? [])
    const tied = new Set(logits).size < logits.length && config.top_p !== undefined
    // Where logits tie, top_p cuts by sort order: only the sorted probabilities are defined.
    const order = (values: number[]) => (tied ? [...values].sort((a, b) => a - b) : values)
    context.report.near(at, `probabilities ${label}`, order(got), order(reference), tolerance.probabilities)
    context.report.same(
      at,
      `support ${label}`,
      order(got).map((p) => p > 0),
      order(reference).map((p) => p > 0),
    )
  }
}

async function runs(context: Context, at: string, location: string, want: Json): Promise<void> {
  const opened = openFixtureModel(location)
  const session = new InferenceSession(context.backend, opened)
  try {
    const all = want.runs as Json[]
    const prompts = all.map((run) => run.prompt_ids as number[])
    const longest = Math.max(
      ...all.flatMap((run) => [
        run.greedy.length,
        ...Object.keys(run)
          .filter((k) => k.startsWith('greedy_'))
          .map((k) => run[k].length),
      ]),
    )
    const go = async (batch: number, options: SamplingOptions, stop: readonly number[] = []) =>
      (await generate(session, prompts, { ...options, temperature: 0, maxNewTokens: longest, batch, stopIds: stop })).map(
        ({ ids, stop: end }) => [...ids, ...(end === null ? [] : [end])],
      )
    const check = (metric: string, got: number[][], key: string) => {
      const having = all.map((run, i) => ({ want: run[key] as number[] | undefined, got: got[i] as number[] })).filter((pair) => pair.want)
      if (having.length) {
        context.report.same(
          at,
          metric,
          having.map((pair) => pair.got.slice(0, pair.want?.length)),
          having.map((pair) => pair.want),
        )
      }
    }
    check('greedy, in one batch', await go(8, {}), 'greedy')
    check('greedy, one by one', await go(1, {}), 'greedy')
    for (const key of new Set(all.flatMap((run) => Object.keys(run).filter((k) => k.startsWith('greedy_repetition_penalty_'))))) {
      check(key, await go(8, { repetitionPenalty: Number(key.slice('greedy_repetition_penalty_'.length)) }), key)
    }
    for (const [i, run] of all.entries()) {
      if (run.eos_token_id === undefined || !run.greedy_until_eos) continue
      const [got] = await generate(session, [run.prompt_ids], {
        temperature: 0,
        maxNewTokens: longest,
        batch: 1,
        stopIds: [run.eos_token_id],
      })
      context.report.same(
        at,
        `greedy until EOS, run ${i}`,
        [...(got?.ids ?? []), ...(got?.stop === null || got?.stop === undefined ? [] : [got.stop])],
        run.greedy_until_eos,
      )
    }
  } finally {
    session.close()
    opened.close()
  }
}
