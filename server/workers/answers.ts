/** Answers as nodes want them: texts, ended before stop texts and held to a JSON schema where that is asked for. */
import { EngineError } from '../../engine/errors'
import { type GenerateOptions, generate } from '../../engine/generate/generate'
import { jsonGrammar } from '../../engine/generate/grammar'
import type { LoadedModel } from '../../engine/model'
import type { InferenceSession } from '../../engine/session'
import type { GenerateOptions as NodeOptions } from '../../nodes/_kit/context'

export async function writeAnswers(
  session: InferenceSession,
  model: LoadedModel,
  prompts: readonly (readonly number[])[],
  { stop = [], json_schema }: Pick<NodeOptions, 'stop' | 'json_schema'>,
  options: GenerateOptions,
): Promise<{ texts: string[]; tokens: number[]; truncated: boolean[] }> {
  const { tokenizer } = model
  if (stop.some((text) => text === ''))
    throw new EngineError('bad_argument', 'an empty text cannot end an answer', { where: 'stop', fix: 'leave it out' })
  const textOf = (ids: readonly number[]) => tokenizer.decode(ids, { skipSpecialTokens: true })
  /** Where the first stop text begins; −1: nowhere. */
  const endOf = (text: string) => stop.map((part) => text.indexOf(part)).reduce((a, b) => (b >= 0 && (a < 0 || b < a) ? b : a), -1)
  const grammar = json_schema === undefined ? null : await jsonGrammar(model, json_schema)
  try {
    const answers = await generate(session, prompts, {
      ...options,
      ...(stop.length && { ends: (ids: readonly number[]) => endOf(textOf(ids)) >= 0 }),
      ...(grammar && { grammar }),
    })
    return {
      texts: answers.map(({ ids }) => {
        const text = textOf(ids)
        const end = endOf(text)
        return end < 0 ? text : text.slice(0, end)
      }),
      tokens: answers.map(({ ids }) => ids.length),
      truncated: answers.map(({ stop: ended }) => ended === null),
    }
  } finally {
    grammar?.close()
  }
}
