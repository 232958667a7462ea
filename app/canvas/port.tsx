'use client'
/** A port on a card's edge (D-24): drawn 12 px, target 24 px, at the centre of its 24 px row, so it never moves when values change. */
import { Handle, Position } from '@xyflow/react'
import { memo } from 'react'
import type { PortKind } from '../../nodes/_kit/ports'
import { PortMark } from '../ui/port-mark'
import { useDerived, useView } from './context'
import type { Side } from './graph-queries'
import { usePeek } from './port-preview'

export const HEAD = 36
export const ROW = 24
/** Half a target: React Flow joins wires to the outer edge of a handle, ours end at its middle. */
export const REACH = 12

export const Port = memo(function Port({
  node,
  port,
  kind,
  title,
  side,
  row,
  optional,
}: {
  node: string
  port: string
  kind: PortKind | null
  title: string
  side: Side
  row: number
  optional: boolean
}) {
  const wired = useDerived((s) => s.wired.has(`${side} ${node}.${port}`))
  const fits = useView((s) => s.connecting?.fits.has(`${node}.${port}`) === true && s.connecting.side !== side)
  const missing = useView((s) => s.checked) && !wired && side === 'in' && !optional
  // Placeholders know no kinds; their wires keep them visible.
  const known = useDerived((s) => s.nodes[node]?.def != null)
  const peek = usePeek(node, port, side)
  const classes = ['port', side, fits && 'big', missing && 'need'].filter(Boolean).join(' ')
  return (
    <Handle
      id={port}
      type={side === 'in' ? 'target' : 'source'}
      position={side === 'in' ? Position.Left : Position.Right}
      className={classes}
      style={{ top: HEAD + row * ROW }}
      isConnectable={known || kind !== null}
      data-port={`${node}.${port}`}
      {...peek}
    >
      <PortMark kind={kind ?? 'report'} hollow={side === 'in' ? !wired : kind === null} />
      <span className="lbl" aria-hidden="true">
        {title}: {kind ?? 'unknown'}
        {missing ? ' (needed)' : ''}
      </span>
    </Handle>
  )
})
