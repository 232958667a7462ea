/** Answers to prompts, batched, with a key/value cache. */
import { EngineError } from '../errors'
import type { InferenceSession } from '../session'
import { checkSampling } from './processors'
import { type Generated, type Group, type Item, planRows, type RowsOptions, runRows } from './rows'

export type { Generated } from './rows'
export { programsOf } from './rows'
export type GenerateOptions = RowsOptions

const itemsOf = (prompts: readonly (readonly number[])[]): Item[] => prompts.map((ids) => ({ ids, prompt: ids.length }))

/** Refuses settings and prompts that mean nothing, by name. */
export function checkGeneration(options: GenerateOptions, prompts: readonly (readonly number[])[]): void {
  checkSampling(options)
  if (!Number.isInteger(options.maxNewTokens) || options.maxNewTokens < 1)
    throw new EngineError('bad_argument', 'max_new_tokens is out of range', {
      where: 'max_new_tokens',
      expected: '1 or more',
      got: String(options.maxNewTokens),
    })
  const empty = prompts.findIndex((prompt) => prompt.length === 0)
  if (empty >= 0) throw new EngineError('bad_argument', 'a prompt is empty', { where: `row ${empty + 1}` })
}

/** Groups prompts of similar length and makes the programs for them. */
export const planGenerate = (
  session: InferenceSession,
  prompts: readonly (readonly number[])[],
  options: Pick<GenerateOptions, 'maxNewTokens' | 'batch'>,
): Group[] => planRows(session.sides, itemsOf(prompts), options)

/** Answers for all prompts, in their order. */
export async function generate(
  session: InferenceSession,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions,
): Promise<Generated[]> {
  checkGeneration(options, prompts)
  if (!prompts.length) return []
  const [own] = await runRows(session, itemsOf(prompts), planGenerate(session, prompts, options), options)
  return (own?.answers ?? []) as Generated[]
}
