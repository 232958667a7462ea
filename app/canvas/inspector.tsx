'use client'
import { useReactFlow } from '@xyflow/react'
/** The right panel (UX-12): settings, data, run and notes of the selected node; of the pipeline when none is selected; actions for several. */
import { useCallback, useEffect, useMemo, useState } from 'react'
import { useShallow } from 'zustand/react/shallow'
import { defOf, own, titleOf } from '../../nodes/_kit/wires'
import { type FormContext, FormProvider } from '../forms/form-context'
import { ParamForm } from '../forms/param-form'
import { fieldsOf } from '../forms/schema'
import { Button, IconButton } from '../ui/button'
import { Icon } from '../ui/icon'
import { Menu, type MenuEntry } from '../ui/menu'
import { TabPanel, Tabs } from '../ui/tabs'
import { useActions } from './actions-context'
import { useDerived, useEditor, useStores, useView } from './context'
import { freshId } from './editor-state'
import type { Lineup } from './line-up'
import { NodeData } from './node-data'
import { NodeNotes } from './node-notes'
import { NodeRunTab } from './node-run-tab'
import { PipelineSettings } from './pipeline-settings'
import { useRunLink } from './run-link'
import { sizeIn } from './sizes'
import type { InspectorTab } from './stores'

const TABS: readonly { value: InspectorTab; label: string }[] = [
  { value: 'settings', label: 'Settings' },
  { value: 'data', label: 'Data' },
  { value: 'run', label: 'Run' },
  { value: 'notes', label: 'Notes' },
]

export function Inspector() {
  const nodes = useEditor(useShallow((s) => s.selection.nodes))
  const wires = useEditor(useShallow((s) => s.selection.edges))
  const [only] = nodes
  if (nodes.length === 1 && only !== undefined) return <NodeInspector key={only} id={only} />
  if (nodes.length > 1) return <SeveralSelected ids={nodes} />
  if (wires.length === 1 && wires[0] !== undefined) return <WireSelected id={wires[0]} />
  return <PipelineSettings />
}

function NodeInspector({ id }: { id: string }) {
  const { registry, view } = useStores()
  const node = useEditor((s) => s.document.nodes[id])
  const title = useEditor((s) => titleOf(s.document, registry, id))
  const tab = useView((s) => s.tab)
  if (!node) return null
  const def = own(registry, node.type)
  return (
    <>
      <Header id={id} title={title} icon={def?.icon ?? 'question'} />
      <Tabs label="About this node" items={TABS} value={tab} onValueChange={(next) => view.getState().set({ tab: next })}>
        <TabPanel value="settings" className="insp-body">
          {def ? <NodeSettings id={id} /> : <Unknown type={node.type} version={node.version} params={node.params} />}
        </TabPanel>
        <TabPanel value="data" className="insp-body">
          <NodeData id={id} />
        </TabPanel>
        <TabPanel value="run" className="insp-body">
          <NodeRunTab id={id} />
        </TabPanel>
        <TabPanel value="notes" className="insp-body">
          <NodeNotes id={id} />
        </TabPanel>
      </Tabs>
    </>
  )
}

function Header({ id, title, icon }: { id: string; title: string; icon: string }) {
  const { registry, editor, view } = useStores()
  const actions = useActions()
  const link = useRunLink()
  const disabled = useEditor((s) => s.document.nodes[id]?.disabled === true)
  const exposed = useEditor(useShallow((s) => s.document.inputs.filter((input) => input.node === id).map((input) => input.param)))
  const type = useEditor((s) => s.document.nodes[id]?.type ?? '')
  const [draft, setDraft] = useState<string | null>(null)
  const renaming = useView((s) => s.renaming === id)
  useEffect(() => {
    if (!renaming) return
    setDraft(title)
    view.getState().set({ renaming: null })
  }, [renaming, title, view])
  const fields = useMemo(() => {
    const def = own(registry, type)
    return def ? fieldsOf(def.params) : []
  }, [registry, type])
  const done = () => {
    if (draft !== null && draft.trim() !== title) actions.rename(id, draft)
    setDraft(null)
  }
  const items: MenuEntry[] = [
    { label: 'Run to here', icon: 'right', onSelect: () => link.start({ kind: 'to', node: id }), disabled: link.active },
    { kind: 'separator' },
    { label: 'Rename', onSelect: () => setDraft(title), shortcut: 'F2' },
    { label: 'Duplicate', icon: 'copy', onSelect: actions.duplicate },
    {
      label: 'Replace',
      icon: 'swap',
      shortcut: 'R',
      onSelect: () => view.getState().set({ quickAdd: { at: { x: 80, y: 80 }, place: { x: 0, y: 0 }, replace: id } }),
    },
    { label: disabled ? 'Enable' : 'Disable', onSelect: () => void actions.toggleDisabled(), shortcut: 'M' },
    {
      kind: 'sub',
      label: 'Exposed settings',
      items: fields.map((field) => ({
        kind: 'check' as const,
        label: field.title,
        checked: exposed.includes(field.name),
        onChange: (on) => {
          const { document, apply } = editor.getState()
          const others = document.inputs.filter((input) => input.node !== id || input.param !== field.name)
          const taken = Object.fromEntries(document.inputs.map((input) => [input.id, true]))
          apply(
            {
              kind: 'set-inputs',
              inputs: on
                ? [...others, { id: freshId(taken, field.name), title: field.title, help: field.description, node: id, param: field.name }]
                : others,
            },
            { label: `${on ? 'expose' : 'hide'} ${field.title}` },
          )
        },
      })),
    },
    { kind: 'separator' },
    { label: 'Delete', icon: 'trash', danger: true, onSelect: () => actions.remove(false), shortcut: 'Del' },
  ]
  return (
    <div className="insp-head">
      <Icon name={icon} />
      {draft === null ? (
        <h2 className="ell" onDoubleClick={() => setDraft(title)}>
          {title}
        </h2>
      ) : (
        <input
          className="rename"
          aria-label="Name of this node"
          // biome-ignore lint/a11y/noAutofocus: the person just asked to rename it
          autoFocus
          value={draft}
          onChange={(event) => setDraft(event.target.value)}
          onFocus={(event) => event.target.select()}
          onBlur={done}
          onKeyDown={(event) => {
            if (event.key === 'Enter') done()
            if (event.key === 'Escape') setDraft(null)
            if (event.key === 'Enter' || event.key === 'Escape') event.stopPropagation()
          }}
        />
      )}
      <Menu
        label={`Actions for ${title}`}
        align="end"
        items={items}
        trigger={<IconButton icon="more" label="More" tip={false} className="ml-auto" />}
      />
    </div>
  )
}

function NodeSettings({ id }: { id: string }) {
  const { registry, editor, view } = useStores()
  const actions = useActions()
  const params = useEditor((s) => s.document.nodes[id]?.params)
  const def = useEditor((s) => defOf(s.document, registry, id))
  const disabled = useEditor((s) => s.document.nodes[id]?.disabled === true)
  const inferred = useDerived((s) => s.nodes[id])
  const problems = useDerived(useShallow((s) => s.problems.filter((problem) => problem.node === id)))
  const goTo = useView((s) => (s.goTo?.node === id ? s.goTo.param : undefined))
  const arrived = useCallback(() => view.getState().set({ goTo: null }), [view])
  const form = useMemo<FormContext | null>(
    () =>
      !params
        ? null
        : {
            node: id,
            params,
            inferred,
            problems,
            change: ({ set, unset }, label, going) =>
              editor
                .getState()
                .apply({ kind: 'set-params', id, set, ...(unset && { unset }) }, { label, ...(going && { gesture: `${id} ${label}` }) }),
            done: () => editor.getState().endGesture(),
            fix: actions.fix,
            openLarge: () => view.getState().set({ large: id }),
          },
    [id, params, inferred, problems, editor, actions, view],
  )
  if (!def || !form) return null
  // What belongs to no field stands above the form; a freeze shows its own beside the grid.
  const general = problems.filter(
    (p) => p.param === undefined && p.code !== 'unused-output' && !(def.params.shape.blocks && p.code === 'node'),
  )
  return (
    <FormProvider value={form}>
      <div className="form">
        {disabled ? <p className="help framed">Disabled: it does not run, and wires pass through where they fit.</p> : null}
        {general.map((problem) => (
          <p key={`${problem.code} ${problem.message}`} className={problem.severity === 'error' ? 'err' : 'help warned'}>
            <Icon name={problem.severity === 'error' ? 'error' : 'warn'} size={14} />
            <span>
              {problem.message}
              {problem.fix ? (
                <button type="button" className="btn sm fix" onClick={() => problem.fix && actions.fix(problem.fix)}>
                  {problem.fix.label}
                </button>
              ) : null}
            </span>
          </p>
        ))}
        <ParamForm fields={fieldsOf(def.params)} goTo={goTo} onArrived={arrived} />
      </div>
    </FormProvider>
  )
}

function Unknown({ type, version, params }: { type: string; version: number; params: Record<string, unknown> }) {
  return (
    <div className="form">
      <p className="err">
        <Icon name="error" size={14} />
        <span>
          This Thaw has no node type <code>{type}</code> (version {version}). It is kept exactly as it is, with its wires, and cannot run.
        </span>
      </p>
      <pre className="json">{JSON.stringify(params, null, 2)}</pre>
    </div>
  )
}

const LINEUPS: readonly (readonly [Lineup, string])[] = [
  ['left', 'Left edges'],
  ['centre', 'Middles, one below the other'],
  ['right', 'Right edges'],
  ['top', 'Upper edges'],
  ['middle', 'Middles, side by side'],
  ['bottom', 'Lower edges'],
  ['across', 'Even gaps across'],
  ['down', 'Even gaps down'],
]

function SeveralSelected({ ids }: { ids: readonly string[] }) {
  const { registry } = useStores()
  const actions = useActions()
  const flow = useReactFlow()
  const link = useRunLink()
  const titles = useEditor(useShallow((s) => ids.map((id) => titleOf(s.document, registry, id))))
  const allOff = useEditor((s) => ids.every((id) => s.document.nodes[id]?.disabled))
  return (
    <>
      <div className="insp-head">
        <h2>{ids.length} nodes</h2>
      </div>
      <div className="insp-body form">
        <ul className="plain">
          {titles.map((title, i) => (
            <li key={ids[i]}>{title}</li>
          ))}
        </ul>
        <div className="stackbtns">
          <Button icon="play" disabled={link.active} onClick={() => link.start({ kind: 'only', nodes: ids })}>
            Run selected
          </Button>
          <Button onClick={actions.group}>Group</Button>
          <Button icon="tidy" onClick={() => actions.tidy(sizeIn(flow))}>
            Tidy up
          </Button>
          <Menu
            label="Ways to line up"
            trigger={<Button caret>Line up</Button>}
            items={LINEUPS.map(([how, label]) => ({ label, onSelect: () => actions.lineUp(how, sizeIn(flow)) }))}
          />
          <Button icon="copy" onClick={actions.duplicate}>
            Duplicate
          </Button>
          <Button onClick={() => void actions.toggleDisabled()}>{allOff ? 'Enable' : 'Disable'}</Button>
          <Button variant="danger" icon="trash" onClick={() => actions.remove(false)}>
            Delete
          </Button>
        </div>
      </div>
    </>
  )
}

function WireSelected({ id }: { id: string }) {
  const { registry } = useStores()
  const actions = useActions()
  const words = useEditor((s) => {
    const edge = s.document.edges.find((e) => `${e.from.node}.${e.from.port}>${e.to.node}.${e.to.port}` === id)
    return edge
      ? `${titleOf(s.document, registry, edge.from.node)} · ${edge.from.port} → ${titleOf(s.document, registry, edge.to.node)} · ${edge.to.port}`
      : ''
  })
  return (
    <>
      <div className="insp-head">
        <Icon name="link" />
        <h2>Wire</h2>
      </div>
      <div className="insp-body form">
        <p>{words}</p>
        <div className="stackbtns">
          <Button variant="danger" icon="trash" onClick={() => actions.remove(false)}>
            Remove the wire
          </Button>
        </div>
      </div>
    </>
  )
}
