import { join } from 'node:path'
import { expect, test } from 'vitest'
import { judgeLabels, labelErrors, levelled } from '../../analysis/index'
import * as classifier from '../../templates/clause-classifier/generate'
import * as labels from '../../templates/clean-labels/generate'

const folder = (id: string, name: string) => join(import.meta.dirname, '../../templates', id, name)

test.each(Object.keys(classifier.FILES) as (keyof typeof classifier.FILES)[])(
  'clause-classifier/%s is what the generator makes from its seed',
  async (name) => {
    await expect(classifier.fileText(name)).toMatchFileSnapshot(folder('clause-classifier', name))
  },
)
test.each(Object.keys(labels.FILES) as (keyof typeof labels.FILES)[])(
  'clean-labels/%s is what the generator makes from its seed',
  async (name) => {
    await expect(labels.fileText(name)).toMatchFileSnapshot(folder('clean-labels', name))
  },
)

test('every type is at home, nothing is left unfilled, and no unseen clause is a trained one', () => {
  const train = classifier.makeClauses('train', 400, classifier.FILES['clauses.jsonl'].seed)
  const unseen = classifier.makeClauses('unseen', 60, classifier.FILES['unseen.jsonl'].seed)
  for (const type of classifier.TYPES) expect(train.filter((c) => c.type === type).length).toBeGreaterThan(50)
  const known = new Set(train.map((c) => levelled(c.text)))
  for (const c of [...train, ...unseen]) expect(c.text).not.toMatch(/[{}]/)
  for (const c of unseen) expect(known.has(levelled(c.text))).toBe(false)
})

test('SCI-88: of the planted wrong labels at least nine in ten are among as many suspects, and most suggestions are right', async () => {
  const { rows, seed } = labels.FILES['labelled.jsonl']
  const made = labels.makeLabelled(rows, seed, labels.WRONG)
  const wrong = new Set(made.flatMap((c, i) => (c.given === c.type ? [] : [i])))
  expect(wrong.size).toBe(40)
  const found = labelErrors(
    await judgeLabels(
      made.map((c) => c.text),
      made.map((c) => c.given),
      { folds: 5, seed: 42 },
    ),
  )
  const top = found.suspects.slice(0, wrong.size)
  expect(top.filter((s) => wrong.has(s.row)).length).toBeGreaterThanOrEqual(36)
  expect(top.filter((s) => s.suggested === made[s.row]?.type).length).toBeGreaterThanOrEqual(36)
})
