import { describe, expect, it } from 'vitest'
import { findLines, mergedLog } from '../../../app/runs/log-tab'
import { emptyNodeRun, emptyRun } from '../../../app/runs/reduce'
import { areShortAnswers, fieldColumns, findRows, findValues, scoredRow } from '../../../app/runs/rows'

const row = (more: Record<string, unknown> = {}) =>
  scoredRow(
    {
      id: '245',
      input: 'Rheinlift GmbH answers within 30 days; notice is 14 days.',
      expected: '{"supplier":"Rheinlift GmbH","notice_days":14}',
      before: 'no idea',
      after: '{"supplier":"Rheinlift GmbH","notice_days":30}',
      correct: false,
      before_correct: false,
      wrong_fields: ['notice_days'],
      loss: 0.1,
      ...more,
    },
    0,
  )

describe('scored rows', () => {
  it('fields are compared one by one, with what was there before', () => {
    expect(row().fields).toEqual([
      { name: 'supplier', expected: 'Rheinlift GmbH', before: null, after: 'Rheinlift GmbH', right: true },
      { name: 'notice_days', expected: '14', before: null, after: '30', right: false },
    ])
    expect(row().wrong).toEqual(['notice_days'])
  })
  it('SCI-92: a value that the scorer took as right is right, also when it is written in another way', () => {
    const date = row({ expected: '{"date":"2024-05-01"}', after: '{"date":"1 May 2024"}', correct: true, wrong_fields: [] })
    expect(date.fields?.[0]).toMatchObject({ right: true, after: '1 May 2024' })
  })
  it('a field that should not be there is seen', () => {
    expect(row({ after: '{"supplier":"Rheinlift GmbH","notice_days":14,"fee":"9"}', wrong_fields: ['fee'] }).fields?.at(-1)).toMatchObject({
      name: 'fee',
      expected: 'not stated',
      right: false,
    })
  })
  it('an answer that is no JSON object is broken and has no values', () => {
    expect(row({ after: 'Sure! {' })).toMatchObject({ broken: true, wrong: ['supplier', 'notice_days'] })
  })
  it('plain text answers have no fields', () => {
    expect(row({ expected: 'rain', after: 'rain', correct: true })).toMatchObject({ fields: null, wrong: [], broken: false })
  })
  it('rows without the newer columns still read', () => {
    expect(scoredRow({ input: 'x', expected: '{"a":1}', before: '', after: '{"a":2}', correct: false }, 4)).toMatchObject({
      id: '5',
      wrong: ['a'],
      loss: null,
    })
  })
  it('filters and searches', () => {
    const rows = [
      row(),
      row({ id: '1', correct: true }),
      row({ id: '2', correct: true, before_correct: true }),
      row({ id: '3', before_correct: true }),
    ]
    expect(findRows(rows, 'wrong', '').map((r) => r.id)).toEqual(['245', '3'])
    expect(findRows(rows, 'gained', '').map((r) => r.id)).toEqual(['1'])
    expect(findRows(rows, 'lost', '').map((r) => r.id)).toEqual(['3'])
    expect(findRows(rows, 'all', 'RHEINLIFT 30')).toHaveLength(4)
    expect(findRows(rows, 'all', 'nowhere')).toHaveLength(0)
    expect(fieldColumns(rows)).toEqual(['supplier', 'notice_days'])
  })
  it('D-14: values are found whole, once, and never inside another', () => {
    const input = 'Between 130 and 30: Aster Data BV and Aster Data BVX.'
    expect(
      findValues(input, [
        { text: '30', field: 'days' },
        { text: 'Aster Data BV', field: 'supplier' },
        { text: 'Data', field: 'inside' },
      ]),
    ).toEqual([
      { start: 16, end: 18, field: 'days' },
      { start: 20, end: 33, field: 'supplier' },
      { start: 44, end: 48, field: 'inside' },
    ])
    expect(findValues('a b', [{ text: 'b', field: 'short' }])).toEqual([])
  })
})

describe('log', () => {
  const nodes = [
    { id: 'a', title: 'Train', icon: 'train', type: 'train' },
    { id: 'b', title: 'Load data', icon: 'load-data', type: 'load-data' },
  ]
  const line = (at: number, text: string, level: 'info' | 'warn' | 'error' = 'info') => ({ at, level, text })
  const run = {
    ...emptyRun('r'),
    nodes: {
      a: { ...emptyNodeRun, log: [line(2, 'step 1'), line(4, 'no space', 'error')] },
      b: { ...emptyNodeRun, log: [line(1, 'read'), line(3, 'row 7 skipped', 'warn')] },
    },
  }
  it('lines of all nodes stand in the order of time', () => expect(mergedLog(run, nodes).map((l) => l.at)).toEqual([1, 2, 3, 4]))
  it('is found by words, level and node', () => {
    const all = mergedLog(run, nodes)
    expect(findLines(all, { text: 'TRAIN step', level: 'all', node: '' }).map((l) => l.text)).toEqual(['step 1'])
    expect(findLines(all, { text: '', level: 'warn', node: '' }).map((l) => l.at)).toEqual([3, 4])
    expect(findLines(all, { text: '', level: 'error', node: 'b' })).toEqual([])
  })
})

describe('columns of answers', () => {
  it('are narrow where the answers are words', () => {
    expect(areShortAnswers([row({ expected: 'fog' }), row({ expected: 'storm' })])).toBe(true)
    expect(areShortAnswers([row({ expected: 'fog' }), row()])).toBe(false)
  })
})
