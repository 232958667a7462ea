/** Runs every program of docs/engine.md as a reader would, in one process of its own, and compares what it prints with what the page says. */
import { execFile } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import * as esbuild from 'esbuild'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { tempFolder } from '../kit/temp'

const ROOT = join(import.meta.dirname, '../..')
const page = await readFile(join(ROOT, 'docs/engine.md'), 'utf8')
const programs = [...page.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, text = '']) => text)
const promised = programs.map((text) => [...text.matchAll(/\/\/ → (.*)$/gm)].map(([, line = '']) => line.trim()))

const built = join(ROOT, 'node_modules', '.cache', 'thaw-tests', `engine-guide-${process.pid}`)
let printed: string[][] = []
const scratch = await tempFolder()

beforeAll(async () => {
  await mkdir(built, { recursive: true })
  await Promise.all(programs.map((text, i) => writeFile(join(built, `${i}.ts`), text)))
  await esbuild.build({
    entryPoints: programs.map((_, i) => join(built, `${i}.ts`)),
    outdir: built,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node22',
    packages: 'external',
    alias: { 'thaw/engine': join(ROOT, 'engine/index.ts'), 'thaw/engine-install': join(ROOT, 'scripts/engine-install.mjs') },
    define: { SCRATCH: JSON.stringify(scratch.path) },
    logLevel: 'warning',
  })
  const all = programs.map((_, i) => `console.log('program ${i}'); await import('./${i}.mjs')`).join('\n')
  await writeFile(join(built, 'all.mjs'), all)
  const { stdout } = await promisify(execFile)(process.execPath, [join(built, 'all.mjs')], { cwd: ROOT, timeout: 300_000 })
  printed = stdout
    .split(/^program \d+\n/m)
    .slice(1)
    .map((part) => part.trim().split('\n'))
}, 320_000)

afterAll(async () => {
  await rm(built, { recursive: true, force: true })
  await scratch[Symbol.asyncDispose]()
})

test('the page has programs, and each says what it prints', () => {
  expect(programs.length).toBeGreaterThanOrEqual(5)
  for (const lines of promised) expect(lines.length).toBeGreaterThan(0)
})

test.each(programs.map((_, i) => i))('docs/engine.md: program %i prints what the page says', (i) => {
  expect(printed[i]).toEqual(promised[i])
})
