'use client'
/** The document as React Flow wants it, and what React Flow says about it turned into edits. Sizes and the drag in progress are its own. */
import { applyNodeChanges, type EdgeChange, type Edge as FlowEdge, type Node as FlowNode, type NodeChange } from '@xyflow/react'
import { useCallback, useMemo, useRef, useState } from 'react'
import { useShallow } from 'zustand/react/shallow'
import type { Pipeline } from '../../nodes/_kit/graph'
import { titleOf } from '../../nodes/_kit/wires'
import { useEditor, useStores } from './context'
import { type Edit, edgeKey, type Point } from './editor-state'
import { placeOf } from './graph-queries'
import { drawnEnds, type Frame, frameOf, GROUP_PREFIX, hiddenBy, regroupAfterMove, type Size } from './groups'
import { type Guide, guidesOf } from './guides'

const NOTE_PREFIX = 'note:'
const isCard = (id: string): boolean => !id.startsWith(NOTE_PREFIX) && !id.startsWith(GROUP_PREFIX)
const groupIn = (doc: Pipeline, id: string) =>
  id.startsWith(GROUP_PREFIX) ? doc.layout.groups.find((group) => GROUP_PREFIX + group.id === id) : undefined

/**
 * Nodes, notes and frames; frames come first, so that they lie below. An unchanged node keeps its object, so that its card is not drawn
 * again. A dragged frame takes its nodes along.
 */
export function useFlowNodes() {
  const { editor, registry } = useStores()
  const [nodesById, layout, notes, edges, selected] = useEditor(
    useShallow((s) => [s.document.nodes, s.document.layout, s.document.notes, s.document.edges, s.selection.nodes] as const),
  )
  const [drag, setDrag] = useState<Readonly<Record<string, Point>>>({})
  const [sizes, setSizes] = useState<Readonly<Record<string, Size>>>({})
  /** Notes and frames that are selected; the document's own selection names nodes only. */
  const [picked, setPicked] = useState<readonly string[]>([])
  const [guides, setGuides] = useState<readonly Guide[]>([])
  const known = useRef(new Map<string, FlowNode>())

  const nodes = useMemo(() => {
    const chosen = new Set([...selected, ...picked])
    const next = new Map<string, FlowNode>()
    const put = (id: string, type: string, at: Point, { width, height }: Size) => {
      const old = known.current.get(id)
      const measured = sizes[id]
      const isSelected = chosen.has(id)
      // A frame is as high as what is in it; cards and notes are as high as what they show.
      const fixed = type === 'frame' ? height : undefined
      next.set(
        id,
        old &&
          old.type === type &&
          old.position.x === at.x &&
          old.position.y === at.y &&
          old.selected === isSelected &&
          old.measured === measured &&
          old.width === width &&
          old.height === fixed
          ? old
          : {
              id,
              type,
              position: { x: at.x, y: at.y },
              data: {},
              selected: isSelected,
              width,
              initialHeight: height,
              // Only its title takes the pointer, so that a box can be drawn inside a frame.
              ...(fixed !== undefined && { height: fixed, zIndex: -1, style: { pointerEvents: 'none' as const } }),
              ...(measured && { measured }),
            },
      )
    }
    const hidden = hiddenBy(layout.groups)
    const placed = (id: string): Point => drag[id] ?? layout.nodes[id] ?? { x: 0, y: 0 }
    for (const group of layout.groups) {
      const frame = frameOf({ edges, layout }, group, sizes, placed)
      put(GROUP_PREFIX + group.id, 'frame', frame, frame)
    }
    for (const id of Object.keys(nodesById)) if (!hidden.has(id)) put(id, 'card', placed(id), { width: 224, height: 140 })
    for (const note of notes) {
      const id = NOTE_PREFIX + note.id
      put(id, 'note', drag[id] ?? note, { width: note.width ?? 320, height: note.height ?? 96 })
    }
    known.current = next
    return [...next.values()]
  }, [nodesById, layout, notes, edges, selected, drag, sizes, picked])

  const onNodesChange = useCallback(
    (changes: NodeChange[]) => {
      const { document: doc } = editor.getState()
      const moved: Record<string, Point> = {}
      const measured: Record<string, Size> = {}
      const picks = changes.filter((change) => change.type === 'select')
      for (const change of changes) {
        if (change.type === 'position' && change.dragging && change.position) {
          const group = groupIn(doc, change.id)
          if (group) Object.assign(moved, membersAt(doc, group, change.position, sizes))
          else moved[change.id] = change.position
        }
        if (change.type === 'dimensions' && change.dimensions && !change.id.startsWith(GROUP_PREFIX))
          measured[change.id] = change.dimensions
      }
      if (Object.keys(moved).length > 0) {
        setDrag((old) => ({ ...old, ...moved }))
        const [only] = Object.keys(moved)
        setGuides(only !== undefined && Object.keys(moved).length === 1 ? guidesOf(boxOf(only), others(only)) : [])
      }
      if (Object.keys(measured).length > 0) setSizes((old) => ({ ...old, ...measured }))
      if (picks.length > 0) {
        // React Flow's own fold decides what a box or Shift-click selects; we keep only the result.
        const after = applyNodeChanges(picks, [...known.current.values()]).filter((node) => node.selected)
        const { selection, select, endGesture } = editor.getState()
        endGesture()
        select({ nodes: after.filter((node) => isCard(node.id)).map((node) => node.id), edges: selection.edges })
        setPicked(after.filter((node) => !isCard(node.id)).map((node) => node.id))
      }

      function boxOf(id: string): Frame {
        return { ...(moved[id] ?? placeOf(doc, id)), ...(sizes[id] ?? { width: 224, height: 140 }) }
      }
      function others(id: string): Frame[] {
        return [...known.current.values()].filter((node) => node.id !== id && isCard(node.id)).map((node) => boxOf(node.id))
      }
    },
    [editor, sizes],
  )

  const endDrag = useCallback(
    (_: unknown, last: FlowNode | FlowNode[], all?: FlowNode[]) => {
      const moved = all ?? (Array.isArray(last) ? last : [last])
      const { document: doc, apply } = editor.getState()
      const positions: Record<string, Point> = {}
      for (const node of moved) {
        const group = groupIn(doc, node.id)
        if (group) Object.assign(positions, membersAt(doc, group, node.position, sizes))
      }
      for (const node of moved) if (isCard(node.id)) positions[node.id] = { x: node.position.x, y: node.position.y }
      const places = new Map(moved.map((node) => [node.id, node.position]))
      const [only] = moved
      const cards = Object.keys(positions)
      const label =
        moved.length === 1 && only
          ? `move ${groupIn(doc, only.id)?.title ?? (isCard(only.id) ? titleOf(doc, registry, only.id) : 'note')}`
          : `move ${cards.length || moved.length} nodes`
      const regroup = regroupAfterMove(doc, positions, sizes)
      const edits: Edit[] = [
        { kind: 'move', positions },
        { kind: 'set-notes', notes: doc.notes.map((note) => ({ ...note, ...places.get(NOTE_PREFIX + note.id) })) },
        ...(regroup ? [regroup] : []),
      ]
      apply({ kind: 'all', edits }, { label })
      setDrag({})
      setGuides([])
    },
    [editor, registry, sizes],
  )
  return { nodes, onNodesChange, endDrag, guides }
}

/** Places of a group's nodes when its frame lies at `at`. */
function membersAt(
  doc: Pipeline,
  group: Pipeline['layout']['groups'][number],
  at: Point,
  sizes: Readonly<Record<string, Size>>,
): Record<string, Point> {
  const frame = frameOf(doc, group, sizes)
  const by = { x: at.x - frame.x, y: at.y - frame.y }
  return Object.fromEntries(group.nodes.map((id) => [id, { x: placeOf(doc, id).x + by.x, y: placeOf(doc, id).y + by.y }]))
}

/** Wires; those into a folded group end at its box, those inside it are not drawn. */
export function useFlowEdges() {
  const { editor } = useStores()
  const [wires, groups, selected] = useEditor(useShallow((s) => [s.document.edges, s.document.layout.groups, s.selection.edges] as const))
  const known = useRef(new Map<string, FlowEdge>())
  const edges = useMemo(() => {
    const chosen = new Set(selected)
    const hidden = hiddenBy(groups)
    const next = new Map<string, FlowEdge>()
    for (const edge of wires) {
      const id = edgeKey(edge)
      const ends = drawnEnds(edge, hidden)
      if (!ends) continue
      const old = known.current.get(id)
      next.set(
        id,
        old && old.selected === chosen.has(id) && old.source === ends.source && old.target === ends.target
          ? old
          : {
              id,
              type: 'wire',
              source: ends.source,
              sourceHandle: ends.sourcePort,
              target: ends.target,
              targetHandle: ends.targetPort,
              data: { edge },
              selected: chosen.has(id),
            },
      )
    }
    known.current = next
    return [...next.values()]
  }, [wires, groups, selected])
  const onEdgesChange = useCallback(
    (changes: EdgeChange[]) => {
      const picks = changes.filter((change) => change.type === 'select')
      if (picks.length === 0) return
      const { selection, select } = editor.getState()
      const after = new Set(selection.edges)
      for (const { id, selected: on } of picks) {
        if (on) after.add(id)
        else after.delete(id)
      }
      select({ nodes: selection.nodes, edges: [...after] })
    },
    [editor],
  )
  return { edges, onEdgesChange }
}
