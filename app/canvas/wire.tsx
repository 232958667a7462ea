'use client'
/** Wires (D-25): a model travels in a tube of ice with a warm core as thick as the thawed share; all else is a thin line of its kind. */
import { type ConnectionLineComponentProps, type EdgeProps, Position } from '@xyflow/react'
import { memo } from 'react'
import type { Edge } from '../../nodes/_kit/graph'
import type { PortKind } from '../../nodes/_kit/ports'
import { useNodeRun } from '../runs/store'
import { useDerived, useEditor, useStores, useView } from './context'
import { kindAt } from './graph-queries'
import { REACH } from './port'
import { coreWidth, warmth } from './strip'

/** Leaves and arrives level; long drops swing wider, so that a wire never hugs a card's edge. */
export function wirePath(x1: number, y1: number, x2: number, y2: number): string {
  const [dx, dy] = [Math.abs(x2 - x1), Math.abs(y2 - y1)]
  const swing = x2 >= x1 ? Math.max(28, Math.min(dx * 0.45, 140), Math.min(dy * 0.32, 70)) : Math.max(60, Math.min(dx * 0.5, 200))
  return `M${x1} ${y1}C${x1 + swing} ${y1} ${x2 - swing} ${y2} ${x2} ${y2}`
}

function Tube({ d, kind, core }: { d: string; kind: PortKind | null; core: number }) {
  if (kind !== 'model') return <path className={`wire ${kind ?? 'report'}`} d={d} />
  return (
    <>
      <path className="wire ice" d={d} />
      <path className="wire ice-in" d={d} />
      {core > 0 ? <path className="wire core" d={d} style={{ strokeWidth: core }} /> : null}
    </>
  )
}

/** Middle of the cubic above, for the ＋. */
const middle = (x1: number, y1: number, x2: number, y2: number) => ({ x: (x1 + x2) / 2, y: (y1 + y2) / 2 })

export const Wire = memo(function Wire({ id, data, sourceX, sourceY, targetX, targetY, selected }: EdgeProps) {
  const { registry, view } = useStores()
  // The wire of the document: what React Flow calls source and target may be the box of a folded group.
  const { from, to } = (data as { edge: Edge }).edge
  const kind = useEditor((s) => kindAt(s.document, registry, from, 'out') ?? kindAt(s.document, registry, to, 'in') ?? null)
  const share = useDerived((s) => warmth(s.nodes[from.node]?.outputs[from.port]))
  const flowing = useNodeRun(to.node)?.status === 'running'
  const [x1, x2] = [sourceX - REACH, targetX + REACH]
  const d = wirePath(x1, sourceY, x2, targetY)
  const at = middle(x1, sourceY, x2, targetY)
  const open = useView((s) => s.quickAdd?.edge === id)
  return (
    <>
      {selected ? <path className="wire halo" d={d} /> : null}
      <Tube d={d} kind={kind} core={coreWidth(share)} />
      {flowing ? <path className={kind === 'model' ? 'wire flow' : `wire flow ${kind ?? ''}`} d={d} /> : null}
      <path className="react-flow__edge-interaction" d={d} fill="none" strokeOpacity={0} strokeWidth={20} />
      {/* Its twin for the keyboard is the wire list in the inspector and I. */}
      {/* biome-ignore lint/a11y/noStaticElementInteractions: pointer twin of a key, see above */}
      <g
        className={open || selected ? 'wire-plus on' : 'wire-plus'}
        transform={`translate(${at.x} ${at.y})`}
        onClick={(event) => {
          event.stopPropagation()
          const canvas = (event.currentTarget as Element).closest('.react-flow')?.getBoundingClientRect()
          view.getState().set({
            quickAdd: { at: { x: event.clientX - (canvas?.left ?? 0), y: event.clientY - (canvas?.top ?? 0) }, place: at, edge: id },
          })
        }}
      >
        <circle r={12} className="hit" />
        <circle r={9} className="disc" />
        <path d="M-4 0h8M0-4v8" />
      </g>
    </>
  )
})

/** The wire under the pointer, drawn like the one it will become. */
export function DrawnWire({ fromX, fromY, toX, toY, fromHandle, fromNode, fromPosition }: ConnectionLineComponentProps) {
  const { registry } = useStores()
  const out = fromPosition === Position.Right
  const end = { node: fromNode.id, port: fromHandle.id ?? '' }
  const kind = useEditor((s) => kindAt(s.document, registry, end, out ? 'out' : 'in') ?? null)
  const share = useDerived((s) => (out ? warmth(s.nodes[end.node]?.outputs[end.port]) : 0))
  // Unlike a finished wire, one being drawn starts at the middle of its port.
  const d = out ? wirePath(fromX, fromY, toX, toY) : wirePath(toX, toY, fromX, fromY)
  return (
    <g className="drawn">
      <Tube d={d} kind={kind} core={coreWidth(share)} />
      <circle className={`wire-end p-${kind ?? 'report'}`} cx={toX} cy={toY} r={4.5} />
    </g>
  )
}
