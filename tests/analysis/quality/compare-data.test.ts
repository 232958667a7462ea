import { describe, expect, it } from 'vitest'
import { compareData, outline } from '../../../analysis/quality/compare-data'

const earlier = Array.from({ length: 20 }, (_, i) => ({ text: `clause ${i}`, label: i % 2 ? 'lease' : 'sale', note: 'x' }))

describe('R-100: new data against the data of an earlier run', () => {
  it('columns that are gone get the new column that is most like them', () => {
    const later = earlier.map(({ text, label }) => ({ body_text: `${text}!`, label }))
    const { columns } = compareData(outline(earlier), outline(later))
    expect(columns.map((one) => [one.name, one.earlier, one.later, one.suggestion])).toEqual([
      ['text', 'text', null, 'body_text'],
      ['label', 'text', 'text', null],
      ['note', 'text', null, 'body_text'],
      ['body_text', null, 'text', null],
    ])
  })

  it('new and missing labels are listed with their rows, and how far the shares moved', () => {
    const later = earlier.map((row, i) => ({ ...row, text: `other ${i}`, label: i < 5 ? 'loan' : 'sale' }))
    const [label] = compareData(outline(earlier), outline(later)).labels.filter((one) => one.column === 'label')
    expect(label).toEqual({
      column: 'label',
      added: [{ value: 'loan', rows: 5 }],
      removed: [{ value: 'lease', rows: 10 }],
      shift: 0.5,
    })
    // Twenty different texts in twenty rows are no labels.
    expect(compareData(outline(earlier), outline(later)).labels.map((one) => one.column)).toEqual(['label', 'note'])
  })

  it('fields of answers in JSON are compared by name', () => {
    const answers = (fields: string[][]) =>
      outline(fields.map((names) => ({ completion: JSON.stringify(Object.fromEntries(names.map((n) => [n, 1]))) })))
    const { labels } = compareData(answers([['fee'], ['fee', 'law']]), answers([['fee', 'penalty'], ['fee']]))
    expect(labels).toEqual([
      { column: 'completion, fields', added: [{ value: 'penalty', rows: 1 }], removed: [{ value: 'law', rows: 1 }], shift: 0.5 },
    ])
  })

  it('repeats among the new rows and rows seen before are counted, whatever the order of their columns', () => {
    const later = [{ note: 'x', label: 'sale', text: 'clause 0' }, ...[1, 2, 3].map(() => ({ text: 'new', label: 'sale', note: 'x' }))]
    expect(compareData(outline(earlier), outline(later))).toMatchObject({ shared: 1, repeated: 2, rows: { earlier: 20, later: 4 } })
    const withIds = later.map((row, i) => ({ id: i, ...row }))
    expect(compareData(outline(earlier), outline(withIds, ['id']))).toMatchObject({ shared: 1, repeated: 2 })
  })

  it('nasty rows: changed types, empty sets, longer rows', () => {
    const odd = [
      { text: 3, label: null, note: ['a'] },
      { text: 'a'.repeat(500), label: '' },
    ]
    const compared = compareData(outline(earlier), outline(odd))
    expect(compared.columns.map((one) => [one.name, one.later, one.laterFilled])).toEqual([
      ['text', 'mixed', 1],
      ['label', 'empty', 0],
      ['note', 'list', 0.5],
    ])
    expect(compared.lengths).toMatchObject({ later: { longest: 500 }, longer: 1 })
    expect(compareData(outline([]), outline([]))).toMatchObject({ rows: { earlier: 0, later: 0 }, shared: 0, columns: [] })
    expect(compareData(outline(earlier), outline([])).columns.every((one) => one.later === null)).toBe(true)
  })
})
