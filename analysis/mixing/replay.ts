/** Mixing rows of something else into training rows, by their share of what trains (SCI-72). */
import { seeded } from '../random'
import { answerOf, type CanonicalRow } from '../rows'

export type Mixed = {
  rows: CanonicalRow[]
  /** Replay rows put in, and how many of them for the second time or more. */
  added: number
  repeated: number
  /** Share of the trained weight that is replay. */
  share: number
}

/** Characters that train: the answer, or all of a raw text. Stands for tokens where no tokenizer is at hand; the ratio is what counts. */
export const trainedChars = (row: CanonicalRow): number => Math.max(1, answerOf(row).length)

/**
 * Adds replay rows until they make up `ratio` of the trained weight, the nearest whole number of rows. They are drawn in a seeded order, each
 * once before any comes twice, and spread evenly over the data by weight, so that every stretch of it has its share.
 */
export function mixRows(
  rows: readonly CanonicalRow[],
  replay: readonly CanonicalRow[],
  ratio: number,
  seed: number,
  weights: { rows: readonly number[]; replay: readonly number[] },
): Mixed {
  const total = weights.rows.reduce((a, b) => a + b, 0)
  const wanted = (ratio / (1 - ratio)) * total
  const random = seeded(seed)
  const drawn: { row: CanonicalRow; weight: number }[] = []
  let sum = 0
  let repeated = 0
  let full = replay.length === 0
  for (let pass = 0; !full; pass++) {
    for (const i of random.shuffle([...replay.keys()])) {
      const weight = weights.replay[i] as number
      // One more row would lead further away than none.
      full = sum + weight / 2 > wanted
      if (full) break
      const row = replay[i] as CanonicalRow
      const id = pass === 0 ? `replay-${row.id}` : `replay-${row.id}-${pass + 1}`
      drawn.push({ row: { ...row, id, columns: { ...row.columns, replay: true } }, weight })
      sum += weight
      if (pass > 0) repeated++
    }
  }
  const out: CanonicalRow[] = []
  let read = 0
  let next = 0
  for (const [i, row] of rows.entries()) {
    out.push(row)
    read += weights.rows[i] as number
    // The k-th of n stands in the middle of the k-th of n equal stretches.
    while (next < drawn.length && (next + 0.5) / drawn.length <= read / total) out.push((drawn[next++] as (typeof drawn)[number]).row)
  }
  for (; next < drawn.length; next++) out.push((drawn[next] as (typeof drawn)[number]).row)
  return { rows: out, added: drawn.length, repeated, share: sum / (sum + total) }
}

/** A replay row in the shape of the data: pairs become conversations and the other way round, raw text something to go on with. Null: it cannot. */
export function reshaped(row: CanonicalRow, to: string): CanonicalRow | null {
  const pair = pairOf(row)
  if (to === 'text') {
    const text = typeof row.text === 'string' ? row.text : pair && `${pair.prompt}\n${pair.completion}`
    return text ? { id: row.id, text } : null
  }
  if (to === 'messages' && Array.isArray(row.messages)) return row
  if (!pair) return null
  if (to === 'prompt_completion') return { id: row.id, ...pair }
  return to === 'messages'
    ? {
        id: row.id,
        messages: [
          { role: 'user', content: pair.prompt },
          { role: 'assistant', content: pair.completion },
        ],
      }
    : null
}

function pairOf(row: CanonicalRow): { prompt: string; completion: string } | null {
  if (typeof row.prompt === 'string' && typeof row.completion === 'string') return { prompt: row.prompt, completion: row.completion }
  if (typeof row.text === 'string') {
    const words = /^(?:\S+\s+){12}/.exec(row.text)?.[0]
    return words ? { prompt: `Continue this text:\n${words.trim()}`, completion: row.text.slice(words.length) } : null
  }
  const turns = Array.isArray(row.messages) ? (row.messages as { role: string; content: string }[]) : []
  const asked = turns.find((m) => m.role === 'user')
  const answer = turns.find((m) => m.role === 'assistant')
  return asked && answer ? { prompt: asked.content, completion: answer.content } : null
}

/** What the model is asked to talk about when it samples its own replay text: everyday and general, none of it law. Own sentences. */
export const REPLAY_PROMPTS: readonly string[] = [
  'Explain how rain forms.',
  'Write a short story about a lighthouse.',
  'What is the difference between a plant and an animal?',
  'Describe a walk through a forest in autumn.',
  'How do you make bread?',
  'Name three planets and say something about each.',
  'Why is the sky blue?',
  'Give advice to somebody who learns to swim.',
  'What does a doctor do all day?',
  'Write a letter to a friend who has moved away.',
  'How does a bicycle stay upright?',
  'Describe the taste of an apple.',
  'What happened in the industrial revolution?',
  'Write a poem about the sea.',
  'How do birds find their way?',
  'What is a number line?',
  'Explain what a library is for.',
  'Tell me about a famous river.',
  'What should one pack for a journey of a week?',
  'How does the heart work?',
  'Write a dialogue between a cat and a dog.',
  'What are the seasons, and why do they change?',
  'How is paper made?',
  'Explain addition to a child.',
  'Describe a busy market.',
  'What makes a good teacher?',
  'How do you plant a tree?',
  'What is gravity?',
  'Write a short speech for a birthday.',
  'How does a refrigerator keep food cold?',
  'What do bees do?',
  'Describe a city at night.',
]
