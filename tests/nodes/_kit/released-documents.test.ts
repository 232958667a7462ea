/** what a released version wrote opens in this one: the same bytes for ever, one folder for each release. A release adds a folder. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { registry } from '../../../nodes'
import { check } from '../../../nodes/_kit/check'
import type { AnyNode, Registry } from '../../../nodes/_kit/define-node'
import { parseDocument, writeDocument } from '../../../nodes/_kit/migrate'
import { readPipelineFile, writePipelineFile } from '../../../nodes/_kit/pipeline-file'

const types: Registry = registry
const root = join(import.meta.dirname, '../../reference/documents')
const files = readdirSync(root).flatMap((version) => readdirSync(join(root, version)).map((name) => [version, name] as const))

describe('documents of released versions', () => {
  test.each(files)('R-94: %s/%s opens, keeps every setting, and has no fault', (version, name) => {
    const text = readFileSync(join(root, version, name), 'utf8')
    const parsed = JSON.parse(text)
    const found = readPipelineFile(parsed)
    if (!found) throw new Error(`${name} is no pipeline.`)
    const loaded = parseDocument(JSON.stringify(found.document), registry)
    if (!loaded.ok) throw new Error(loaded.problems.map((problem) => problem.message).join('\n'))
    const saved = (found.document as { nodes: Record<string, { type: string; params: Record<string, unknown> }> }).nodes
    expect(Object.keys(loaded.document.nodes)).toEqual(Object.keys(saved))
    for (const [id, node] of Object.entries(loaded.document.nodes)) {
      const def = types[node.type] as AnyNode
      // Every setting of then is one that is known now.
      expect(def.params.safeParse(node.params).error, `${name} ${id}`).toBeUndefined()
    }
    expect(check(loaded.document, registry).problems.filter((problem) => problem.severity === 'error')).toEqual([])
    // Written and read again it is the same.
    const again = parseDocument(writeDocument(loaded.document), registry)
    expect(again.ok && again.document).toEqual(loaded.document)
  })

  test('R-97: a document of a newer Thaw, and nodes that are not known here, are kept byte for byte', () => {
    const strange = {
      ...JSON.parse(readFileSync(join(root, '0.1.0/first-look.json'), 'utf8')),
    }
    strange.nodes.later = { type: 'train', version: 999, params: { a_new_setting: { deep: [1, null, 'x'] } } }
    strange.nodes.foreign = { type: 'from-a-package', version: 2, params: { b: true } }
    const loaded = parseDocument(JSON.stringify(strange), registry)
    if (!loaded.ok) throw new Error(loaded.problems[0]?.message)
    const file = readPipelineFile(JSON.parse(writePipelineFile(loaded.document, 'x', '1')))
    if (!file) throw new Error('No pipeline was written.')
    expect(file.changed).toBe(false)
    const back = (file.document as typeof strange).nodes
    expect([back.later, back.foreign]).toEqual([strange.nodes.later, strange.nodes.foreign])
    expect(check(loaded.document, registry).problems.map(({ code }) => code)).toEqual(
      expect.arrayContaining(['newer-version', 'unknown-type']),
    )
    expect(parseDocument(JSON.stringify({ ...strange, schemaVersion: 2 }), registry)).toMatchObject({
      ok: false,
      problems: [{ code: 'newer-schema' }],
    })
  })
})
