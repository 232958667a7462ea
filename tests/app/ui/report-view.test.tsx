import { renderToStaticMarkup } from 'react-dom/server'
import { expect, test } from 'vitest'
import { frameOf, ReportView } from '../../../app/ui/report-view'
import type { Report } from '../../../nodes/_kit/report'

const report: Report = {
  version: 1,
  title: 'Probe layers',
  verdict: { tone: 'look', text: 'Block 2 matters.', action: 'Wire the plan.' },
  facts: [{ label: 'Rows', value: '64' }],
  sections: [
    {
      title: 'Gains',
      bars: [
        { label: 'block 0', value: -0.1, tone: 'quiet', note: '−0.10', low: -0.2, high: 0 },
        { label: 'block 2', value: 0.4, tone: 'good', note: '0.40', low: 0.3, high: 0.5 },
      ],
      curves: {
        x: { title: 'rate', log: true },
        y: { title: 'loss' },
        lines: [
          {
            name: 'training',
            look: 'line',
            points: [
              [1e-4, 2],
              [1e-2, 1],
            ],
          },
        ],
        marks: [{ x: 1e-3, label: 'suggested', tone: 'good' }],
      },
      scatter: { x: { title: 'cost' }, y: { title: 'score' }, points: [{ label: 'full', x: 1, y: 0.5, tone: 'good', frontier: true }] },
      grid: { rows: ['block 0'], columns: ['attention', 'mlp'], values: [[0.2, null]], marked: [[0, 0]], unit: 'nats' },
      table: { columns: ['a'], rows: [['x'], [0.5], [null]] },
      passages: [{ note: 'row 1', parts: [{ text: 'the ' }, { text: 'sea', tone: 'bad' }] }],
    },
  ],
}

test('a report draws its verdict, its action and every kind of evidence, with numbers for those who cannot see the picture', () => {
  const html = renderToStaticMarkup(<ReportView report={report} />)
  for (const part of [
    'Worth a look',
    'Block 2 matters.',
    'Wire the plan.',
    '0.40',
    'suggested',
    'aria-label="Gains. training: 2.00 to 1.00"',
    'full: 1.00, 0.500',
    ' chosen',
    '<mark class="bad"',
    '64',
  ])
    expect(html).toContain(part)
  expect(html).not.toContain('NaN')
})

test('an axis in logarithms puts equal factors at equal distances', () => {
  const frame = frameOf({ title: '', log: true }, { title: '' }, [1e-4, 1e-3, 1e-2], [0, 1])
  expect(frame.x(1e-3) - frame.x(1e-4)).toBeCloseTo(frame.x(1e-2) - frame.x(1e-3), 6)
  expect(frame.y(1)).toBeLessThan(frame.y(0))
})
