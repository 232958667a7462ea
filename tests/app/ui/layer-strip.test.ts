import { describe, expect, it } from 'vitest'
import { stripCells, stripLabel } from '../../../app/ui/layer-strip'

const blocks = (n: number, from: number, share = 1) => Array.from({ length: n }, (_, i) => (i >= from ? share : 0))

describe('layer strip', () => {
  it('D-19: one cell per block, pairs joined above 48', () => {
    expect(stripCells(blocks(30, 20)).cells).toHaveLength(30)
    expect(stripCells(blocks(48, 20))).toMatchObject({ joined: 1 })
    expect(stripCells(blocks(80, 79))).toMatchObject({ joined: 2 })
    const { cells } = stripCells(blocks(81, 79))
    expect(cells).toHaveLength(41)
    expect(cells.slice(-3)).toEqual(['frozen', 'trainable', 'trainable'])
  })
  it('D-20: a part-open block is warm', () => expect(stripCells([0, 0.01, 1]).cells).toEqual(['frozen', 'trainable', 'trainable']))
  it('D-21: adapter cells', () => expect(stripCells([0, 0.01], true).cells).toEqual(['frozen', 'adapter']))
  it('D-22: the label says both counts', () => {
    expect(stripLabel({ blocks: blocks(30, 20) })).toBe('30 blocks: 20 frozen, 10 trainable')
    expect(stripLabel({ blocks: blocks(80, 60, 0.5), head: 1 })).toBe(
      '80 blocks: 60 frozen, 20 trainable, 20 of them in part, head trainable, two blocks a cell',
    )
    expect(stripLabel({ blocks: blocks(30, 0, 0.02) }, true)).toBe('30 blocks: 30 frozen, 30 with adapters')
  })
})
