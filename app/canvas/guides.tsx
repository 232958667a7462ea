'use client'
/** Alignment guides (UX-33): while cards are dragged, a line along every edge or middle that they share with a card that stays. */
import { useStore } from '@xyflow/react'
import type { Frame } from './groups'

export type Guide = { readonly vertical: boolean; readonly at: number; readonly from: number; readonly to: number }

/** Shared lines of the dragged frame with the others; with several on one line, from the first to the last. Pure. */
export function guidesOf(dragged: Frame, others: readonly Frame[]): Guide[] {
  const lines = new Map<string, Guide>()
  const add = (vertical: boolean, at: number, a: Frame, b: Frame) => {
    const ends = vertical ? [a.y, a.y + a.height, b.y, b.y + b.height] : [a.x, a.x + a.width, b.x, b.x + b.width]
    const key = `${vertical} ${at}`
    const old = lines.get(key)
    lines.set(key, {
      vertical,
      at,
      from: Math.min(old?.from ?? Number.POSITIVE_INFINITY, ...ends),
      to: Math.max(old?.to ?? Number.NEGATIVE_INFINITY, ...ends),
    })
  }
  const xs = (f: Frame) => [f.x, f.x + f.width / 2, f.x + f.width]
  const ys = (f: Frame) => [f.y, f.y + f.height / 2, f.y + f.height]
  for (const other of others) {
    for (const [i, x] of xs(dragged).entries()) if (x === xs(other)[i]) add(true, x, dragged, other)
    for (const [i, y] of ys(dragged).entries()) if (y === ys(other)[i]) add(false, y, dragged, other)
  }
  return [...lines.values()]
}

export function Guides({ guides }: { guides: readonly Guide[] }) {
  const [x, y, zoom] = useStore((s) => s.transform)
  return (
    <svg className="guides" aria-hidden="true">
      <g transform={`translate(${x} ${y}) scale(${zoom})`}>
        {guides.map((guide) =>
          guide.vertical ? (
            <line key={`v${guide.at}`} x1={guide.at} x2={guide.at} y1={guide.from - 24} y2={guide.to + 24} />
          ) : (
            <line key={`h${guide.at}`} x1={guide.from - 24} x2={guide.to + 24} y1={guide.at} y2={guide.at} />
          ),
        )}
      </g>
    </svg>
  )
}
