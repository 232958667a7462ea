/**
 * A template's picture, drawn from its own document (D-19): the nodes where they lie, models with their layer strip, wires in the colour of
 * their kind, model wires with a warm core as thick as the thawed share. Pure; `thumbnail.tsx` draws it.
 */
import type { PortDef, Registry } from '../../nodes/_kit/define-node'
import type { Pipeline } from '../../nodes/_kit/graph'
import { type Facts, inferGraph } from '../../nodes/_kit/infer'
import type { PortKind } from '../../nodes/_kit/ports'

export const THUMB = { width: 296, height: 132, box: 58, high: 30, pad: 12 } as const
const CELLS = 10

export type ThumbBox = {
  id: string
  x: number
  y: number
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

/** Positions scaled into the picture. Nodes in one column or row of the canvas stay in one. */
function place(document: Pipeline): Map<string, { x: number; y: number }> {
  const ids = Object.keys(document.nodes)
  const at = ids.map((id, i) => ({ id, ...(document.layout.nodes[id] ?? { x: i * 260, y: 0 }) }))
  const range = (values: readonly number[]) => [Math.min(...values), Math.max(...values)] as const
  const [x0, x1] = range(at.map((node) => node.x))
  const [y0, y1] = range(at.map((node) => node.y))
  const { width, height, box, high, pad } = THUMB
  const scale = (value: number, low: number, top: number, room: number) =>
    top > low ? pad + ((value - low) / (top - low)) * room : pad + room / 2
  return new Map(
    at.map(({ id, x, y }) => [
      id,
      { x: Math.round(scale(x, x0, x1, width - 2 * pad - box)), y: Math.round(scale(y, y0, y1, height - 2 * pad - high)) },
    ]),
  )
}

export function thumbOf(document: Pipeline, registry: Registry, facts: Facts = {}): { boxes: ThumbBox[]; wires: ThumbWire[] } {
  const places = place(document)
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
    const [x1, y1, x2, y2] = [from.x + THUMB.box, from.y + THUMB.high / 2, to.x, to.y + THUMB.high / 2]
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
