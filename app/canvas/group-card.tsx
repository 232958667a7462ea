'use client'
/** A group on the canvas (UX-35): a frame with a title behind its nodes, or the box it is folded to, with the ports that wires cross. */
import { Handle, type NodeProps, Position, useUpdateNodeInternals } from '@xyflow/react'
import { memo, useEffect, useState } from 'react'
import { useShallow } from 'zustand/react/shallow'
import { titleOf } from '../../nodes/_kit/wires'
import { useRun } from '../runs/store'
import { IconButton } from '../ui/button'
import { PortMark } from '../ui/port-mark'
import { State, type StateName } from '../ui/state'
import { plural } from '../ui/words'
import { useActions } from './actions-context'
import { useEditor, useStores, useView } from './context'
import { crossingPorts, GROUP_PREFIX } from './groups'
import { HEAD, ROW } from './port'

export const GroupCard = memo(function GroupCard({ id, selected }: NodeProps) {
  const { view } = useStores()
  const actions = useActions()
  const own = id.slice(GROUP_PREFIX.length)
  const group = useEditor((s) => s.document.layout.groups.find((other) => other.id === own))
  const naming = useView((s) => s.namingGroup === own)
  const [draft, setDraft] = useState<string | null>(null)
  useEffect(() => {
    if (!naming || !group) return
    setDraft(group.title)
    view.getState().set({ namingGroup: null })
  }, [naming, group, view])
  if (!group) return null
  const done = () => {
    const wanted = draft?.trim() ?? ''
    if (wanted !== '' && wanted !== group.title) actions.changeGroup(own, { title: wanted.slice(0, 120) })
    setDraft(null)
  }
  return (
    // biome-ignore lint/a11y/useSemanticElements: a frame around cards, not a form's fieldset
    <div
      className={['group', group.folded && 'folded', selected && 'sel'].filter(Boolean).join(' ')}
      role="group"
      aria-label={`Group ${group.title}, ${plural(group.nodes.length, 'node')}`}
    >
      <div className="group-hd">
        {draft === null ? (
          // biome-ignore lint/a11y/noStaticElementInteractions: pointer shortcut; a new group is named at once
          <b className="ell" onDoubleClick={() => setDraft(group.title)}>
            {group.title}
          </b>
        ) : (
          <input
            className="nodrag nopan"
            aria-label="Name of the group"
            // biome-ignore lint/a11y/noAutofocus: the person just made it, or asked to rename it
            autoFocus
            value={draft}
            maxLength={120}
            onChange={(event) => setDraft(event.target.value)}
            onFocus={(event) => event.target.select()}
            onBlur={done}
            onKeyDown={(event) => {
              if (event.key === 'Enter') done()
              if (event.key === 'Escape') setDraft(null)
              event.stopPropagation()
            }}
          />
        )}
        <span className="muted">{group.nodes.length}</span>
        {/* Not tab stops of the canvas, which has one (UX-130): their twins are under Groups in the settings, and Ctrl G. */}
        <IconButton
          icon={group.folded ? 'plus' : 'minus'}
          label={group.folded ? `Unfold ${group.title}` : `Fold ${group.title}`}
          size="sm"
          tabIndex={-1}
          className="nodrag nopan"
          onClick={() => actions.changeGroup(own, { folded: !group.folded })}
        />
        <IconButton
          icon="close"
          label={`Ungroup ${group.title}`}
          size="sm"
          tabIndex={-1}
          className="nodrag nopan"
          onClick={() => actions.removeGroup(own)}
        />
      </div>
      {group.folded ? <Folded id={id} nodes={group.nodes} group={own} /> : null}
    </div>
  )
})

function Folded({ id, nodes, group }: { id: string; nodes: readonly string[]; group: string }) {
  const { registry } = useStores()
  const update = useUpdateNodeInternals()
  const titles = useEditor(useShallow((s) => nodes.map((node) => titleOf(s.document, registry, node))))
  const key = useEditor((s) => {
    const found = s.document.layout.groups.find((other) => other.id === group)
    return found ? JSON.stringify((['in', 'out'] as const).map((side) => crossingPorts(s.document, registry, found, side))) : '[[],[]]'
  })
  const [into, out] = JSON.parse(key) as [ReturnType<typeof crossingPorts>, ReturnType<typeof crossingPorts>]
  // Ports come and go with the wires: React Flow must measure them anew, or the wires vanish (TC-40).
  // biome-ignore lint/correctness/useExhaustiveDependencies: `key` is what the ports are made of
  useEffect(() => update(id), [key, id, update])
  const state = useGroupState(nodes)
  return (
    <div className="group-bd">
      {state ? <State state={state} /> : null}
      <span className="muted clamp">{titles.join(', ')}</span>
      {[
        ...into.map((port, row) => ({ ...port, row, side: 'in' as const })),
        ...out.map((port, row) => ({ ...port, row, side: 'out' as const })),
      ].map(({ end, kind, title, row, side }) => (
        <Handle
          key={`${side} ${end.node}.${end.port}`}
          id={`${end.node}.${end.port}`}
          type={side === 'in' ? 'target' : 'source'}
          position={side === 'in' ? Position.Left : Position.Right}
          className={`port ${side}`}
          style={{ top: HEAD + row * ROW }}
          isConnectable={false}
        >
          <PortMark kind={kind ?? 'report'} />
          <span className="lbl" aria-hidden="true">
            {title}
          </span>
        </Handle>
      ))}
    </div>
  )
}

/** One state for all: what asks for attention first. */
function useGroupState(nodes: readonly string[]): StateName | null {
  const run = useRun()
  const states = nodes.map((node) => run?.nodes[node]?.status)
  if (states.includes('failed')) return 'failed'
  if (states.includes('running')) return 'running'
  if (states.length > 0 && states.every((state) => state === 'done' || state === 'reused')) return 'done'
  return null
}
