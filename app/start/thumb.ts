/**
 * A template's picture, drawn from its own document (D-19): the nodes where they lie, models with their layer strip, wires in the colour of
 * their kind, model wires with a warm core as thick as the thawed share. Pure; `thumbnail.tsx` draws it.
 */
import type { PortDef, Registry } from '../../nodes/_kit/define-node'
import type { Pipeline } from '../../nodes/_kit/graph'
import { type Facts, inferGraph } from '../../nodes/_kit/infer'
import type { PortKind } from '../../nodes/_kit/ports'

/** `box` is the widest a node is drawn; more than four columns make it narrower. */
export const THUMB = { width: 296, height: 132, box: 58, high: 30, pad: 12 } as const
const COLUMN_GAP = 14
const CELLS = 10

export type ThumbBox = {
  id: string
  x: number
  y: number
  width: number
  icon: string /** Cells of the strip, true = trainable; null: no model here. */
  cells: readonly boolean[] | null
}
export type ThumbWire = { key: string; d: string; kind: PortKind /** Thawed share of a model wire, 0…1. */; share: number }

/** Ten cells stand for all blocks: each is warm if most of what it stands for may change, and at least one is if anything may. */
export function thumbCells(blocks: readonly number[]): boolean[] {
  const cells = Array.from({ length: CELLS }, (_, c) => {
    const part = blocks.slice(
      Math.floor((c * blocks.length) / CELLS),
      Math.max(Math.floor(((c + 1) * blocks.length) / CELLS), Math.floor((c * blocks.length) / CELLS) + 1),
    )
    return part.length > 0 && part.filter((share) => share > 0).length * 2 >= part.length
  })
  if (!cells.includes(true)) {
    const open = blocks.findIndex((share) => share > 0)
    if (open >= 0) cells[Math.min(CELLS - 1, Math.floor((open * CELLS) / blocks.length))] = true
  }
  return cells
}

/**
 * Nodes in the order of their columns and rows on the canvas. Columns are evenly apart, not to scale: a picture of 296 px must show who
 * comes after whom, and boxes to scale would lie on each other. Within a column the rows keep their order and share the height.
 */
function place(document: Pipeline): { places: Map<string, { x: number; y: number }>; box: number } {
  const at = Object.keys(document.nodes).map((id, i) => ({ id, ...(document.layout.nodes[id] ?? { x: i * 260, y: 0 }) }))
  const near = (values: readonly number[], apart: number) => {
    const groups: number[] = []
    for (const value of [...values].sort((a, b) => a - b))
      if (groups.length === 0 || value - (groups.at(-1) ?? 0) > apart) groups.push(value)
    return groups
  }
  // Half a node's width apart is another column.
  const columns = near(
    at.map((node) => node.x),
    112,
  )
  const { width, height, high, pad } = THUMB
  const box = Math.min(THUMB.box, Math.floor((width - 2 * pad - (columns.length - 1) * COLUMN_GAP) / Math.max(1, columns.length)))
  const room = { x: width - 2 * pad - box, y: height - 2 * pad - high }
  const [top, bottom] = [Math.min(...at.map((node) => node.y)), Math.max(...at.map((node) => node.y))]
  const places = new Map<string, { x: number; y: number }>()
  columns.forEach((left, c) => {
    const rows = at.filter((node) => node.x >= left && node.x < (columns[c + 1] ?? Number.POSITIVE_INFINITY)).sort((a, b) => a.y - b.y)
    const x = pad + (columns.length > 1 ? (c / (columns.length - 1)) * room.x : room.x / 2)
    const wanted = rows.map((node) => pad + (bottom > top ? ((node.y - top) / (bottom - top)) * room.y : room.y / 2))
    // Push apart downwards, then back up from the lower edge.
    const gap = Math.min(high + 6, rows.length > 1 ? room.y / (rows.length - 1) : room.y)
    for (let r = 1; r < wanted.length; r++) wanted[r] = Math.max(wanted[r] ?? 0, (wanted[r - 1] ?? 0) + gap)
    for (let r = wanted.length - 1, limit = pad + room.y; r >= 0; r--, limit = (wanted[r + 1] ?? 0) - gap)
      wanted[r] = Math.min(wanted[r] ?? 0, limit)
    rows.forEach((node, r) => {
      places.set(node.id, { x: Math.round(x), y: Math.round(wanted[r] ?? pad) })
    })
  })
  return { places, box }
}

export function thumbOf(document: Pipeline, registry: Registry, facts: Facts = {}): { boxes: ThumbBox[]; wires: ThumbWire[] } {
  const { places, box } = place(document)
  const { nodes } = inferGraph(document, registry, facts)
  const modelOf = (id: string) => {
    const outputs = Object.values(nodes[id]?.outputs ?? {})
    const out = outputs.find((port) => port.kind === 'model')
    return out?.kind === 'model' ? out.facts : null
  }
  const shareOf = (id: string): number => {
    const model = modelOf(id)
    if (!model?.trainable) return 0
    return model.trainable.blocks.filter((share) => share > 0).length / Math.max(1, model.blocks)
  }
  const boxes = Object.entries(document.nodes).map(([id, node]): ThumbBox => {
    const def = Object.hasOwn(registry, node.type) ? registry[node.type] : undefined
    const carries = Object.values((def?.outputs ?? {}) as Record<string, PortDef>).some((port) => port.kind === 'model')
    const model = modelOf(id)
    const blocks = model ? (model.trainable?.blocks ?? new Array<number>(model.blocks).fill(def?.group === 'Training' ? 1 : 0)) : []
    const { x = 0, y = 0 } = places.get(id) ?? {}
    return {
      id,
      x,
      y,
      width: box,
      icon: def?.icon ?? 'question',
      cells: carries ? (model ? thumbCells(blocks) : new Array<boolean>(CELLS).fill(false)) : null,
    }
  })
  const wires = document.edges.flatMap((edge, i): ThumbWire[] => {
    const from = places.get(edge.from.node)
    const to = places.get(edge.to.node)
    const def = registry[document.nodes[edge.from.node]?.type ?? '']
    const kind = (def?.outputs as Record<string, PortDef> | undefined)?.[edge.from.port]?.kind
    if (!from || !to || !kind) return []
    const [x1, y1, x2, y2] = [from.x + box, from.y + THUMB.high / 2, to.x, to.y + THUMB.high / 2]
    const bend = Math.max(14, (x2 - x1) / 2)
    return [
      {
        key: `${i}`,
        d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`,
        kind,
        share: kind === 'model' ? shareOf(edge.from.node) : 0,
      },
    ]
  })
  return { boxes, wires }
}
