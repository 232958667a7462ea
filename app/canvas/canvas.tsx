'use client'
/** The canvas: React Flow as a view of the document. It draws what the stores say and turns gestures into edits; it owns no state of its own
 * but sizes and the drag in progress. Keys are handled by `use-keys.ts`, not by React Flow (TC-43). */
import {
  Background,
  BackgroundVariant,
  type Connection,
  type EdgeTypes,
  type FinalConnectionState,
  type Edge as FlowEdge,
  MiniMap,
  type NodeTypes,
  type OnConnectStartParams,
  ReactFlow,
  useReactFlow,
} from '@xyflow/react'
import { type DragEvent, type MouseEvent, memo, type RefObject, useCallback, useEffect, useRef, useState } from 'react'
import { connectionVerdict } from '../../nodes/_kit/connect'
import { defOf, titleOf } from '../../nodes/_kit/wires'
import { useActions } from './actions-context'
import { fittingEnds } from './build'
import { CanvasControls } from './canvas-controls'
import { useEditor, useStores, useView } from './context'
import { edgeKey, type Point } from './editor-state'
import { EmptyCanvas } from './empty-canvas'
import { placeOf, portsOf, type Side } from './graph-queries'
import { GroupCard } from './group-card'
import { Guides } from './guides'
import { NodeCard } from './node-card'
import { NoteCard } from './note-card'
import { PALETTE_MIME } from './palette'
import { PortPreview } from './port-preview'
import { QuickAddList } from './quick-add'
import { RefusalBubble } from './refusal'
import { useFileDrop } from './use-file-drop'
import { useFlowEdges, useFlowNodes } from './use-flow'
import { DrawnWire, Wire } from './wire'

// At module level: made inside the component they remount every node on every render, 15 times slower (TC-37).
const NODE_TYPES: NodeTypes = { card: NodeCard, note: NoteCard, frame: GroupCard }
const EDGE_TYPES: EdgeTypes = { wire: Wire }
const SNAP: [number, number] = [16, 16]
const PAN_BUTTONS = [1, 2]
const MINIMAP_FROM = 15
const FIRST_FIT = { padding: 0.06, maxZoom: 1 }

export const Canvas = memo(function Canvas({ label }: { label: string }) {
  const { registry, editor, derived, view } = useStores()
  const actions = useActions()
  const flow = useReactFlow()
  const frame = useRef<HTMLDivElement>(null)
  const { nodes, onNodesChange, endDrag, guides } = useFlowNodes()
  const { edges, onEdgesChange } = useFlowEdges()
  const connecting = useView((s) => s.connecting !== null)
  /** The card or wire that a node from the palette is held over. */
  const dropTarget = useRef<HTMLElement | SVGGElement | null>(null)
  // A blank canvas must not jump when its first node arrives.
  const [wasFilled] = useState(() => Object.keys(editor.getState().document.nodes).length > 0)

  const inFrame = useCallback((client: Point): Point => {
    const box = frame.current?.getBoundingClientRect()
    return { x: client.x - (box?.left ?? 0), y: client.y - (box?.top ?? 0) }
  }, [])

  const isValidConnection = useCallback(
    ({ source, target, sourceHandle, targetHandle }: Connection | FlowEdge) =>
      connectionVerdict({
        document: editor.getState().document,
        registry,
        from: { node: source, port: sourceHandle ?? '' },
        to: { node: target, port: targetHandle ?? '' },
        facts: derived.getState().facts,
      }).ok,
    [editor, derived, registry],
  )

  const onConnect = useCallback(
    ({ source, target, sourceHandle, targetHandle }: Connection) => {
      actions.connect(
        { end: { node: source, port: sourceHandle ?? '' }, side: 'out' },
        { end: { node: target, port: targetHandle ?? '' }, side: 'in' },
        null,
      )
    },
    [actions],
  )

  const onConnectStart = useCallback(
    (_: unknown, { nodeId, handleId, handleType }: OnConnectStartParams) => {
      if (nodeId === null || handleId === null) return
      const [from, side]: [{ node: string; port: string }, Side] = [
        { node: nodeId, port: handleId },
        handleType === 'source' ? 'out' : 'in',
      ]
      view.getState().set({
        connecting: { from, side, fits: fittingEnds(editor.getState().document, registry, from, side) },
        refusal: null,
        quickAdd: null,
      })
    },
    [editor, view, registry],
  )

  const onConnectEnd = useCallback(
    (event: globalThis.MouseEvent | TouchEvent, state: FinalConnectionState) => {
      const { connecting: wire } = view.getState()
      view.getState().set({ connecting: null })
      if (!wire || state.isValid) return
      const client = 'changedTouches' in event ? (event.changedTouches[0] ?? { clientX: 0, clientY: 0 }) : event
      const pointer = { x: client.clientX, y: client.clientY }
      const from = { end: wire.from, side: wire.side }
      const other: Side = wire.side === 'out' ? 'in' : 'out'
      if (state.toHandle && state.toNode) {
        const end = { node: state.toNode.id, port: state.toHandle.id ?? '' }
        if (end.node === wire.from.node && end.port === wire.from.port) return
        actions.connect(from, { end, side: state.toHandle.type === 'source' ? 'out' : 'in' }, inFrame(pointer))
        return
      }
      // Dropped on a card: its one fitting port is meant; with none, its first port of that side says why not.
      const card = (document.elementFromPoint(pointer.x, pointer.y) as Element | null)?.closest<HTMLElement>('[data-node]')?.dataset.node
      if (card === wire.from.node) return
      if (card !== undefined) {
        const fitting = portsOf(defOf(editor.getState().document, registry, card), other)
          .map(([port]) => port)
          .filter((port) => wire.fits.has(`${card}.${port}`))
        const free = fitting.filter((port) => other === 'out' || !derived.getState().wired.has(`in ${card}.${port}`))
        const port = free[0] ?? fitting[0] ?? portsOf(defOf(editor.getState().document, registry, card), other)[0]?.[0]
        if (port !== undefined) actions.connect(from, { end: { node: card, port }, side: other }, inFrame(pointer))
        return
      }
      const place = flow.screenToFlowPosition(pointer)
      view.getState().set({
        quickAdd: {
          at: inFrame(pointer),
          place: wire.side === 'out' ? { x: place.x, y: place.y - 48 } : { x: place.x - 224, y: place.y - 48 },
          link: from,
        },
      })
    },
    [actions, derived, editor, flow, inFrame, registry, view],
  )

  const openQuickAdd = useCallback(
    (event: MouseEvent) => {
      if (!(event.target as Element).classList.contains('react-flow__pane')) return
      const pointer = { x: event.clientX, y: event.clientY }
      view.getState().set({ quickAdd: { at: inFrame(pointer), place: flow.screenToFlowPosition(pointer) } })
    },
    [flow, inFrame, view],
  )

  const dropFile = useFileDrop()
  const onDragOver = useCallback((event: DragEvent) => {
    if (event.dataTransfer.types.includes('Files')) {
      event.preventDefault()
      event.dataTransfer.dropEffect = 'copy'
      return
    }
    if (!event.dataTransfer.types.includes(PALETTE_MIME)) return
    event.preventDefault()
    event.dataTransfer.dropEffect = 'copy'
    // On a card the node takes its place; within 40 px of a wire it goes onto it (UX-24). Whatever it is shows it.
    const under = document.elementsFromPoint(event.clientX, event.clientY)
    const card = under.map((element) => element.closest<HTMLElement>('[data-node]')).find((element) => element !== null)
    const wire = card
      ? undefined
      : under.map((element) => element.closest<SVGGElement>('.react-flow__edge')).find((element) => element !== null)
    const over = card ?? wire
    if (over === dropTarget.current) return
    dropTarget.current?.classList.remove('is-target')
    over?.classList.add('is-target')
    dropTarget.current = over ?? null
  }, [])

  const onDrop = useCallback(
    (event: DragEvent) => {
      const [file] = event.dataTransfer.files
      if (file) {
        event.preventDefault()
        const at = flow.screenToFlowPosition({ x: event.clientX, y: event.clientY })
        void dropFile(file, { x: at.x - 112, y: at.y - 18 })
        return
      }
      const type = event.dataTransfer.getData(PALETTE_MIME)
      if (!type) return
      event.preventDefault()
      const { node, id: wire } = dropTarget.current?.dataset ?? {}
      dropTarget.current?.classList.remove('is-target')
      dropTarget.current = null
      if (node !== undefined) {
        actions.replace(node, type)
        return
      }
      const edge = editor.getState().document.edges.find((e) => edgeKey(e) === wire)
      const place = flow.screenToFlowPosition({ x: event.clientX, y: event.clientY })
      if (edge && actions.insert(type, edge)) return
      actions.addAt(type, { x: place.x - 112, y: place.y - 18 })
    },
    [actions, dropFile, editor, flow],
  )

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the canvas is a region; its keys are handled on the window, see use-keys.ts
    <div
      ref={frame}
      className={connecting ? 'canvas-frame is-connecting' : 'canvas-frame'}
      data-canvas
      tabIndex={-1}
      onDoubleClick={openQuickAdd}
      onDragOver={onDragOver}
      onDrop={onDrop}
      onDragLeave={(event) => {
        if (event.currentTarget.contains(event.relatedTarget as Node | null)) return
        dropTarget.current?.classList.remove('is-target')
        dropTarget.current = null
      }}
      onPointerDown={(event) => {
        if ((event.target as Element).classList.contains('react-flow__pane')) frame.current?.focus({ preventScroll: true })
      }}
    >
      <ReactFlow
        nodes={nodes}
        edges={edges}
        nodeTypes={NODE_TYPES}
        edgeTypes={EDGE_TYPES}
        connectionLineComponent={DrawnWire}
        onNodesChange={onNodesChange}
        onEdgesChange={onEdgesChange}
        onNodeDragStop={endDrag}
        onSelectionDragStop={endDrag}
        onConnect={onConnect}
        onConnectStart={onConnectStart}
        onConnectEnd={onConnectEnd}
        onClickConnectStart={onConnectStart}
        onClickConnectEnd={onConnectEnd}
        isValidConnection={isValidConnection}
        connectionRadius={36}
        snapToGrid
        snapGrid={SNAP}
        minZoom={0.1}
        maxZoom={2}
        fitView={wasFilled}
        fitViewOptions={FIRST_FIT}
        onlyRenderVisibleElements
        selectionOnDrag
        panOnDrag={PAN_BUTTONS}
        panOnScroll
        zoomOnDoubleClick={false}
        deleteKeyCode={null}
        selectionKeyCode={null}
        multiSelectionKeyCode="Shift"
        panActivationKeyCode="Space"
        disableKeyboardA11y
        nodesFocusable={false}
        edgesFocusable={false}
        elevateNodesOnSelect={false}
        onPaneContextMenu={(event) => event.preventDefault()}
        aria-label={label}
      >
        <Background id="dots" variant={BackgroundVariant.Dots} gap={16} size={2} color="var(--dot)" />
        {nodes.length >= MINIMAP_FROM ? (
          <MiniMap pannable zoomable ariaLabel="Overview of the canvas" nodeBorderRadius={4} className="minimap" />
        ) : null}
      </ReactFlow>
      {guides.length > 0 ? <Guides guides={guides} /> : null}
      <Reveal frame={frame} />
      <CanvasControls />
      <EmptyCanvas />
      <QuickAddList />
      <PortPreview />
      <RefusalBubble />
      <ConnectHint />
    </div>
  )
})

/** Brings a node into view when something asks for it: a node just added, walked to, or named by a problem. Leaves the view alone otherwise. */
function Reveal({ frame }: { frame: RefObject<HTMLDivElement | null> }) {
  const { editor, view } = useStores()
  const flow = useReactFlow()
  const id = useView((s) => s.reveal)
  // Where the view is gliding to: a second node asked for meanwhile is judged by that, not by a place it only passes.
  const goal = useRef({ x: 0, y: 0, zoom: 1, until: 0 })
  useEffect(() => {
    if (id === null) return
    view.getState().set({ reveal: null })
    const box = frame.current?.getBoundingClientRect()
    if (!box || !editor.getState().document.nodes[id]) return
    const place = placeOf(editor.getState().document, id)
    const { width = 224, height = 180 } = flow.getNode(id)?.measured ?? {}
    const { x, y, zoom } = performance.now() < goal.current.until ? goal.current : flow.getViewport()
    const [left, top] = [place.x * zoom + x, place.y * zoom + y]
    const [right, bottom] = [left + width * zoom, top + height * zoom]
    // As little as needed, with room for a port and a ring.
    const shift = (low: number, high: number, size: number) =>
      low < 24 ? 24 - low : high > size - 24 ? Math.max(24 - low, size - 24 - high) : 0
    const [dx, dy] = [shift(left, right, box.width), shift(top, bottom, box.height)]
    if (dx === 0 && dy === 0) return
    const duration = matchMedia('(prefers-reduced-motion: reduce)').matches ? 0 : 200
    goal.current = { x: x + dx, y: y + dy, zoom, until: performance.now() + duration }
    void flow.setViewport({ x: x + dx, y: y + dy, zoom }, { duration })
  }, [id, editor, flow, frame, view])
  return null
}

/** "model → needs model", near the pointer while a wire is drawn (UX-25). */
function ConnectHint() {
  const { registry } = useStores()
  const connecting = useView((s) => s.connecting)
  const kind = useEditor((s) => {
    if (!connecting) return null
    const def = defOf(s.document, registry, connecting.from.node)
    return portsOf(def, connecting.side).find(([port]) => port === connecting.from.port)?.[1].kind ?? null
  })
  const title = useEditor((s) => (connecting ? titleOf(s.document, registry, connecting.from.node) : ''))
  if (!connecting || !kind) return null
  const free = connecting.fits.size
  return (
    <div className="hint" aria-hidden="true">
      {connecting.side === 'out' ? `${kind} from ${title}` : `${title} needs ${kind}`} ·{' '}
      {free === 0 ? 'nothing here fits, drop to add a node' : `${free} ${free === 1 ? 'port fits' : 'ports fit'}`}
    </div>
  )
}
