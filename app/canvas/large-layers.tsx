'use client'
/** The freeze grid in large, in place of the canvas (D-31, UX-42): input left, output right, with what the choice costs in figures. */
import { useEffect, useMemo, useRef } from 'react'
import { useShallow } from 'zustand/react/shallow'
import { defOf, titleOf } from '../../nodes/_kit/wires'
import { type FormContext, FormProvider } from '../forms/form-context'
import { LayerGrid } from '../forms/layer-grid'
import { ChoiceDetail, layerCosts, ModeField, useLayers } from '../forms/layer-panel'
import { type Field, fieldsOf } from '../forms/schema'
import { Icon } from '../ui/icon'
import { bytes, percent, short } from '../ui/words'
import { useActions } from './actions-context'
import { useDerived, useEditor, useStores } from './context'

export function LargeLayers({ node }: { node: string }) {
  const { registry, editor } = useStores()
  const actions = useActions()
  const params = useEditor((s) => s.document.nodes[node]?.params)
  const def = useEditor((s) => defOf(s.document, registry, node))
  const title = useEditor((s) => titleOf(s.document, registry, node))
  const inferred = useDerived((s) => s.nodes[node])
  const problems = useDerived(useShallow((s) => s.problems.filter((problem) => problem.node === node)))
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
  if (!def || !form) return null
  return (
    <FormProvider value={form}>
      <Body title={title} fields={fieldsOf(def.params)} />
    </FormProvider>
  )
}

function Body({ title, fields }: { title: string; fields: readonly Field[] }) {
  const { view } = useStores()
  const layers = useLayers(fields)
  const { model, grid, cells, mark, done, open, choice } = layers
  const costs = useMemo(() => (model ? layerCosts(model, open, choice) : null), [model, open, choice])
  const back = useRef<HTMLButtonElement>(null)
  useEffect(() => back.current?.focus(), [])
  return (
    <section className="large" aria-label={`Layers of ${title}`}>
      <div className="large-head">
        <button ref={back} type="button" className="btn ghost" onClick={() => view.getState().set({ large: null })}>
          <Icon name="left" />
          Canvas <kbd>Esc</kbd>
        </button>
        <span className="sep" />
        <Icon name="freeze-layers" />
        <h2>{title}</h2>
        {model ? <span className="muted">{model.name}</span> : null}
        <div className="large-choice">
          <ModeField layers={layers} />
        </div>
      </div>
      {grid && model && costs ? (
        <>
          <dl className="figures card">
            <Figure
              label="Trainable"
              value={short(costs.trainable)}
              note={`${percent(costs.share, 1)} of ${short(costs.all)}`}
              tone="thaw"
            />
            <Figure label="Frozen" value={short(costs.all - costs.trainable)} note="bit-identical after training" tone="ice" />
            <Figure label="Gradients and optimizer" value={bytes(costs.optimizer)} note={`all blocks: ${bytes(costs.optimizerAll)}`} />
            <Figure label="Work per token" value={costs.work === null ? '–' : percent(costs.work)} note="of training all blocks" />
          </dl>
          <section className="card large-grid" aria-label="The layers in large">
            <div className="row">
              <h3 className="h-sec">Which layers may change</h3>
              <span className="legend">
                <span>
                  <i className="key f" />
                  Frozen
                </span>
                <span>
                  <i className="key t" />
                  Trainable
                </span>
              </span>
              <span className="muted ml-auto text-12">
                Click or drag to switch · <kbd>←</kbd> <kbd>→</kbd> move · <kbd>Space</kbd> switch · <kbd>⇧</kbd> whole block
              </span>
            </div>
            <LayerGrid flat grid={grid} open={cells} onMark={mark} onDone={done} disabled={false} />
          </section>
          <section className="card large-detail" aria-label="The choice in words">
            <ChoiceDetail layers={layers} />
          </section>
          <section className="card large-names" aria-label="Resolved names">
            <h3 className="h-sec">
              Resolved names <span className="count">{open.size}</span>
            </h3>
            <ul>
              {model.parameters
                .filter((p) => open.has(p.name))
                .map((p) => (
                  <li key={p.name}>
                    <code>{p.name}</code>
                    <span className="muted">{p.shape.reduce((a, b) => a * b, 1).toLocaleString('en-US')}</span>
                  </li>
                ))}
            </ul>
          </section>
        </>
      ) : (
        <p className="help framed">Wire a model in to see and mark its layers.</p>
      )}
    </section>
  )
}

const Figure = ({ label, value, note, tone }: { label: string; value: string; note: string; tone?: 'ice' | 'thaw' }) => (
  <div>
    <dt>{label}</dt>
    <dd>
      <b className={tone ? `${tone}-t` : ''}>{value}</b>
      <span>{note}</span>
    </dd>
  </div>
)
