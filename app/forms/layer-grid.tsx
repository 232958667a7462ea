// biome-ignore-all lint/a11y/useSemanticElements: cells are painted by dragging and laid out by CSS grid; a table would have to undo its own layout
// biome-ignore-all lint/a11y/useFocusableInteractive: one cell of the grid has the tab stop, arrows move it (roving tabindex)
'use client'
/**
 * Blocks × parts to mark: click or drag with the pointer, arrows and Space with the keyboard, Shift for the whole block. The output block is
 * on top (D-22), as the inspector is read; laid flat in the large view it is at the right. Frozen is low and outlined, trainable solid (D-9).
 */
import { memo, type PointerEvent, useCallback, useRef, useState } from 'react'
import type { BlockPart } from '../../nodes/_kit/freeze'
import { percent, short } from '../ui/words'
import { type Cell, type CellKey, cellKey, type Grid } from './layer-choice'

const TITLE: Record<BlockPart, string> = { attention: 'Attention', mlp: 'MLP', norm: 'Norm' }

export const LayerGrid = memo(function LayerGrid({
  grid,
  open,
  onMark,
  onDone,
  disabled = false,
  flat = false,
}: {
  grid: Grid
  open: ReadonlySet<CellKey>
  onMark: (open: ReadonlySet<CellKey>) => void
  onDone: () => void
  disabled?: boolean
  flat?: boolean
}) {
  const blocks = grid.rows.length
  const [at, setAt] = useState<{ block: number; part: number }>({ block: blocks - 1, part: 0 })
  /** While the pointer is down: whether cells are being opened or closed, and what is open by now. */
  const paint = useRef<{ to: boolean; now: Set<CellKey>; last: string } | null>(null)
  const root = useRef<HTMLDivElement>(null)

  const put = useCallback(
    (keys: readonly CellKey[], to: boolean) => {
      const next = new Set(paint.current?.now ?? open)
      for (const key of keys) {
        if (to) next.add(key)
        else next.delete(key)
      }
      if (paint.current) paint.current.now = next
      onMark(next)
    },
    [onMark, open],
  )
  const cellsOf = (block: number): CellKey[] =>
    grid.rows[block]?.filter((cell) => cell.total > 0).map((cell) => cellKey(cell.block, cell.part)) ?? []

  const cellAt = (event: PointerEvent): { key: CellKey; block: number } | null => {
    const element = document.elementFromPoint(event.clientX, event.clientY)?.closest<HTMLElement>('[data-cell]')
    const key = element?.dataset.cell as CellKey | undefined
    return key && root.current?.contains(element as Node) ? { key, block: Number(key.split('.')[0]) } : null
  }

  const move = (block: number, part: number) => {
    const next = { block: Math.min(blocks - 1, Math.max(0, block)), part: Math.min(grid.parts.length - 1, Math.max(0, part)) }
    setAt(next)
    root.current?.querySelector<HTMLElement>(`[data-cell="${next.block}.${grid.parts[next.part]}"]`)?.focus()
  }

  const lines = Array.from({ length: blocks }, (_, i) => (flat ? i : blocks - 1 - i))
  return (
    <div
      ref={root}
      className={flat ? 'lgrid flat' : 'lgrid'}
      role="grid"
      aria-label="Layers: blocks by parts"
      aria-rowcount={blocks}
      aria-colcount={grid.parts.length}
      aria-disabled={disabled}
      onPointerDown={(event) => {
        const cell = disabled || event.button !== 0 ? null : cellAt(event)
        if (!cell) return
        const to = !open.has(cell.key)
        paint.current = { to, now: new Set(open), last: cell.key }
        root.current?.setPointerCapture(event.pointerId)
        put(event.shiftKey ? cellsOf(cell.block) : [cell.key], to)
      }}
      onPointerMove={(event) => {
        const painting = paint.current
        const cell = painting && cellAt(event)
        if (!painting || !cell || cell.key === painting.last) return
        painting.last = cell.key
        put(event.shiftKey ? cellsOf(cell.block) : [cell.key], painting.to)
      }}
      onPointerUp={() => {
        if (paint.current) onDone()
        paint.current = null
      }}
      onPointerCancel={() => {
        paint.current = null
        onDone()
      }}
      onKeyDown={(event) => {
        const [ahead, back] = flat ? (['ArrowRight', 'ArrowLeft'] as const) : (['ArrowUp', 'ArrowDown'] as const)
        const [down, up] = flat ? (['ArrowDown', 'ArrowUp'] as const) : (['ArrowRight', 'ArrowLeft'] as const)
        if (event.key === ahead) move(at.block + 1, at.part)
        else if (event.key === back) move(at.block - 1, at.part)
        else if (event.key === down) move(at.block, at.part + 1)
        else if (event.key === up) move(at.block, at.part - 1)
        else if (event.key === 'Home') move(0, at.part)
        else if (event.key === 'End') move(blocks - 1, at.part)
        else if ((event.key === ' ' || event.key === 'Enter') && !disabled) {
          const key = cellKey(at.block, grid.parts[at.part] as BlockPart)
          put(event.shiftKey ? cellsOf(at.block) : [key], !open.has(key))
          onDone()
        } else return
        event.preventDefault()
        event.stopPropagation()
      }}
    >
      <div className="lgrid-head" role="row">
        <span role="columnheader" className="n">
          <span className="vh">Block</span>
        </span>
        {grid.parts.map((part) => (
          <span key={part} role="columnheader">
            {TITLE[part]}
          </span>
        ))}
      </div>
      {lines.map((block) => (
        <div key={block} className="lgrid-row" role="row" aria-rowindex={block + 1}>
          <span className="n" role="rowheader">
            {block % 5 === 0 || block === blocks - 1 || flat ? block : <span className="vh">{block}</span>}
          </span>
          {grid.rows[block]?.map((cell, part) => (
            <GridCell
              key={cell.part}
              cell={cell}
              on={open.has(cellKey(block, cell.part))}
              stop={at.block === block && at.part === part}
              onFocus={() => setAt({ block, part })}
            />
          ))}
        </div>
      ))}
    </div>
  )
})

function GridCell({ cell, on, stop, onFocus }: { cell: Cell; on: boolean; stop: boolean; onFocus: () => void }) {
  if (cell.total === 0) return <span role="gridcell" className="c none" aria-label={`Block ${cell.block} has no ${TITLE[cell.part]}`} />
  const share = cell.open / cell.total
  return (
    <span
      role="gridcell"
      className={on ? (share < 1 ? 'c t part' : 'c t') : 'c f'}
      tabIndex={stop ? 0 : -1}
      aria-selected={on}
      aria-label={`Block ${cell.block}, ${TITLE[cell.part]}, ${on ? (share < 1 ? `${percent(share)} trainable` : 'trainable') : 'frozen'}, ${short(cell.total)} parameters`}
      data-cell={cellKey(cell.block, cell.part)}
      onFocus={onFocus}
    />
  )
}
