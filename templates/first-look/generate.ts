/**
 * A lighthouse keeper's log, made from a seed: one entry a line, and the weather it speaks of in one word. Small enough that the bundled
 * model learns it in seconds. `npx vitest run tests/templates -u` writes the file again.
 */
import { type Random, seeded } from '../../analysis/random'

export const WEATHER = ['calm', 'storm', 'fog', 'frost'] as const
export type Weather = (typeof WEATHER)[number]

const SIGNS: Record<Weather, readonly string[]> = {
  calm: [
    'The sea lay smooth as a table.',
    'No wind at all, and the flag hung down.',
    'Still water until the evening.',
    'The smoke of the steamers rose straight up.',
    'Not a wave broke on the rocks.',
    'A quiet day with a clear sky.',
    'The boats drifted, for there was no breeze.',
    'Mild air and a mirror of a sea.',
    'We heard the bells of the town across the still water.',
    'The gulls slept on the water.',
  ],
  storm: [
    'The wind tore two shutters off the tower.',
    'Waves broke over the gallery.',
    'A gale from the west since noon.',
    'Spray reached the lamp itself.',
    'The boat was lashed down with double ropes.',
    'Heavy seas, and the tower shook.',
    'Thunder and wind all night.',
    'No ship dared to leave the harbour in this wind.',
    'The gale took the roof of the shed.',
    'Rain and wind from all sides, and high waves.',
  ],
  fog: [
    'We could not see the rocks below.',
    'The horn sounded every two minutes.',
    'Thick white air from dawn to dusk.',
    'The lamp was lit at noon and helped little.',
    'Ships felt their way by the bell.',
    'Nothing to be seen beyond the railing.',
    'A grey wall stood around the tower.',
    'The mist did not lift all day.',
    'A steamer passed unseen, we only heard her whistle.',
    'The far shore was hidden and so was the near one.',
  ],
  frost: [
    'Ice on the inside of the windows.',
    'The water in the barrel froze.',
    'We chopped ice off the stairs.',
    'Snow lay on the gallery.',
    'The oil grew thick with cold.',
    'Our breath froze in the stairwell.',
    'The ropes were stiff with ice.',
    'The harbour is closed by ice.',
    'So cold that the ink froze.',
    'White frost on every stone.',
  ],
}

const OTHERS = [
  'Three ships passed.',
  'Trimmed the wicks and cleaned the glass.',
  'Letters came with the boat.',
  'Oil measured: enough for a month.',
  'Painted the railing.',
  'The clock was set.',
  'One brig and two schooners going north.',
  'The inspector is expected next week.',
  'My daughter counted the stairs again.',
  'Bread and lamp oil were delivered.',
  'Wound the clockwork twice.',
  'Wrote the monthly report.',
] as const

const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December']

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
