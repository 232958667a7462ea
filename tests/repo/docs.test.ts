/** The documents say what the code says. */
import { execFile } from 'node:child_process'
import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { catalog } from '../../nodes/index'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string): Promise<string> => readFile(join(ROOT, path), 'utf8')

test('A-1: docs/nodes.md is what the node files say', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [join(ROOT, 'scripts/node-docs.mjs'), '--check'])
  expect(stdout).toContain('current')
})

test('A-2: the table of ports in ARCHITECTURE.md is the catalogue', async () => {
  const rows = [...(await read('ARCHITECTURE.md')).matchAll(/^\| `([a-z-]+)` \| (.*) \| (.*) \|$/gm)]
    .map(([, type = '', inputs = '', outputs = '']) => ({ type, inputs, outputs }))
    .filter(({ type }) => catalog().some((node) => node.type === type))
  const words = (ports: Record<string, { optional?: true }>): string =>
    Object.entries(ports)
      .map(([name, port]) => `\`${name}\`${port.optional ? '?' : ''}`)
      .join(', ') || '–'
  expect(rows.sort((a, b) => a.type.localeCompare(b.type))).toEqual(
    catalog()
      .map((node) => ({ type: node.type, inputs: words(node.inputs), outputs: words(node.outputs) }))
      .sort((a, b) => a.type.localeCompare(b.type)),
  )
})

test('every link inside the documents leads to a file that is there', async () => {
  const pages = [
    'README.md',
    'ARCHITECTURE.md',
    'SPEC.md',
    'SECURITY.md',
    'CHANGELOG.md',
    ...(await readdir(join(ROOT, 'docs'))).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`),
  ]
  const broken: string[] = []
  for (const page of pages) {
    const text = (await read(page)).replaceAll(/```[\s\S]*?```/g, '')
    for (const [, target = ''] of text.matchAll(/(?:\]\(|src(?:set)?=")([^)#\s"]+)(?:#[^)]*)?[)"]/g)) {
      if (/^[a-z]+:/.test(target)) continue
      if (!(await stat(join(ROOT, dirname(page), target)).catch(() => null))) broken.push(`${page}: ${target}`)
    }
  }
  expect(broken).toEqual([])
})

test('the tree in README.md names folders that exist, and every top folder', async () => {
  const tree = /## Where things are\n\n```\n([\s\S]*?)```/.exec(await read('README.md'))?.[1] ?? ''
  const named = [...tree.matchAll(/^([a-z]+)\/ /gm)].map(([, name = '']) => name)
  const made = new Set(['node_modules', 'dist', 'out', 'coverage', 'tmp'])
  const there = (await readdir(ROOT, { withFileTypes: true }))
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.') && !made.has(entry.name))
    .map((entry) => entry.name)
  expect(named.toSorted()).toEqual(there.toSorted())
})

test('every rule that a test title cites is in SPEC.md', async () => {
  const spec = new Set([...(await read('SPEC.md')).matchAll(/^- \*\*((?:A|E|R|T|F|SCI|SEC|UX|TC|D)-\d+)\*\*/gm)].map(([, rule]) => rule))
  const missing = new Map<string, string>()
  for (const file of await readdir(join(ROOT, 'tests'), { recursive: true })) {
    if (!/\.test\.tsx?$/.test(file)) continue
    for (const [, title = ''] of (await read(`tests/${file}`)).matchAll(
      /\b(?:test|it|describe)(?:\.\w+)*(?:\([^'"`\n]*\))?\(\s*(['"`].*)/g,
    ))
      for (const [rule] of title.matchAll(/\b(?:A|E|R|T|F|SCI|SEC|UX|TC|D)-\d+\b/g)) if (!spec.has(rule)) missing.set(rule, `tests/${file}`)
  }
  expect([...missing].map(([rule, file]) => `${rule} (${file})`).toSorted()).toEqual([])
})
