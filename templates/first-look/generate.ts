/**
 * A lighthouse keeper's log, made from a seed: one entry a line, and the weather it speaks of in one word. Small enough that the bundled
 * model learns it in seconds. `npx vitest run tests/templates -u` writes the file again.
 */
import { type Random, seeded } from '../../analysis/random'

export const WEATHER = ['calm', 'storm', 'fog', 'frost'] as const
export type Weather = (typeof WEATHER)[number]

/** Each kind of weather has words of its own, which come back from sentence to sentence: what a model of three million can find. */
const SIGNS: Record<Weather, readonly string[]> = {
  calm: [
    'The sea lay smooth and still.',
    'Still water until the evening.',
    'A still and quiet day.',
    'The still air carried the bells of the town.',
    'A smooth sea and a clear sky.',
    'The flag hung still all day.',
  ],
  storm: [
    'A gale from the west since noon.',
    'The gale tore two shutters off the tower.',
    'High waves broke over the gallery.',
    'The gale and the waves shook the tower.',
    'No ship left the harbour in this gale.',
    'The spray of the waves reached the lamp.',
  ],
  fog: [
    'The mist did not lift all day.',
    'The horn sounded every two minutes.',
    'Thick mist from dawn to dusk.',
    'Nothing to be seen in the mist.',
    'We heard a horn and saw no ship.',
    'A grey mist stood around the rocks.',
  ],
  frost: [
    'Ice on the inside of the windows.',
    'The water in the barrel froze.',
    'We chopped ice off the stairs.',
    'So cold that the ink froze.',
    'The ropes were stiff with ice.',
    'The harbour is closed by ice.',
  ],
}

const OTHERS = [
  'Three ships passed.',
  'Trimmed the wicks.',
  'Letters came with the boat.',
  'Oil for a month.',
  'Painted the railing.',
  'The clock was set.',
  'Bread was delivered.',
  'Wrote the report.',
] as const

const MONTHS = ['Jan', 'Feb', 'March', 'April', 'May', 'June', 'July', 'Aug', 'Sept', 'Oct', 'Nov', 'Dec']

export type Entry = { text: string; weather: Weather }

function entry(r: Random): Entry {
  const weather = r.pick(WEATHER)
  const [one, two] = r.shuffle([...SIGNS[weather]])
  const sentences = [one as string, ...(r.next() < 0.4 ? [two as string] : []), r.pick(OTHERS)]
  return { text: `${1 + r.below(28)} ${r.pick(MONTHS)}. ${r.shuffle(sentences).join(' ')}`, weather }
}

export const FILES = { 'log.jsonl': { rows: 320, seed: 1887 } } as const

/** Entries without repeats. */
export function makeEntries(rows: number, seed: number): Entry[] {
  const r = seeded(seed)
  const seen = new Set<string>()
  const out: Entry[] = []
  while (out.length < rows) {
    const made = entry(r)
    if (seen.has(made.text)) continue
    seen.add(made.text)
    out.push(made)
  }
  return out
}

export const fileText = (name: keyof typeof FILES): string =>
  makeEntries(FILES[name].rows, FILES[name].seed)
    .map(({ text, weather }) => `${JSON.stringify({ prompt: `Topic of: ${text}`, completion: weather })}\n`)
    .join('')
