import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { registry } from '../../../nodes'
import type { Registry } from '../../../nodes/_kit/define-node'
import type { Pipeline } from '../../../nodes/_kit/graph'
import { pythonScript } from '../../../nodes/_kit/python-script'

const first = JSON.parse(readFileSync(join(import.meta.dirname, '../../../templates/first-look/pipeline.json'), 'utf8')) as Pipeline
const trainOf = (document: Pipeline) => Object.keys(document.nodes).find((id) => document.nodes[id]?.type === 'train') ?? ''

test('F-5: the script names the settings of the node, and what it cannot say', () => {
  const script = pythonScript(first, registry as Registry, {}, trainOf(first), '1.0')
  expect(script?.text).toContain('"learning_rate": 0.002')
  expect(script?.text).toContain('builtin:thaw-tiny')
  // Without facts of the model some automatic values are not known, and the script says so.
  expect(script?.notes.some((note) => note.includes('max_length is automatic'))).toBe(true)
  const other = structuredClone(first)
  Object.assign(other.nodes[trainOf(other)]?.params ?? {}, { optim: 'lion', ema_decay: 0.9 })
  expect(pythonScript(other, registry as Registry, {}, trainOf(other), '1.0')?.notes.join()).toMatch(/lion.*|ema_decay = 0.9/)
  expect(pythonScript(first, registry as Registry, {}, 'nothing', '1.0')).toBeNull()
})

test('SEC-1: text of the pipeline cannot end the strings of the script', () => {
  const evil = structuredClone(first)
  const model = Object.values(evil.nodes).find(({ type }) => type === 'load-model')
  if (model) model.params.model = '"""\nimport os\nos.system("touch canary")\n"""'
  const text = pythonScript(evil, registry as Registry, {}, trainOf(evil), "'''")?.text ?? ''
  // The docstring's own two marks, and functions' docstrings, are all there is.
  expect(text.split('"""').length % 2).toBe(1)
  expect(text.indexOf('import os')).toBeLessThan(text.indexOf('"""', 10))
})
