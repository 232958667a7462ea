'use client'
/** The inspector with nothing selected (UX-12): the pipeline in numbers, what is exposed, and its notes. */
import { useMemo } from 'react'
import { useShallow } from 'zustand/react/shallow'
import { defOf, titleOf } from '../../nodes/_kit/wires'
import { type FormContext, FormProvider } from '../forms/form-context'
import { ParamForm } from '../forms/param-form'
import { fieldsOf } from '../forms/schema'
import { Button, IconButton } from '../ui/button'
import { plural } from '../ui/words'
import { useActions } from './actions-context'
import { useDerived, useEditor, useStores } from './context'

export function PipelineSettings() {
  const { registry, editor } = useStores()
  const name = useEditor((s) => s.name)
  const [nodes, wires, off] = useEditor(
    useShallow((s) => [
      Object.keys(s.document.nodes).length,
      s.document.edges.length,
      Object.values(s.document.nodes).filter((n) => n.disabled).length,
    ]),
  )
  const inputs = useEditor((s) => s.document.inputs)
  const notes = useEditor((s) => s.document.notes)
  const groups = useEditor((s) => s.document.layout.groups)
  const titles = useEditor(useShallow((s) => s.document.inputs.map((input) => titleOf(s.document, registry, input.node))))
  const actions = useActions()
  return (
    <>
      <div className="insp-head">
        <h2 className="ell">{name}</h2>
      </div>
      <div className="insp-body form">
        <p className="help">
          {nodes === 0
            ? 'No nodes yet. Click one in the list at the left, or drag it onto the canvas.'
            : `${plural(nodes, 'node')}, ${plural(wires, 'wire')}${off > 0 ? `, ${off} disabled` : ''}. Select a node to see its settings.`}
        </p>
        <section aria-label="Exposed settings" className="ports">
          <h3 className="h-sec">Exposed settings</h3>
          {inputs.length === 0 ? (
            <p className="help">
              None yet. A node’s menu has “Exposed settings”: what is ticked there can be set here and on the command line, without touching
              the canvas.
            </p>
          ) : (
            inputs.map((input, i) => (
              <div key={input.id} className="exposed">
                <div className="row">
                  <span className="muted text-12 ell">{titles[i]}</span>
                  <IconButton
                    icon="close"
                    size="sm"
                    label={`Hide ${input.title}`}
                    className="ml-auto"
                    onClick={() =>
                      editor
                        .getState()
                        .apply(
                          { kind: 'set-inputs', inputs: inputs.filter((other) => other.id !== input.id) },
                          { label: `hide ${input.title}` },
                        )
                    }
                  />
                </div>
                <Exposed node={input.node} param={input.param} title={input.title} />
              </div>
            ))
          )}
        </section>
        {groups.length > 0 ? (
          <section aria-label="Groups" className="ports">
            <h3 className="h-sec">Groups</h3>
            {groups.map((group) => (
              <div key={group.id} className="row">
                <span className="ell">{group.title}</span>
                <span className="muted text-12 nowrap">{plural(group.nodes.length, 'node')}</span>
                <Button
                  size="sm"
                  variant="ghost"
                  className="ml-auto"
                  onClick={() => actions.changeGroup(group.id, { folded: !group.folded })}
                >
                  {group.folded ? 'Unfold' : 'Fold'}
                  <span className="vh"> {group.title}</span>
                </Button>
                <IconButton icon="close" size="sm" label={`Ungroup ${group.title}`} onClick={() => actions.removeGroup(group.id)} />
              </div>
            ))}
          </section>
        ) : null}
        <section aria-label="Notes" className="ports">
          <h3 className="h-sec">Notes</h3>
          {notes.map((note) => (
            <label key={note.id} className="note-edit">
              <span className="vh">Note {note.id}</span>
              <textarea
                className="input"
                rows={3}
                value={note.text}
                onChange={(event) =>
                  editor
                    .getState()
                    .apply(
                      { kind: 'set-notes', notes: notes.map((n) => (n.id === note.id ? { ...n, text: event.target.value } : n)) },
                      { label: 'edit note', gesture: `note ${note.id}` },
                    )
                }
                onBlur={() => editor.getState().endGesture()}
              />
              <IconButton
                icon="trash"
                size="sm"
                label="Delete this note"
                onClick={() =>
                  editor.getState().apply({ kind: 'set-notes', notes: notes.filter((n) => n.id !== note.id) }, { label: 'delete note' })
                }
              />
            </label>
          ))}
          <div>
            <Button
              icon="note"
              size="sm"
              onClick={() => {
                const { nodes: all } = editor.getState().document.layout
                const places = Object.values(all)
                actions.addNote({ x: Math.min(0, ...places.map((p) => p.x)), y: Math.max(0, ...places.map((p) => p.y)) + 256 })
              }}
            >
              Add a note
            </Button>
          </div>
        </section>
      </div>
    </>
  )
}

/** Widgets that only make sense together; alone each is a plain field. */
const PARTS_OF_GRID = new Set(['layers', 'patterns', 'parts'])

/** One exposed param, edited in place with its own widget. */
export function Exposed({ node, param, title }: { node: string; param: string; title: string }) {
  const { registry, editor } = useStores()
  const actions = useActions()
  const params = useEditor((s) => s.document.nodes[node]?.params)
  const def = useEditor((s) => defOf(s.document, registry, node))
  const inferred = useDerived((s) => s.nodes[node])
  const problems = useDerived(
    useShallow((s) => s.problems.filter((problem) => problem.node === node && problem.param?.split('.')[0] === param)),
  )
  const form = useMemo<FormContext | null>(
    () =>
      !params
        ? null
        : {
            node,
            params,
            inferred,
            problems,
            change: ({ set, unset }, label, going) =>
              editor
                .getState()
                .apply(
                  { kind: 'set-params', id: node, set, ...(unset && { unset }) },
                  { label, ...(going && { gesture: `${node} ${label}` }) },
                ),
            done: () => editor.getState().endGesture(),
            fix: actions.fix,
          },
    [node, params, inferred, problems, editor, actions],
  )
  const fields = useMemo(
    () =>
      def
        ? fieldsOf(def.params)
            .filter((f) => f.name === param)
            .map((f) => ({ ...f, title, advanced: false, ...(PARTS_OF_GRID.has(f.widget ?? '') && { widget: '' }) }))
        : [],
    [def, param, title],
  )
  if (!form || fields.length === 0) return <p className="err">This setting no longer exists.</p>
  return (
    <FormProvider value={form}>
      <ParamForm fields={fields} />
    </FormProvider>
  )
}
