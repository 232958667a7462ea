import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { implDigests, runOnly } from '../../scripts/impl-digests.mjs'
import { ROOT } from '../kit/product'
import { tempFolder } from '../kit/temp'

const NODE = `
import * as z from 'zod'
import { defineNode } from './_kit/define-node'
import { double } from './_kit/numbers'
import { words } from './_kit/words'

/** What it does. */
const HELP = 'Doubles a number.'
const factor = 2
const unused = words('x')
export const sample = defineNode({
  type: 'sample',
  title: 'Sample',
  help: HELP,
  params: z.object({ n: z.int().default(1).meta({ description: 'The number.' }) }),
  resource: 'light',
  infer: () => ({ estimate: { seconds: words('1').length } }),
  async run({ params }) {
    // a comment
    return { value: double(params.n) * factor }
  },
})
`

async function digestWith(changes: { node?: [string, string]; numbers?: string; words?: string } = {}): Promise<string> {
  await using folder = await tempFolder()
  const nodes = join(folder.path, 'nodes')
  await mkdir(join(nodes, '_kit'), { recursive: true })
  await symlink(join(ROOT, 'node_modules'), join(folder.path, 'node_modules'))
  const [from, to] = changes.node ?? ['', '']
  if (changes.node) expect(NODE).toContain(from)
  await writeFile(join(nodes, 'sample.ts'), NODE.replace(from, to))
  await writeFile(join(nodes, '_kit/define-node.ts'), 'export const defineNode = <T>(def: T): T => def\n')
  await writeFile(join(nodes, '_kit/numbers.ts'), changes.numbers ?? '/** Twice. */\nexport const double = (n: number) => n * 2\n')
  await writeFile(join(nodes, '_kit/words.ts'), changes.words ?? "export const words = (text: string) => text + ' words'\n")
  const digests: Record<string, string> = await implDigests(folder.path)
  return digests.sample ?? ''
}

test('R-59: what run cannot reach does not change its digest: help, titles, comments, names of locals, inference', async () => {
  const before = await digestWith()
  expect(before).toMatch(/^[0-9a-f]{64}$/)
  expect(await digestWith({ node: ['Doubles a number.', 'Makes a number twice as large.'] })).toBe(before)
  expect(await digestWith({ node: ["title: 'Sample'", "title: 'Other'"] })).toBe(before)
  expect(await digestWith({ node: ['The number.', 'A number.'] })).toBe(before)
  expect(await digestWith({ node: ['// a comment', '// another comment'] })).toBe(before)
  expect(await digestWith({ words: "export const words = (text: string) => text + ' other words'\n" })).toBe(before)
  expect(await digestWith({ numbers: '/** Two times. */\nexport const double = (value: number) => value * 2\n' })).toBe(before)
})

test('R-59: what run reaches changes its digest: its own code, constants of the file, modules behind it', async () => {
  const before = await digestWith()
  expect(await digestWith({ node: ['* factor', '+ factor'] })).not.toBe(before)
  expect(await digestWith({ node: ['const factor = 2', 'const factor = 3'] })).not.toBe(before)
  expect(await digestWith({ numbers: 'export const double = (n: number) => n + n + 0.5\n' })).not.toBe(before)
})

test('R-59: a file without a definition is named', () => {
  expect(() => runOnly('export const x = 1', 'nodes/x.ts')).toThrow(/nodes\/x\.ts/)
})

test('R-59: every node type has a digest, and none holds words that people read', async () => {
  const digests: Record<string, string> = await implDigests(ROOT)
  const files = (await readdir(join(ROOT, 'nodes')))
    .filter((name) => name.endsWith('.ts') && name !== 'index.ts')
    .map((name) => name.slice(0, -3))
  expect(Object.keys(digests).sort()).toEqual(files.sort())
  for (const name of files) {
    const source = await readFile(join(ROOT, 'nodes', `${name}.ts`), 'utf8')
    const help = /help:\s*[`'"]([^`'"\n]{20,60})/.exec(source)?.[1]
    if (help) expect(runOnly((await import('esbuild')).transformSync(source, { loader: 'ts' }).code, name).code).not.toContain(help)
  }
})
