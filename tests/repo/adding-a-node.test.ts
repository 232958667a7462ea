/** docs/adding-a-node.md is followed to the letter, in a copy: its file, its registry line and its test, judged by compiler, linter and tests. */
import { execFile } from 'node:child_process'
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { tempFolder } from '../kit/temp'

const ROOT = join(import.meta.dirname, '../..')
const run = promisify(execFile)

/** Fenced blocks of the page that name a file: language, path, text. */
function blocksOf(page: string): { language: string; path: string; text: string }[] {
  return [...page.matchAll(/^```(\w+) (\S+)\n([\s\S]*?)^```$/gm)].map(([, language = '', path = '', text = '']) => ({
    language,
    path,
    text,
  }))
}

/** Lines with + come after what they replace: a removed line is exchanged for those that follow it, else the line joins the imports. */
function applyDiff(source: string, diff: string): string {
  let out = source
  let removed: string | null = null
  let added: string | null = null
  for (const line of diff.split('\n')) {
    if (line.startsWith('-')) removed = line.slice(1)
    else if (line.startsWith('+') && removed !== null) {
      expect(out, 'nodes/index.ts no longer has the line that the guide changes').toContain(removed)
      added = line.slice(1)
      out = out.replace(removed, added)
      removed = null
    } else if (line.startsWith('+') && added !== null) {
      out = out.replace(added, `${added}\n${line.slice(1)}`)
      added = line.slice(1)
    } else if (line.startsWith('+')) {
      const first = out.indexOf('import { exportModel }')
      expect(first).toBeGreaterThan(0)
      out = `${out.slice(0, first)}${line.slice(1)}\n${out.slice(first)}`
    }
  }
  return out
}

test('A-1: a node is added with one file, one registry line and one test', async () => {
  await using folder = await tempFolder('thaw adding a node ')
  for (const path of [
    'nodes',
    'analysis',
    'templates',
    'tests/kit',
    'scripts',
    'docs',
    'biome.json',
    'package.json',
    'tsconfig.json',
    'vitest.config.ts',
    '.gitignore',
  ])
    await cp(join(ROOT, path), join(folder.path, path), { recursive: true })
  await symlink(join(ROOT, 'node_modules'), join(folder.path, 'node_modules'))

  const blocks = blocksOf(await readFile(join(ROOT, 'docs/adding-a-node.md'), 'utf8'))
  expect(blocks.map(({ path }) => path)).toEqual(['nodes/drop-long-rows.ts', 'nodes/index.ts', 'tests/nodes/drop-long-rows.test.ts'])
  for (const { language, path, text } of blocks) {
    const file = join(folder.path, path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, language === 'diff' ? applyDiff(await readFile(file, 'utf8'), text) : text)
  }

  const bin = (name: string): string => join(ROOT, 'node_modules', name)
  const call = async (...args: string[]): Promise<string> => {
    const { stdout } = await run(process.execPath, args, {
      cwd: folder.path,
      env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined },
    }).catch((error) => {
      throw new Error(`${args.join(' ')}\n${error.stdout}\n${error.stderr}`, { cause: error })
    })
    return stdout
  }
  await writeFile(
    join(folder.path, 'tsconfig.node.json'),
    JSON.stringify({ extends: './tsconfig.json', include: ['nodes/**/*.ts', 'tests/nodes/*.ts', 'tests/kit/node-context.ts'] }),
  )
  await call(bin('typescript/bin/tsc'), '--noEmit', '--incremental', 'false', '-p', 'tsconfig.node.json')
  await call(bin('@biomejs/biome/bin/biome'), 'check', 'nodes/drop-long-rows.ts', 'tests/nodes/drop-long-rows.test.ts')
  expect(await call(bin('vitest/vitest.mjs'), 'run', 'tests/nodes/drop-long-rows.test.ts')).toMatch(/3 passed/)
  await call(join(folder.path, 'scripts/node-docs.mjs'))
  expect(await readFile(join(folder.path, 'docs/nodes.md'), 'utf8')).toContain('### Drop long rows · `drop-long-rows`')
}, 120_000)
