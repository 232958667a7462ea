import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { postmasterOf } from '../../server/postgres'
import { processes } from '../kit/processes'
import { NODE, ROOT } from '../kit/product'
import { tempFolder } from '../kit/temp'

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 })

let folder: Awaited<ReturnType<typeof tempFolder>>
let home: string
let file: string
beforeAll(async () => {
  folder = await tempFolder()
  home = join(folder.path, 'home')
  const data = join(folder.path, 'my data')
  mkdirSync(data)
  writeFileSync(
    join(data, 'rows.jsonl'),
    Array.from({ length: 20 }, (_, i) => JSON.stringify({ prompt: `q${i}`, completion: `a${i}` })).join('\n'),
  )
  file = join(folder.path, 'pairs.json')
  writeFileSync(
    file,
    JSON.stringify({
      schemaVersion: 1,
      nodes: {
        data: { type: 'load-data', version: 1, params: { file: 'my data/rows.jsonl' } },
        split: { type: 'split-data', version: 1, params: {} },
      },
      edges: [{ from: { node: 'data', port: 'data' }, to: { node: 'split', port: 'data' } }],
      inputs: [{ id: 'pairs', title: 'Pairs', node: 'data', param: 'file' }],
      notes: [],
      layout: { nodes: {}, groups: [] },
    }),
  )
})
afterAll(async () => folder[Symbol.asyncDispose]())

type Ended = { code: number; out: string; err: string }
const thaw = (...args: string[]) =>
  new Promise<Ended>((resolve) => {
    execFile(
      NODE,
      [join(ROOT, 'cli/bin.mjs'), ...args],
      { cwd: folder.path, env: { ...process.env, THAW_HOME: home, NO_COLOR: '1' }, maxBuffer: 64 << 20 },
      (error, out, err) => resolve({ code: error ? Number(error.code ?? 1) : 0, out, err }),
    )
  })
const lines = (text: string) =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))

test('every command says how it is used; what it does not know it refuses by name', async () => {
  for (const command of [[], ['run'], ['plan'], ['rerun'], ['nodes'], ['worker']]) {
    const { code, out } = await thaw(...command, '--help')
    expect([code, out.startsWith('Usage: thaw')]).toEqual([0, true])
  }
  expect(await thaw('rnu')).toMatchObject({ code: 1, err: expect.stringContaining('There is no command "rnu"') })
  expect(await thaw('plan', file, '--jsom')).toMatchObject({ code: 1, err: expect.stringContaining('Did you mean --json?') })
  expect(await thaw('plan')).toMatchObject({ code: 1, err: expect.stringContaining('Which pipeline?') })
  expect(await thaw('plan', 'missing.json')).toMatchObject({
    code: 1,
    err: expect.stringMatching(/There is no pipeline file missing\.json\.\n {2}where:/),
  })
})

test('thaw nodes --json is the catalogue', async () => {
  const { code, out } = await thaw('nodes', '--json')
  expect(code).toBe(0)
  const types = JSON.parse(out) as {
    type: string
    title: string
    summary: string
    inputs: object
    outputs: object
    params: { properties: object }
  }[]
  expect(types.map((one) => one.type)).toEqual(
    expect.arrayContaining(['load-model', 'freeze-layers', 'load-data', 'split-data', 'train', 'validate', 'export']),
  )
  for (const one of types) expect(Object.keys(one.params.properties).length).toBeGreaterThan(0)
})

test('thaw plan and thaw run: JSON lines as agreed, relative paths from the file, reuse the second time, nothing left running', async () => {
  const planned = await thaw('plan', file, '--json')
  expect(planned.code).toBe(0)
  const plan = JSON.parse(planned.out)
  expect(plan.nodes).toMatchObject([
    {
      node: 'data',
      type: 'load-data',
      action: 'run',
      reasons: [{ code: 'never-run', text: 'Has no result yet.' }],
      key: expect.stringMatching(/^[0-9a-f]{64}$/),
    },
    {
      node: 'split',
      type: 'split-data',
      action: 'run',
      key: null,
      reasons: [{ code: 'never-run' }, { code: 'upstream-runs', node: 'data' }],
    },
  ])

  const ran = await thaw('run', file, '--json')
  expect([ran.code, ran.err.includes('thaw:')]).toEqual([0, false])
  const all = lines(ran.out)
  expect(all[0]).toMatchObject({ type: 'plan', nodes: plan.nodes })
  const events = all.slice(1, -1)
  expect(events.map((event) => [event.type, event.seq])).toEqual(events.map((_, i) => ['event', i + 1]))
  expect(events).toContainEqual(expect.objectContaining({ node: 'split', kind: 'node', data: expect.objectContaining({ status: 'done' }) }))
  const result = all.at(-1)
  expect(result).toMatchObject({
    type: 'result',
    status: 'succeeded',
    outputs: { data: { data: { rows: 20, format: 'prompt_completion' } }, split: { train: { split: 'train' } } },
  })
  expect(result.seconds).toBeGreaterThan(0)

  const again = await thaw('run', join('..', folder.path.split('/').at(-1) ?? '', 'pairs.json'), '--json')
  expect(lines(again.out)[0].nodes.map((node: { action: string }) => node.action)).toEqual(['reuse', 'reuse'])
  expect(lines(again.out).at(-1)).toMatchObject({ status: 'succeeded', outputs: result.outputs })

  expect(postmasterOf(join(home, 'postgres', 'data'))).toBeNull()
  expect((await processes()).filter((one) => one.command.includes(home))).toEqual([])
})

test('--set and --input change what runs; what is unknown is refused with the nearest name', async () => {
  const actions = async (...args: string[]) => {
    const { out } = await thaw('plan', file, '--json', ...args)
    return Object.fromEntries(JSON.parse(out).nodes.map((node: { node: string; action: string }) => [node.node, node.action]))
  }
  expect(await actions()).toEqual({ data: 'reuse', split: 'reuse' })
  expect(await actions('--set', 'split.seed=7')).toEqual({ data: 'reuse', split: 'run' })
  writeFileSync(join(folder.path, 'other.jsonl'), '{"prompt":"a","completion":"b"}\n{"prompt":"c","completion":"d"}\n')
  expect(await actions('--input', 'pairs=other.jsonl')).toEqual({ data: 'run', split: 'run' })
  expect(await actions('--to', 'data')).toEqual({ data: 'reuse' })

  const blocked = await thaw('plan', file, '--set', 'split.seeed=7')
  expect(blocked).toMatchObject({ code: 1, out: expect.stringContaining('Did you mean "seed"?') })
  expect(await thaw('run', file, '--set', 'splt.seed=7')).toMatchObject({ code: 1, err: expect.stringContaining('Did you mean "split"?') })
  expect(await thaw('run', file, '--input', 'pears=x')).toMatchObject({ code: 1, err: expect.stringContaining('Did you mean "pairs"?') })
})

test('a failing run ends with exit code 1 and the root cause: where, what was expected, what came', async () => {
  writeFileSync(
    join(folder.path, 'broken.jsonl'),
    '{"prompt":"a","completion":"b"}\n{"prompt":"c","completion":\n{"prompt":"e","completion":"f"}\n',
  )
  const { code, out, err } = await thaw('run', file, '--json', '--input', 'pairs=broken.jsonl')
  expect(code).toBe(1)
  expect(lines(out).at(-1)).toMatchObject({ type: 'result', status: 'failed', outputs: {}, error: { message: expect.any(String) } })
  expect(err).toMatch(/line 2|row 2/i)
  expect(err).toMatch(/^thaw: /m)
})

test('no secret and no password is written to logs or shown (SEC-13)', async () => {
  const password = readFileSync(join(home, 'postgres', 'password'), 'utf8').trim()
  for (const name of readdirSync(join(home, 'logs'))) expect(readFileSync(join(home, 'logs', name), 'utf8')).not.toContain(password)
})

test('R-100: thaw rerun compares the new data with that of the run, says what the plan is, and names what it cannot use', async () => {
  writeFileSync(
    join(folder.path, 'more.jsonl'),
    Array.from({ length: 25 }, (_, i) => JSON.stringify({ prompt: `q${i}`, completion: 'b' })).join('\n'),
  )
  const planned = await thaw('rerun', '1', '--input', 'pairs=more.jsonl', '--plan', '--json')
  expect([planned.code, planned.err]).toEqual([0, expect.any(String)])
  expect(lines(planned.out)).toMatchObject([
    {
      type: 'plan',
      data: [{ input: 'pairs', rows: { earlier: 20, later: 25 }, shared: 0, names: { earlier: 'rows.jsonl', later: 'more.jsonl' } }],
      nodes: [{ node: 'data', action: 'run' }, { node: 'split' }],
    },
  ])
  expect(await thaw('rerun', '1', '--input', 'pears=more.jsonl')).toMatchObject({
    code: 1,
    err: expect.stringContaining('Did you mean "pairs"?'),
  })
  expect(await thaw('rerun', '99')).toMatchObject({ code: 1, err: expect.stringContaining('There is no run 99.') })
})
