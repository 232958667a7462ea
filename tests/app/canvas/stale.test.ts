import { describe, expect, it } from 'vitest'
import { cardState } from '../../../app/canvas/card-state'
import { applyEdit } from '../../../app/canvas/editor-state'
import { staleReasons } from '../../../app/canvas/stale'
import { emptyNodeRun, type NodeRun } from '../../../app/runs/reduce'
import { emptyPipeline, type Pipeline } from '../../../nodes/_kit/graph'
import { registry } from '../../../nodes/index'

const ran: Pipeline = {
  ...emptyPipeline(),
  nodes: {
    model: { type: 'load-model', version: 1, params: {} },
    freeze: { type: 'freeze-layers', version: 1, params: { count: 10 } },
    train: { type: 'train', version: 1, params: { learning_rate: 1e-4 } },
    data: { type: 'load-data', version: 1, params: { file: 'a.jsonl' } },
    export: { type: 'export', version: 1, params: {} },
  },
  edges: [
    { from: { node: 'model', port: 'model' }, to: { node: 'freeze', port: 'model' } },
    { from: { node: 'freeze', port: 'model' }, to: { node: 'train', port: 'model' } },
    { from: { node: 'data', port: 'data' }, to: { node: 'train', port: 'data' } },
    { from: { node: 'train', port: 'model' }, to: { node: 'export', port: 'model' } },
  ],
}
const stale = (now: Pipeline) => Object.fromEntries(staleReasons(now, ran, registry, 14))
const set = (id: string, params: Record<string, unknown>) => applyEdit(ran, { kind: 'set-params', id, set: params })

describe('UX-64: stale marks', () => {
  it('appear on the changed node with both values and the run, and on everything below', () => {
    expect(stale(set('train', { learning_rate: 2e-4 }))).toEqual({
      train: 'Learning rate 2e-4, was 1e-4 in run 14',
      export: 'Train changed',
    })
    expect(stale(set('freeze', { count: 6 }))).toEqual({
      freeze: 'Blocks 6, was 10 in run 14',
      train: 'Freeze layers changed',
      export: 'Train changed',
    })
  })

  it('UX-49: layout, titles and notes make nothing stale, and neither does writing down a default', () => {
    const moved = applyEdit(applyEdit(ran, { kind: 'move', positions: { train: { x: 1, y: 2 } } }), {
      kind: 'rename',
      id: 'train',
      title: 'Fit',
    })
    expect(stale(moved)).toEqual({})
    expect(stale(applyEdit(ran, { kind: 'set-notes', notes: [{ id: 'n', text: 'x', x: 0, y: 0 }] }))).toEqual({})
    expect(stale(set('freeze', { mode: 'last' }))).toEqual({})
  })

  it('names one value and counts the others, also when a value is not valid', () => {
    expect(stale(set('train', { num_train_epochs: -3 })).train).toBe('Epochs -3, was 3 in run 14')
    expect(stale(set('train', { learning_rate: 1, num_train_epochs: 5 })).train).toBe('Epochs 5, was 3 in run 14, and 1 more')
  })

  it('a rewired, cut or bypassed input makes its node stale; new nodes are not', () => {
    const cut = applyEdit(ran, { kind: 'disconnect', edges: [ran.edges[1] as (typeof ran.edges)[number]] })
    expect(stale(cut)).toEqual({ train: 'Other wires than in run 14', export: 'Train changed' })
    expect(Object.keys(stale(applyEdit(ran, { kind: 'disable', ids: ['freeze'], disabled: true })))).toEqual(['train', 'export'])
    expect(
      stale(applyEdit(ran, { kind: 'add-node', id: 'new', node: { type: 'validate', version: 1, params: {} }, at: { x: 0, y: 0 } })),
    ).toEqual({})
  })

  it('D-3: only a node that has a result can be stale; unknown and disabled come first', () => {
    const of = (status: NodeRun['status'], more: Partial<Parameters<typeof cardState>[0]> = {}) =>
      cardState({
        placeholder: false,
        disabled: false,
        type: 'train',
        run: { ...emptyNodeRun, status },
        stale: 'Blocks 6, was 10',
        ...more,
      }).name
    expect([of('done'), of('reused'), of('stopped')]).toEqual(['stale', 'stale', 'stale'])
    expect([of('running'), of('queued'), of('failed'), of('cancelled'), of('skipped')]).toEqual([
      'running',
      'queued',
      'failed',
      'cancelled',
      'skipped',
    ])
    expect([of('done', { disabled: true }), of('done', { placeholder: true }), of('done', { stale: null })]).toEqual([
      'disabled',
      'blocked',
      'done',
    ])
    expect(cardState({ placeholder: false, disabled: false, type: 'train', run: undefined, stale: 'x' }).name).toBe('notrun')
  })
})
