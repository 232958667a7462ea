'use client'
/** What goes in and out of a node, before and after it ran (UX-21, UX-82), and its wires, which are listed here for the keyboard (UX-130). */
import { useShallow } from 'zustand/react/shallow'
import type { PortFacts } from '../../nodes/_kit/facts'
import { countAll } from '../../nodes/_kit/freeze'
import type { Edge } from '../../nodes/_kit/graph'
import { own, titleOf } from '../../nodes/_kit/wires'
import { useNodeRun } from '../runs/store'
import { IconButton } from '../ui/button'
import { Icon } from '../ui/icon'
import { LayerStrip } from '../ui/layer-strip'
import { PortMark } from '../ui/port-mark'
import { bytes, count, short } from '../ui/words'
import { useDerived, useEditor, useStores, useView } from './context'
import { portsOf, type Side } from './graph-queries'
import { useRunLink } from './run-link'

export function NodeData({ id }: { id: string }) {
  const { registry } = useStores()
  const type = useEditor((s) => s.document.nodes[id]?.type ?? '')
  const def = own(registry, type)
  if (!def) return <p className="help">Nothing is known about this node’s data.</p>
  return (
    <div className="form">
      {(['in', 'out'] as const).map((side) => {
        const ports = portsOf(def, side)
        return ports.length === 0 ? null : (
          <section key={side} aria-label={side === 'in' ? 'Inputs' : 'Outputs'} className="ports">
            <h3 className="h-sec">{side === 'in' ? 'Inputs' : 'Outputs'}</h3>
            {ports.map(([port]) => (
              <PortLine key={port} id={id} port={port} side={side} />
            ))}
          </section>
        )
      })}
    </div>
  )
}

function PortLine({ id, port, side }: { id: string; port: string; side: Side }) {
  const { registry, editor, view } = useStores()
  const link = useRunLink()
  const def = useEditor((s) => own(registry, s.document.nodes[id]?.type ?? ''))
  const wires = useEditor(
    useShallow((s) =>
      s.document.edges.filter(({ from, to }) =>
        side === 'in' ? to.node === id && to.port === port : from.node === id && from.port === port,
      ),
    ),
  )
  const facts = useDerived((s) => (side === 'in' ? s.nodes[id]?.inputs[port] : s.nodes[id]?.outputs[port]))
  const output = useNodeRun(id)?.outputs?.[port]
  const connecting = useView((s) => s.open === 'connect')
  const title = useEditor(
    useShallow((s) => wires.map((edge) => titleOf(s.document, registry, side === 'in' ? edge.from.node : edge.to.node))),
  )
  const from = wires[0]?.from
  const source = side === 'out' ? { node: id, port } : from
  const shape = portsOf(def, side).find(([name]) => name === port)?.[1]
  if (!shape) return null
  const cut = (edge: Edge, other: string) =>
    editor.getState().apply({ kind: 'disconnect', edges: [edge] }, { label: `disconnect ${other}` })
  return (
    <div className="portline">
      <div className="head">
        <PortMark kind={shape.kind} hollow={wires.length === 0} />
        <b>{shape.title}</b>
        <span className="muted">{shape.optional ? `${shape.kind}, optional` : shape.kind}</span>
      </div>
      <p className="help">{shape.description}</p>
      {facts ? <Known facts={facts} /> : null}
      {side === 'out' && output !== undefined ? <Made value={output} /> : null}
      {shape.kind === 'dataset' && source ? (
        <button type="button" className="btn sm" onClick={() => view.getState().set({ rows: source, large: null })}>
          <Icon name="table" />
          Rows and tokens<span className="vh"> of {shape.title}</span>
        </button>
      ) : null}
      {wires.map((edge, i) => (
        <div key={`${edge.from.node}.${edge.from.port}>${edge.to.node}.${edge.to.port}`} className="wireline">
          <span>
            {side === 'in' ? 'from' : 'to'} {title[i]} <span className="muted">· {side === 'in' ? edge.from.port : edge.to.port}</span>
          </span>
          <IconButton icon="close" size="sm" label={`Disconnect ${title[i]}`} onClick={() => cut(edge, title[i] ?? '')} />
        </div>
      ))}
      {wires.length === 0 ? (
        <button type="button" className="link" disabled={connecting} onClick={() => view.getState().set({ open: 'connect', focused: id })}>
          Connect
        </button>
      ) : null}
      {side === 'out' && !facts && output === undefined ? (
        <button type="button" className="link" onClick={() => link.start({ kind: 'to', node: id })}>
          Run to here to see it
        </button>
      ) : null}
    </div>
  )
}

/** What the wire will carry, known from headers alone. */
export function Known({ facts }: { facts: PortFacts }) {
  switch (facts.kind) {
    case 'model': {
      const { facts: model } = facts
      const strip = model.trainable ?? {
        blocks: Array.from({ length: model.blocks }, () => (model.trainedOn.length > 0 ? 1 : 0)),
        embeddings: 0,
        head: 0,
      }
      return (
        <div className="known">
          <LayerStrip model={strip} />
          <p>
            {model.name} · {short(countAll(model.parameters))} parameters
            {model.trainable ? `, ${short(model.trainable.parameters)} may change: ${model.trainable.summary}` : ''}
          </p>
          <p className="muted">
            {model.blocks} blocks · {model.dtype} · {count(model.contextLength)} tokens of context
            {model.license ? ` · ${model.license}` : ''}
          </p>
        </div>
      )
    }
    case 'dataset': {
      const { facts: data } = facts
      return (
        <div className="known">
          <p>
            {data.rows === null ? 'rows not known yet' : `${count(data.rows)} rows`}
            {data.format ? ` · ${data.format.replaceAll('_', ' ')}` : ''}
            {data.split !== 'all' ? ` · ${data.split}` : ''}
          </p>
          {data.columns.length > 0 ? <p className="muted">{data.columns.join(', ')}</p> : null}
        </div>
      )
    }
    case 'plan':
      return (
        <div className="known">
          <LayerStrip model={facts.facts} />
          <p>{facts.facts.summary}</p>
        </div>
      )
    case 'metrics':
      return (
        <div className="known">
          <p className="muted">{facts.facts.names.slice(0, 12).join(', ')}</p>
        </div>
      )
    default:
      return (
        <div className="known">
          <p>{facts.facts.name}</p>
        </div>
      )
  }
}

/** What the shown run put out, in a line; the run panel has it whole. */
export function Made({ value }: { value: unknown }) {
  if (typeof value !== 'object' || value === null) return null
  const made = value as { rows?: unknown; bytes?: unknown; name?: unknown }
  if (typeof made.rows === 'number') return <p className="made">{count(made.rows)} rows in the shown run</p>
  if (typeof made.bytes === 'number') return <p className="made">{bytes(made.bytes)} in the shown run</p>
  const numbers = Object.entries(value).filter((entry): entry is [string, number] => typeof entry[1] === 'number')
  return numbers.length > 0 && numbers.length === Object.keys(value).length ? (
    <p className="made">
      {numbers
        .slice(0, 4)
        .map(([name, n]) => `${name} ${Number(n.toPrecision(3))}`)
        .join(' · ')}
    </p>
  ) : null
}
