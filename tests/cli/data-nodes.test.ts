/** The nodes that make data go right, in one run of the real product: command line, PostgreSQL, worker and trainer, real tokenizer. */
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { seeded } from '../../analysis/random'
import { Report } from '../../nodes/_kit/report'
import { ArtifactStore } from '../../server/storage/artifact-store'
import { documentOf } from '../kit/documents'
import { NODE, ROOT } from '../kit/product'
import { tempFolder } from '../kit/temp'

vi.setConfig({ testTimeout: 240_000 })

test('A-1, SCI-87: check, clean, label errors, split, replay and swaps run one after the other; a second run reuses all', async () => {
  await using folder = await tempFolder('thaw data nodes ')
  const home = join(folder.path, 'home')
  const r = seeded(2)
  const question = (label: string) =>
    Array.from({ length: 18 }, () => (r.next() < 0.4 ? `${label}word${r.below(30)}` : `word${r.below(600)}`)).join(' ')
  const rows = Array.from({ length: 120 }, (_, i) => {
    const label = ['fee', 'law', 'notice'][i % 3] as string
    return { prompt: `${i % 10 === 0 ? 'She wrote: ' : ''}${question(label)}`, completion: i === 8 ? 'fee' : label }
  })
  const planted = [
    { prompt: rows[3]?.prompt.toUpperCase(), completion: rows[3]?.completion },
    { prompt: rows[4]?.prompt, completion: 'notice' },
    { prompt: 'please write to anna.miller@post.example about the notice', completion: 'notice' },
  ]
  const lines = (list: readonly object[]) => list.map((row) => `${JSON.stringify(row)}\n`).join('')
  writeFileSync(join(folder.path, 'rows.jsonl'), lines([...rows, ...planted]))
  writeFileSync(
    join(folder.path, 'held.jsonl'),
    lines([
      { prompt: rows[5]?.prompt, completion: 'notice' },
      { prompt: question('law'), completion: 'law' },
    ]),
  )
  writeFileSync(
    join(folder.path, 'general.jsonl'),
    lines(Array.from({ length: 30 }, (_, i) => ({ prompt: `Say something about thing ${i}`, completion: `thing ${i} is a thing` }))),
  )
  const file = join(folder.path, 'data.json')
  writeFileSync(
    file,
    JSON.stringify(
      documentOf(
        {
          model: ['load-model', { model: 'builtin:thaw-tiny' }],
          data: ['load-data', { file: 'rows.jsonl' }],
          held: ['load-data', { file: 'held.jsonl' }],
          general: ['load-data', { file: 'general.jsonl' }],
          check: ['check-data'],
          clean: ['clean-data'],
          labels: ['find-label-errors'],
          split: ['split-data', { stratify: 'answer', near_duplicates: true }],
          mix: ['mix-replay', { replay_ratio: 0.1 }],
          swap: ['augment-counterfactuals'],
        },
        [
          'data.data -> check.data',
          'held.data -> check.test',
          'model.model -> check.model',
          'data.data -> clean.data',
          'held.data -> clean.test',
          'clean.data -> labels.data',
          'labels.data -> split.data',
          'split.train -> mix.data',
          'general.data -> mix.replay',
          'model.model -> mix.model',
          'mix.data -> swap.data',
        ],
      ),
    ),
  )
  const thaw = () =>
    new Promise<{ type: string; [key: string]: unknown }[]>((resolve, reject) => {
      execFile(
        NODE,
        [join(ROOT, 'cli/bin.mjs'), 'run', file, '--json'],
        { cwd: folder.path, env: { ...process.env, THAW_HOME: home, NO_COLOR: '1' }, maxBuffer: 64 << 20 },
        (error, out, err) =>
          error
            ? reject(new Error(`${out}\n${err}`, { cause: error }))
            : resolve(
                out
                  .split('\n')
                  .filter(Boolean)
                  .map((line) => JSON.parse(line)),
              ),
      )
    })
  const said = await thaw()
  const result = said.at(-1) as unknown as {
    status: string
    outputs: Record<string, Record<string, { artifact: string; rows: number; verdict?: { text: string } }>>
  }
  expect(result.status).toBe('succeeded')
  const { outputs } = result
  const store = new ArtifactStore(join(home, 'artifacts'))
  const read = (node: string, port: string) => store.readText(outputs[node]?.[port]?.artifact ?? '')
  const table = async (node: string, port: string) =>
    (await read(node, port))
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  const found = new Set((await table('check', 'findings')).map((f) => f.check))
  for (const check of ['leakage', 'contradiction', 'exact_duplicate', 'personal_data']) expect(found).toContain(check)
  const report = Report.parse(JSON.parse(await read('check', 'report')))
  expect(report.verdict).toMatchObject({ tone: 'bad', text: expect.stringContaining('1 held-out row of 2') })
  expect(report.sections.at(-1)).toMatchObject({ title: 'Tokens', text: expect.stringMatching(/trains in 123 of 123 rows/) })
  const gone = (await table('clean', 'removed')).length
  expect(gone).toBeGreaterThanOrEqual(4)
  expect(outputs.clean?.data?.rows).toBe(123 - gone)
  expect((await table('labels', 'suspects')).map((s) => s.given)).toContain('fee')
  expect(outputs.mix?.report?.verdict?.text).toMatch(/of the trained tokens/)
  expect(outputs.swap?.data?.rows).toBeGreaterThan(outputs.mix?.data?.rows as number)
  // SCI-90: nothing that was said on the way holds the address.
  expect(JSON.stringify(said)).not.toContain('anna.miller')

  const again = (await thaw()).find((line) => line.type === 'plan') as unknown as { nodes: { node: string; action: string }[] }
  expect(again.nodes.map((node) => [node.node, node.action])).toEqual(again.nodes.map((node) => [node.node, 'reuse']))
})
