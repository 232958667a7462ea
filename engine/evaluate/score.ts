/**
 * Loss and answers over the same rows, for a model and perhaps another set of its values, from one reading of each row: what the loss
 * computes of a prompt is what its answer begins with, and blocks that are the same in both are run once.
 */
import type { EncodedSet } from '../data/encode'
import { EngineError } from '../errors'
import { checkGeneration, type Generated, type GenerateOptions } from '../generate/generate'
import { type Item, planRows, runRows } from '../generate/rows'
import type { InferenceSession } from '../session'
import { type Evaluation, evaluationOf } from './evaluate'

export type Scored = {
  readonly evaluation: Evaluation /** By source row; null where none were asked for. */
  readonly answers: readonly Generated[] | null
}

/**
 * One result for each side of the session. `prompts` are those of all source rows, or null for the loss alone. A row whose tokens do not
 * begin with its prompt's is read twice.
 */
export async function score(
  session: InferenceSession,
  set: EncodedSet,
  prompts: readonly (readonly number[])[] | null,
  sourceRows: number,
  options: GenerateOptions,
): Promise<Scored[]> {
  if (prompts) checkGeneration(options, prompts)
  const items: Item[] = (prompts ?? []).map((ids) => ({ ids, prompt: ids.length }))
  const asked = items.length
  /** Where each encoded row is read. */
  const places = set.rows.map((row, i) => {
    const source = set.source[i] as number
    const prompt = prompts?.[source]
    const free =
      prompt && items[source]?.mask === undefined && prompt.every((id, t) => row.ids[t] === id) && row.ids.length >= prompt.length
    if (free) items[source] = { ids: row.ids, prompt: prompt.length, mask: row.mask }
    else items.push({ ids: row.ids, prompt: null, mask: row.mask })
    return free ? source : items.length - 1
  })
  if (!set.rows.length)
    throw new EngineError('bad_argument', 'there is nothing to evaluate: no row fits max_length', { fix: 'raise max_length' })
  const results = await runRows(session, items, planRows(session.sides, items, options), options)
  return results.map(({ answers, logProbs }) => ({
    evaluation: evaluationOf(set, sourceRows, (i) => logProbs[places[i] as number] as Float32Array),
    answers: prompts && (answers.slice(0, asked) as Generated[]),
  }))
}
