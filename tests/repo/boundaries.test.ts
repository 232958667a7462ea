/** Lints deliberately wrong imports and expects each to be refused with its reason, and right ones to pass. */
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
const BIOME = join(ROOT, 'node_modules/@biomejs/biome/bin/biome')

/** file, code that breaks a rule there, part of the message that must come. */
const WRONG: readonly [file: string, code: string, message: string][] = [
  ['nodes/thing.ts', "import { join } from 'node:path'\nexport const a = join('a')", 'A node imports zod and _kit only'],
  ['nodes/thing.ts', "import { b } from '../server/main'\nexport const a = b", 'A node imports zod and _kit only'],
  ['nodes/thing.ts', "import { b } from './train'\nexport const a = b", 'A node imports zod and _kit only'],
  ['nodes/thing.ts', "import { b } from '../analysis/split'\nexport const a = b", 'Import analysis inside run'],
  ['nodes/_kit/thing.ts', "import { b } from '../train'\nexport const a = b", 'nodes/_kit is the pure core'],
  ['nodes/_kit/thing.ts', "import { createHash } from 'node:crypto'\nexport const a = createHash", 'nodes/_kit is the pure core'],
  ['nodes/index.ts', "import { b } from '../analysis/split'\nexport const a = b", 'The registry lists nodes'],
  ['app/start/thing.tsx', "import type { Services } from '../../server/main'\nexport type A = Services", 'only the type AppRouter'],
  ['app/start/thing.tsx', "import { appRouter } from '../../server/trpc/router'\nexport const a = appRouter", 'only the type AppRouter'],
  [
    'app/start/thing.tsx',
    "import { ReactFlow } from '@xyflow/react'\nexport const a = ReactFlow",
    'Only app/canvas knows the graph library',
  ],
  ['app/start/thing.tsx', "import { b } from '../../engine/index'\nexport const a = b", 'know nodes and the server’s types'],
  ['app/start/thing.tsx', "import { join } from 'node:path'\nexport const a = join", 'This code runs in the browser'],
  ['app/start/thing.tsx', "import { readFile } from 'node:fs/promises'\nexport const a = readFile", 'This code runs in the browser'],
  ['app/canvas/thing.tsx', "import { b } from '../../server/storage/runs'\nexport const a = b", 'only the type AppRouter'],
  ['app/canvas/thing.tsx', "import { b } from '../../drizzle/schema'\nexport const a = b", 'The canvas knows nodes'],
  ['app/api/thing/route.ts', "import { b } from '../../../server/storage/runs'\nexport const a = b", 'one door, server/main'],
  ['app/api/thing/route.ts', "import { b } from 'drizzle-orm'\nexport const a = b", 'All SQL lives in server/storage'],
  ['server/trpc/thing.ts', "import { b } from '../workers/worker'\nexport const a = b", 'A procedure parses, calls'],
  ['server/trpc/thing.ts', "import { b } from '../../engine/index'\nexport const a = b", 'A procedure parses, calls'],
  ['server/trpc/thing.ts', "import { eq } from 'drizzle-orm'\nexport const a = eq", 'All SQL lives in server/storage'],
  ['server/executor/thing.ts', "import { b } from '../trpc/router'\nexport const a = b", 'The executor knows nodes and storage'],
  ['server/executor/thing.ts', "import { b } from '../../engine/index'\nexport const a = b", 'The executor knows nodes and storage'],
  ['server/executor/thing.ts', "import { runs } from '../../drizzle/schema'\nexport const a = runs", 'Tables belong to server/storage'],
  ['server/storage/thing.ts', "import { b } from '../executor/states'\nexport const a = b", 'Storage stands on drizzle/schema'],
  ['server/storage/thing.ts', "import { b } from '../../nodes/train'\nexport const a = b", 'Storage stands on drizzle/schema'],
  ['server/workers/thing.ts', "import { b } from '../trpc/router'\nexport const a = b", 'A worker knows executor and engine'],
  ['server/workers/thing.ts', "import * as tf from '@tensorflow/tfjs-core'\nexport const a = tf", 'Only engine/backends loads TensorFlow'],
  ['server/errors.ts', "import { b } from '../engine/index'\nexport const a = b", 'Only server/main.ts composes'],
  ['server/facts.ts', "import { b } from '../engine/backends/tensorflow'\nexport const a = b", 'never start TensorFlow'],
  ['server/main.ts', "import { b } from '../app/trpc'\nexport const a = b", 'The server does not know who calls it'],
  ['engine/train/thing.ts', "import { b } from '../../nodes/_kit/ports'\nexport const a = b", 'The engine is a library of its own'],
  ['engine/train/thing.ts', "import { b } from '../../server/errors'\nexport const a = b", 'The engine is a library of its own'],
  ['engine/train/thing.ts', "import * as tf from '@tensorflow/tfjs-core'\nexport const a = tf", 'Only engine/backends loads TensorFlow'],
  ['engine/backends/thing.ts', "import { b } from '../../analysis/split'\nexport const a = b", 'The engine is a library of its own'],
  ['analysis/thing.ts', "import { b } from '../nodes/_kit/ports'\nexport const a = b", 'it knows nothing of ours'],
  ['drizzle/thing.ts', "import { b } from '../server/env'\nexport const a = b", 'The schema describes tables'],
  ['cli/thing.ts', "import { b } from '../server/storage/runs'\nexport const a = b", 'The command line calls'],
  ['engine/shell.ts', "import { exec } from 'node:child_process'\nexport const a = exec", 'SEC-12: no shell'],
  ['server/shell.ts', "import { spawn } from 'node:child_process'\nexport const a = spawn('x', [], { shell: true })", 'SEC-12: no shell'],
  ['server/vm.ts', "import vm from 'node:vm'\nexport const a = vm", 'SEC-1: nothing evaluates code'],
  ['app/forms/vm.ts', "export const a = new Function('x', 'return x')", 'Do not use the global Function constructor'],
  ['app/forms/eval.ts', 'export const a = (x: string) => eval(x)', 'Do not use eval()'],
  ['server/thing.ts', 'export const a = process.env.HOME', 'Don’t use process.env'],
  ['server/any.ts', 'export const a = (x: any) => x', 'Unexpected any'],
  ['server/type.ts', "import { Digest } from '../nodes/_kit/ports'\nexport type A = Digest", 'All these imports are only used as types'],
  [
    'app/start/html.tsx',
    'export const A = (p: { t: string }) => <p dangerouslySetInnerHTML={{ __html: p.t }} />',
    'Avoid passing content using the dangerouslySetInnerHTML',
  ],
  ['server/floating.ts', 'export const f = async () => 1\nexport function g() {\n  f()\n}', 'A "floating" Promise was found'],
  ...[
    'app/start',
    'app/canvas',
    'app/api/x',
    'nodes',
    'nodes/_kit',
    'server',
    'server/trpc',
    'server/executor',
    'server/storage',
    'server/workers',
    'engine',
    'engine/backends',
    'analysis',
    'drizzle',
    'cli',
    'scripts',
    'bench',
  ].map((folder): [string, string, string] => [
    `${folder}/from-tests.ts`,
    `import { b } from '${folder
      .split('/')
      .map(() => '..')
      .join('/')}/tests/kit/files'\nexport const a = b`,
    '*tests*',
  ]),
]

const RIGHT: readonly [file: string, code: string][] = [
  [
    'nodes/thing.ts',
    "import * as z from 'zod'\nimport { defineNode } from './_kit/define-node'\nimport type { Split } from '../analysis/split'\n\nexport const a = async (): Promise<Split> => {\n  const { split } = await import('../analysis/split')\n  return split(z, defineNode)\n}",
  ],
  ['app/trpc.ts', "import type { AppRouter } from '../server/trpc/router'\n\nexport type A = AppRouter"],
  [
    'app/canvas/flow.tsx',
    "import { ReactFlow } from '@xyflow/react'\nimport { registry } from '../../nodes/index'\n\nexport const a = [ReactFlow, registry]",
  ],
  ['app/api/trpc/route.ts', "import { services } from '../../../server/main'\n\nexport const GET = services"],
  [
    'server/trpc/router.ts',
    "import { submit } from '../executor/submit'\nimport { runs } from '../storage/runs'\nimport { registry } from '../../nodes/index'\n\nexport const a = [submit, runs, registry]",
  ],
  [
    'server/workers/worker.ts',
    "import { engine } from '../../engine/index'\nimport type { NodeRunStatus } from '../../drizzle/schema'\nimport { settle } from '../executor/settle'\n\nexport const a = (s: NodeRunStatus) => [engine, settle, s]",
  ],
  [
    'server/storage/runs.ts',
    "import { eq } from 'drizzle-orm'\nimport { runs } from '../../drizzle/schema'\nimport type { Pipeline } from '../../nodes/_kit/graph'\n\nexport const a = (p: Pipeline) => [eq, runs, p]",
  ],
  [
    'engine/backends/tensorflow.ts',
    "import * as tf from '@tensorflow/tfjs-core'\nimport { shape } from '../graph/shape'\n\nexport const a = [tf, shape]",
  ],
  ['server/env.ts', 'export const home = process.env.THAW_HOME'],
  ['tests/thing.ts', "import { b } from '../engine/index'\nimport { c } from './kit/files'\n\nexport const a = [b, c]"],
]

type Diagnostic = { category: string; severity: string; message: string; location: { path: string } }
let folder: string
let found: Diagnostic[]

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'thaw boundaries '))
  await cp(join(ROOT, 'biome.json'), join(folder, 'biome.json'))
  await cp(join(ROOT, '.gitignore'), join(folder, '.gitignore'))
  await cp(join(ROOT, 'scripts/lint'), join(folder, 'scripts/lint'), { recursive: true })
  // Each case lies in a numbered twin of its file, so that cases for one file do not meet.
  for (const [i, [file, code]] of [...WRONG, ...RIGHT].entries()) {
    const at = join(folder, placeOf(file, i))
    await mkdir(dirname(at), { recursive: true })
    await writeFile(at, `${code}\n`)
  }
  found = await lint(folder)
}, 60_000)

afterAll(() => rm(folder, { recursive: true, force: true }))

/** Rules name some files exactly; those keep their name. */
const EXACT = new Set(['nodes/index.ts', 'server/facts.ts', 'server/main.ts', 'server/env.ts'])
const placeOf = (file: string, i: number): string => (EXACT.has(file) ? file : file.replace(/\.(tsx?)$/, `-${i}.$1`))
const plain = (text: string): string => text.replaceAll('’', "'").replaceAll('`', '').replace(/\s+/g, ' ')

async function lint(cwd: string): Promise<Diagnostic[]> {
  const out = await new Promise<string>((resolve, reject) => {
    execFile(
      process.execPath,
      [BIOME, 'lint', '--reporter=json', '--max-diagnostics=none', '.'],
      { cwd, maxBuffer: 1 << 26 },
      (error, stdout, stderr) => {
        // Exit code 1 means findings, which is what we want to read.
        if (error && !stdout) reject(new Error(`biome: ${stderr}`, { cause: error }))
        else resolve(stdout)
      },
    )
  })
  return (JSON.parse(out) as { diagnostics: Diagnostic[] }).diagnostics
}

describe('imports point one way, and a wrong one is told why', () => {
  test.each(WRONG.map(([file, code, message], i) => ({ file, i, code, message })))('$file: $message ($i)', ({ file, i, message }) => {
    const wanted = message === '*tests*' ? null : plain(message)
    const here = found.filter((d) => d.location.path === placeOf(file, i))
    const texts = here.map((d) => plain(d.message))
    if (wanted === null) {
      // In folders with an allow-list the folder's own reason covers tests too.
      expect(texts.join('\n')).toMatch(/Nothing imports tests|A node imports zod|nodes\/_kit is the pure core|The schema describes tables/)
    } else expect(texts.join('\n')).toContain(wanted)
    expect(here.some((d) => d.severity === 'error')).toBe(true)
  })

  test.each(RIGHT.map(([file], i) => ({ file, i: i + WRONG.length })))('$file: the right imports pass', ({ file, i }) => {
    expect(found.filter((d) => d.location.path === placeOf(file, i)).map((d) => d.message)).toEqual([])
  })
})
