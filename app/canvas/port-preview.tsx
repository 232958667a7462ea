'use client'
/** What a port carries, shown while the pointer rests on it (UX-81, UX-82). Its twin for the keyboard is P, the Data tab, which says the same. */
import { useQuery } from '@tanstack/react-query'
import { useRef } from 'react'
import { titleOf } from '../../nodes/_kit/wires'
import { useNodeRun } from '../runs/store'
import { useTRPC } from '../trpc'
import { PortMark } from '../ui/port-mark'
import { useDerived, useEditor, useStores, useView } from './context'
import { firstWords } from './data-view/first-words'
import { portsOf, type Side } from './graph-queries'
import { Known, Made } from './node-data'
import { useRunLink } from './run-link'

const REST_MS = 400
const WIDTH = 300
const ROWS = 4

/** Handlers for a port: after a rest the preview opens, and a press or leaving closes it. */
export function usePeek(node: string, port: string, side: Side) {
  const { view } = useStores()
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined)
  const close = () => {
    clearTimeout(timer.current)
    if (view.getState().peek) view.getState().set({ peek: null })
  }
  return {
    onPointerEnter: (event: React.PointerEvent) => {
      if (event.pointerType !== 'mouse' || event.buttons !== 0) return
      const target = event.currentTarget
      timer.current = setTimeout(() => {
        const frame = target.closest('[data-canvas]')?.getBoundingClientRect()
        if (!frame || !target.isConnected || view.getState().connecting) return
        const box = target.getBoundingClientRect()
        view.getState().set({ peek: { node, port, side, at: { x: box.left + box.width / 2 - frame.left, y: box.bottom - frame.top } } })
      }, REST_MS)
    },
    onPointerLeave: close,
    onPointerDown: close,
  }
}

export function PortPreview() {
  const peek = useView((s) => s.peek)
  const exists = useEditor((s) => peek !== null && s.document.nodes[peek.node] !== undefined)
  return peek && exists ? <Card key={`${peek.node} ${peek.port} ${peek.side}`} {...peek} /> : null
}

function Card({ node, port, side, at }: { node: string; port: string; side: Side; at: { x: number; y: number } }) {
  const { registry } = useStores()
  const link = useRunLink()
  const def = useDerived((s) => s.nodes[node]?.def ?? undefined)
  const shape = portsOf(def, side).find(([name]) => name === port)?.[1]
  const facts = useDerived((s) => (side === 'in' ? s.nodes[node]?.inputs[port] : s.nodes[node]?.outputs[port]))
  // A selector must give the same object for the same state: the end that a wire comes from is one, an object made here is not.
  const from = useDerived((s) => (side === 'in' ? s.nodes[node]?.wires[port] : undefined))
  const source = side === 'out' ? { node, port } : (from ?? null)
  const title = useEditor((s) => titleOf(s.document, registry, node))
  const output = useNodeRun(source?.node ?? '')?.outputs?.[source?.port ?? '']
  if (!shape) return null
  const frame = document.querySelector('[data-canvas]')
  const left = Math.max(8, Math.min(at.x - WIDTH / 2, (frame?.clientWidth ?? 9999) - WIDTH - 8))
  return (
    <div className="pop peek" aria-hidden="true" style={{ left, top: at.y + 6, width: WIDTH }}>
      <p className="row">
        <PortMark kind={shape.kind} size={10} />
        <b className="ell">
          {title}, {shape.title}
        </b>
      </p>
      {facts ? <Known facts={facts} /> : null}
      {output !== undefined ? <Made value={output} /> : null}
      {output !== undefined && shape.kind === 'dataset' && link.run !== null && source ? (
        <FirstRows run={link.run} node={source.node} port={source.port} />
      ) : null}
      {output === undefined ? (
        <p className="muted">
          {side === 'in' && !source ? `${shape.optional ? 'Optional' : 'Needed'}: ${shape.description}` : 'Nothing yet: it has not run.'}
        </p>
      ) : null}
    </div>
  )
}

function FirstRows({ run, node, port }: { run: string; node: string; port: string }) {
  const trpc = useTRPC()
  const { data } = useQuery({
    ...trpc.artifacts.rows.queryOptions({ run, node, port, offset: 0, limit: ROWS }),
    staleTime: Number.POSITIVE_INFINITY,
  })
  return data ? (
    <ol>
      {data.rows.map((row, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a row is its place
        <li key={i} className="ell">
          {firstWords(row)}
        </li>
      ))}
    </ol>
  ) : null
}
