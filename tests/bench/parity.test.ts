import { expect, it } from 'vitest'
import { runCase } from '../../bench/parity/cases'
import { type Line, largestDifference, Report, relativeDistance } from '../../bench/parity/report'
import type { Backend } from '../../engine/backends/backend'

const report = (selfTest = false) => {
  const lines: Line[] = []
  return { lines, report: new Report({ selfTest, print: (line) => lines.push(line) }) }
}

it('E-1: NaN, a wrong length and a missing value never pass', () => {
  const { lines, report: r } = report()
  r.near('a', 'nan', [Number.NaN], [1], 1e9)
  r.near('a', 'both nan', [Number.NaN], [Number.NaN], 1e9)
  r.near('a', 'short', [1], [1, 2], 1e9)
  r.near('a', 'empty', [], [1], 1e9)
  r.near('a', 'infinite', [Number.POSITIVE_INFINITY], [1], 1e9)
  r.near('a', 'just above', [1.0000021], [1], 2e-6)
  r.atMost('a', 'nan measure', Number.NaN, 1, () => 2)
  r.same('a', 'ids', [1, 2], [1, 3])
  r.same('a', 'missing', undefined, [1])
  expect(lines.map(({ status }) => status)).toEqual(lines.map(() => 'FAIL'))
  expect(lines.length).toBe(9)
})

it('what agrees passes, also at exactly nothing and with infinities', () => {
  const { lines, report: r } = report()
  r.near('a', 'equal', [1, -0, Number.POSITIVE_INFINITY], [1, 0, Number.POSITIVE_INFINITY], 0)
  r.near('a', 'within', [1.000001], [1], 2e-6)
  r.same('a', 'ids', Int32Array.of(1, 2), [1, 2])
  expect(lines.map(({ status }) => status)).toEqual(['ok', 'ok', 'ok'])
  expect(relativeDistance([3, 4], [3, 4])).toBe(0)
  expect(relativeDistance([6, 8], [3, 4])).toBe(1)
  expect(largestDifference([], [])).toBe(0)
})

it('--self-test: a comparison that cannot fail is itself a failure', () => {
  const { lines, report: r } = report(true)
  r.near('a', 'sound', [1, 2, 3], [1, 2, 3], 1e-6)
  r.near('a', 'a tolerance that lets everything through', [1, 2, 3], [1, 2, 3], Number.POSITIVE_INFINITY)
  r.same('a', 'ids', { ids: [1, 2] }, { ids: [1, 2] })
  r.atMost('a', 'blind', 0, 1, () => 0.5)
  expect(lines.map(({ status }) => status)).toEqual(['ok', 'FAIL', 'ok', 'FAIL'])
})

it('E-1: a case of which nothing is compared is a failure, not a pass', async () => {
  const { lines, report: r } = report()
  const context = { root: '/cases', report: r, backend: null as unknown as Backend, modelFolders: [] }
  await runCase(context, '/cases/empty', (at) => r.near(at, 'of an empty list', [], [], 1e-9))
  await runCase(context, '/cases/full', (at) => r.near(at, 'of one', [1], [1], 1e-9))
  expect(lines.map(({ status, path }) => [status, path])).toEqual([
    ['FAIL', 'empty'],
    ['ok', 'full'],
  ])
})
