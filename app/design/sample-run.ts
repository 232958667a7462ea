/** A run as its events would tell it, for the development page: deterministic, and folded by the same code as live ones. */
import type { RunEvent } from '../runs/events'
import { emptyRun, foldEvents, type RunState } from '../runs/reduce'
import { scoredRow } from '../runs/rows'
import type { NodeInfo } from '../runs/show'

export const SAMPLE_NODES: readonly NodeInfo[] = [
  { id: 'model', title: 'Load model', icon: 'load-model', type: 'load-model' },
  { id: 'freeze', title: 'Freeze layers', icon: 'freeze-layers', type: 'freeze-layers' },
  { id: 'data', title: 'Contract clauses', icon: 'load-data', type: 'load-data' },
  { id: 'split', title: 'Split data', icon: 'split-data', type: 'split-data' },
  { id: 'train', title: 'Train', icon: 'train', type: 'train' },
  { id: 'validate', title: 'Validate', icon: 'validate', type: 'validate' },
  { id: 'unseen', title: 'Unseen wordings', icon: 'validate', type: 'validate' },
  { id: 'export', title: 'Export', icon: 'export', type: 'export' },
]
const STEPS = 60
const start = Date.UTC(2026, 10, 23, 12, 0, 0)

const metrics = (right: number) => ({
  rows: 60,
  eval_loss: 0.018,
  perplexity: 1.02,
  base_eval_loss: 2.41,
  base_perplexity: 11.1,
  exact_match: right / 60,
  base_exact_match: 0,
  token_f1: 0.98,
  base_token_f1: 0.21,
  field_supplier_exact_match: Math.min(1, (right + 2) / 60),
  base_field_supplier_exact_match: 0.03,
  field_notice_days_exact_match: right / 60,
  base_field_notice_days_exact_match: 0.05,
  exact_match_gain: right / 60,
  exact_match_gain_low: right / 60 - 0.06,
  exact_match_gain_high: Math.min(1, right / 60 + 0.05),
})

/** `until`: the last step that was taken. `end`: how the training ended, if it did. */
export function sampleRun(until: number, end: 'done' | 'failed' | null): RunState {
  const events: RunEvent[] = []
  let at = start
  const say = (event: Pick<RunEvent, 'kind' | 'data'> & { node?: string }, seconds = 0.2) => {
    at += seconds * 1000
    events.push({
      run: 'sample',
      seq: events.length + 1,
      at: new Date(at).toISOString(),
      node: event.node ?? null,
      kind: event.kind,
      data: event.data,
    } as RunEvent)
  }
  say({ kind: 'run', data: { status: 'running' } })
  for (const id of ['model', 'freeze', 'data', 'split']) {
    if (id === 'data') {
      say({
        kind: 'node',
        node: id,
        data: { status: 'reused', attempt: 0, reason: 'same file, same settings', reusedFrom: { run: 'x', number: 13 } },
      })
      continue
    }
    say({ kind: 'node', node: id, data: { status: 'running', attempt: 1 } })
    say({ kind: 'node', node: id, data: { status: 'done', attempt: 1, outputs: {} } }, 0.9)
  }
  for (const id of ['validate', 'unseen', 'export'])
    say({ kind: 'node', node: id, data: { status: 'waiting', reason: 'waits for Train' } }, 0)
  say({ kind: 'node', node: 'train', data: { status: 'running', attempt: 1 } })
  for (let step = 1; step <= until; step++) {
    const loss = 0.6 * Math.exp(-step / 14) + 0.01
    say(
      {
        kind: 'metric',
        node: 'train',
        data: {
          points: [
            {
              step,
              loss: loss * (1 + 0.25 * Math.sin(step * 12.9898) * Math.cos(step * 3.1)),
              learning_rate: step < 6 ? (3e-4 * step) / 6 : 1.5e-4 * (1 + Math.cos((Math.PI * (step - 6)) / STEPS)),
              grad_norm: 3.8 * Math.exp(-step / 18) + 0.4 + 0.15 * Math.sin(step * 5),
              tokens_per_second: 1010,
            },
            ...(step % 5 === 0 ? [{ step, eval_loss: loss * 1.15 + 0.004 }] : []),
          ],
        },
      },
      1.9,
    )
    if (step % 5 === 0)
      say(
        {
          kind: 'log',
          node: 'train',
          data: {
            lines: [{ at, level: 'info', text: `Step ${step}: validation loss ${(loss * 1.15).toFixed(4)}` }],
          },
        },
        0,
      )
    if (step % 12 === 0) say({ kind: 'checkpoint', node: 'train', data: { step, manifest: 'a'.repeat(64) } }, 0)
  }
  say({ kind: 'progress', node: 'train', data: { done: until, total: STEPS, unit: 'steps', etaSeconds: (STEPS - until) * 1.9 } }, 0)
  if (end === 'failed') {
    say({
      kind: 'log',
      node: 'train',
      data: { lines: [{ at, level: 'error', text: 'write failed: no space left on device' }] },
    })
    say({
      kind: 'node',
      node: 'train',
      data: {
        status: 'failed',
        attempt: 1,
        error: {
          code: 'NO_SPACE',
          message: `The checkpoint of step ${until} needs 142 MB; 96 MB is free.`,
          failure: 'resource',
          expected: '142 MB',
          got: '96 MB',
          fix: 'Free 46 MB on this disk, then resume.',
        },
      },
    })
    for (const id of ['validate', 'unseen', 'export'])
      say({ kind: 'node', node: id, data: { status: 'skipped', reason: 'because Train failed' } })
    say({ kind: 'run', data: { status: 'failed' } })
  }
  if (end === 'done') {
    say({ kind: 'node', node: 'train', data: { status: 'done', attempt: 1, outputs: { metrics: { train_loss: 0.014 } } } })
    for (const [id, right] of [
      ['validate', 58],
      ['unseen', 41],
    ] as const) {
      say({ kind: 'node', node: id, data: { status: 'running', attempt: 1 } })
      say(
        {
          kind: 'node',
          node: id,
          data: {
            status: 'done',
            attempt: 1,
            outputs: { metrics: metrics(right), rows: { artifact: 'a'.repeat(64), rows: 60, name: `${id}, scored` } },
          },
        },
        11,
      )
    }
    say({ kind: 'node', node: 'export', data: { status: 'running', attempt: 1 } })
    say(
      {
        kind: 'node',
        node: 'export',
        data: {
          status: 'done',
          attempt: 1,
          outputs: {
            file: {
              manifest: 'a'.repeat(64),
              name: 'contract-fields',
              bytes: 538_090_000,
              files: [
                { path: 'config.json', size: 712 },
                { path: 'model.safetensors', size: 538_060_000 },
                { path: 'tokenizer.json', size: 3_519_000 },
              ],
            },
          },
        },
      },
      6,
    )
    say({ kind: 'run', data: { status: 'succeeded' } })
  }
  return foldEvents(emptyRun('sample'), events)
}

export const SAMPLE_METRICS = metrics(58)
export const SAMPLE_ROWS = Array.from({ length: 60 }, (_, i) => {
  const wanted = {
    supplier: ['Nordlicht Logistik', 'Linden Immobilien', 'Rheinlift GmbH'][i % 3],
    notice_days: [30, 60, 90][i % 3],
    law: i % 5 === 4 ? null : 'Germany',
  }
  const wrong = i < 2
  return scoredRow(
    {
      id: String(241 + i),
      input: `${wanted.supplier} maintains the two lifts and answers a fault report within 14 days. Either side may end the agreement with ${wanted.notice_days} days’ notice.${wanted.law ? ` The law of ${wanted.law} applies.` : ''}`,
      expected: JSON.stringify(wanted),
      before: 'The supplier maintains the lifts.',
      after: JSON.stringify(wrong ? { ...wanted, notice_days: 14 } : wanted),
      correct: !wrong,
      before_correct: false,
      wrong_fields: wrong ? ['notice_days'] : [],
      loss: 0.01,
    },
    i,
  )
})
