import { join } from 'node:path'
import { expect, test } from 'vitest'
import { FILES, fileText, makeEntries, WEATHER } from '../../templates/first-look/generate'

const folder = join(import.meta.dirname, '../../templates/first-look')

test.each(Object.keys(FILES) as (keyof typeof FILES)[])('%s is what the generator makes from its seed, byte for byte', async (name) => {
  await expect(fileText(name)).toMatchFileSnapshot(join(folder, name))
})

test('no entry occurs twice, and each weather is at home', () => {
  const entries = makeEntries(FILES['log.jsonl'].rows, FILES['log.jsonl'].seed)
  expect(new Set(entries.map((e) => e.text)).size).toBe(entries.length)
  for (const weather of WEATHER) expect(entries.filter((e) => e.weather === weather).length).toBeGreaterThan(50)
})
