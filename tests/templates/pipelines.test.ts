import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { dataHeader } from '../../analysis/index'
import { check } from '../../nodes/_kit/check'
import type { Fact, ModelHeader } from '../../nodes/_kit/facts'
import { type Facts, factKey, inferGraph } from '../../nodes/_kit/infer'
import { parseDocument } from '../../nodes/_kit/migrate'
import { registry } from '../../nodes/index'
import { headerOf } from '../nodes/kit'

const root = join(import.meta.dirname, '../../templates')
const ids = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)

/** What the server would answer: real headers of the shipped files; the catalogue's for models. */
async function factsFor(document: Parameters<typeof inferGraph>[0]): Promise<Facts> {
  const facts: Record<string, Fact> = {}
  for (const request of inferGraph(document, registry).unanswered) {
    if (request.kind === 'model') {
      const header: ModelHeader =
        request.source === 'builtin:smollm2-135m-instruct' ? headerOf('smollm2') : { ...headerOf('tiny', 6), hasChatTemplate: true }
      facts[factKey(request)] = { kind: 'model', header }
      continue
    }
    const [, template, file] = /^template:([^/]+)\/(.+)$/.exec(request.file) ?? []
    const bytes = readFileSync(join(root, template as string, file as string))
    const read = await dataHeader(file as string, {
      byteLength: bytes.byteLength,
      slice: (a, b) => bytes.buffer.slice(bytes.byteOffset + a, bytes.byteOffset + (b ?? bytes.byteLength)) as ArrayBuffer,
    })
    if ('error' in read) throw new Error(read.error.message)
    facts[factKey(request)] = { kind: 'data', header: read.header }
  }
  return facts
}

describe.each(ids)('UX-95: template %s', (id) => {
  const text = readFileSync(join(root, id, 'pipeline.json'), 'utf8')
  const loaded = parseDocument(text, registry)
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  const { document } = loaded

  test('has a card, a pipeline and the files it names', () => {
    const card = JSON.parse(readFileSync(join(root, id, 'template.json'), 'utf8')) as Record<string, unknown>
    for (const key of ['title', 'sentence', 'minutes', 'dataNote', 'modelNote', 'order']) expect(card[key], key).toBeTruthy()
    for (const [, template, file] of text.matchAll(/template:([a-z-]+)\/([\w.-]+)/g))
      expect(existsSync(join(root, template as string, file as string))).toBe(true)
  })

  test('checks without an error or a warning, and every param is resolved before it runs', async () => {
    const { problems, inference } = check(document, registry, await factsFor(document))
    expect(problems).toEqual([])
    for (const node of Object.values(inference.nodes)) {
      const open = Object.entries(node.params ?? {}).filter(
        ([name, value]) =>
          value === 'auto' &&
          !['bf16', 'answer_type', 'format'].includes(name) &&
          !(node.def?.type === 'validate' && name === 'max_length'),
      )
      expect(open, node.node).toEqual([])
      expect(node.card.length, node.node).toBeGreaterThan(0)
      expect(node.estimate?.seconds, node.node).toBeGreaterThan(0)
    }
  })

  test('node ids are readable words, and each node stands somewhere of its own', () => {
    for (const node of Object.keys(document.nodes)) expect(node).toMatch(/^[a-z]+(-[a-z]+)?$/)
    const places = Object.keys(document.nodes).map((node) =>
      JSON.stringify([document.layout.nodes[node]?.x, document.layout.nodes[node]?.y]),
    )
    expect(new Set(places).size).toBe(places.length)
  })
})
