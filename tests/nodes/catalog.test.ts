import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, expectTypeOf, test } from 'vitest'
import * as z from 'zod'
import { type AnyNode, NODE_GROUPS, versionOf } from '../../nodes/_kit/define-node'
import { PORTS } from '../../nodes/_kit/ports'
import { catalog, NodeInstance, registry } from '../../nodes/index'

const nodes = Object.values(registry) as AnyNode[]

describe('A-1: one file says everything about one node', () => {
  test('the file name is the type, and every file is in the registry', () => {
    const files = readdirSync(join(import.meta.dirname, '../../nodes'))
      .filter((name) => name.endsWith('.ts') && name !== 'index.ts')
      .map((name) => name.slice(0, -3))
    expect(Object.keys(registry).sort()).toEqual(files.sort())
    for (const [type, node] of Object.entries(registry)) expect(node.type).toBe(type)
  })

  test.each(nodes.map((n) => [n.type, n] as const))(
    '%s: every param has a title, a description and a default, or is truly required',
    (_, node) => {
      const schema = z.toJSONSchema(node.params, { io: 'input' }) as {
        properties: Record<string, { title?: string; description?: string; default?: unknown }>
        required?: string[]
        additionalProperties?: unknown
      }
      expect(schema.additionalProperties, 'unknown keys are refused').toBe(false)
      for (const [name, field] of Object.entries(schema.properties)) {
        expect(field.title, `${name} has a title`).toBeTruthy()
        expect(field.description?.length ?? 0, `${name} has a description`).toBeGreaterThan(15)
        expect('default' in field !== (schema.required ?? []).includes(name), `${name} has a default or is required`).toBe(true)
      }
      expect(schema.required ?? []).toEqual(node.type === 'load-data' ? ['file'] : [])
    },
  )

  test.each(nodes.map((n) => [n.type, n] as const))('%s: title, summary, help, group, icon and ports are said', (_, node) => {
    expect(node.summary).toMatch(/^[A-Z].*\.$/)
    expect(node.help.length).toBeGreaterThan(200)
    expect(NODE_GROUPS).toContain(node.group)
    expect(node.icon).toBe(node.type)
    for (const port of [...Object.values(node.inputs), ...Object.values(node.outputs)] as {
      kind: string
      title: string
      description: string
    }[]) {
      expect(PORTS).toHaveProperty(port.kind)
      expect(port.title).toBeTruthy()
      expect(port.description).toBeTruthy()
    }
    expect(versionOf(node)).toBe(1 + (node.migrations?.length ?? 0))
    if (node.purity === 'seeded') expect(Object.keys(node.params.shape)).toContain('seed')
    const extent = typeof node.extent === 'function' ? node.extent(node.params.parse({})) : (node.extent ?? [])
    for (const name of extent) expect(Object.keys(node.params.shape)).toContain(name)
  })

  test('ARCHITECTURE.md lists the ports that the nodes have', () => {
    const words = (ports: Record<string, { optional?: true }>) =>
      Object.entries(ports)
        .map(([name, p]) => (p.optional ? `${name}?` : name))
        .join(' ')
    expect(nodes.map((n) => [n.type, words(n.inputs), words(n.outputs)])).toEqual([
      ['load-model', '', 'model'],
      ['freeze-layers', 'model plan?', 'model plan'],
      ['probe-layers', 'model data validation', 'plan metrics report'],
      ['find-learning-rate', 'model data validation', 'metrics report'],
      ['advise-method', 'model data', 'report'],
      ['estimate-cost', 'model data', 'metrics report'],
      ['race-methods', 'model data validation', 'plan metrics report'],
      ['interpolate-weights', 'model data?', 'model metrics report'],
      ['load-data', '', 'data'],
      ['generate-contracts', '', 'data report'],
      ['check-data', 'data validation? test? model?', 'report findings'],
      ['clean-data', 'data validation? test?', 'data removed changes report'],
      ['find-label-errors', 'data', 'data suspects report'],
      ['find-suspects', 'model data', 'data suspects report'],
      ['review-rows', 'data', 'data changes report'],
      ['split-data', 'data', 'train validation test'],
      ['mix-replay', 'data replay? model?', 'data replay report'],
      ['augment-counterfactuals', 'data', 'data swaps report'],
      ['build-preference-pairs', 'model data', 'data mistakes report'],
      ['train', 'model data validation?', 'model metrics'],
      ['train-preference', 'model data validation?', 'model metrics'],
      ['validate', 'model data', 'metrics rows'],
      ['score-extraction', 'rows', 'metrics rows report'],
      ['score-abstention', 'model data', 'metrics rows report'],
      ['test-bias', 'model data', 'metrics rows report'],
      ['compare-models', 'a b data', 'metrics rows report'],
      ['measure-retention', 'model general? task?', 'metrics report'],
      ['predict', 'model data', 'rows file'],
      ['export', 'model metrics?', 'file report'],
      ['report', 'model? training? scores? rows? retention?', 'file report'],
    ])
  })

  test('the catalogue is plain JSON', () => {
    expect(JSON.parse(JSON.stringify(catalog()))).toEqual(catalog())
  })

  test('F-1, UX-41: an unknown param is refused by name, and one out of range too', () => {
    const refused = (type: keyof typeof registry, params: Record<string, unknown>) => {
      const parsed = registry[type].params.safeParse(params)
      return parsed.success ? null : JSON.stringify(parsed.error.issues)
    }
    expect(refused('train', { lr: 1 })).toContain('lr')
    expect(refused('train', { learning_rate: 2 })).toContain('learning_rate')
    expect(refused('train', { per_device_train_batch_size: 0 })).toContain('per_device_train_batch_size')
    expect(refused('freeze-layers', { count: 0 })).toContain('count')
    expect(refused('validate', { max_new_tokens: 1e9 })).toContain('max_new_tokens')
    expect(refused('export', { name: '../etc' })).toContain('name')
    expect(refused('load-data', {})).toContain('file')
  })

  test('a node of a document is narrowed by its type', () => {
    const node = NodeInstance.parse({ id: 'a', type: 'train', params: {} })
    if (node.type === 'train') expectTypeOf(node.params.num_train_epochs).toBeNumber()
    expect(node).toMatchObject({ id: 'a', params: { num_train_epochs: 3, learning_rate: 'auto' } })
    expect(NodeInstance.safeParse({ id: 'a', type: 'nope', params: {} }).success).toBe(false)
  })
})
