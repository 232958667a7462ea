'use client'
/**
 * The pipeline as a plain form (UX-14): its exposed settings one below the other, Run, and the run panel below, over the same document. It
 * scrolls and zooms with the browser, and the way back stands at its top.
 */
import { useEffect, useRef } from 'react'
import { useShallow } from 'zustand/react/shallow'
import { titleOf } from '../../nodes/_kit/wires'
import { Button } from '../ui/button'
import { Icon } from '../ui/icon'
import { Empty, Notice } from '../ui/notice'
import { plural } from '../ui/words'
import { useActions } from './actions-context'
import { useDerived, useEditor, useStores } from './context'
import { Exposed } from './pipeline-settings'
import { useRunLink } from './run-link'

export function FormView({ plan }: { plan: string | null }) {
  const { registry, view } = useStores()
  const actions = useActions()
  const link = useRunLink()
  const name = useEditor((s) => s.name)
  const inputs = useEditor((s) => s.document.inputs)
  const titles = useEditor(useShallow((s) => s.document.inputs.map((input) => titleOf(s.document, registry, input.node))))
  const errors = useDerived(useShallow((s) => s.problems.filter((problem) => problem.severity === 'error')))
  const back = useRef<HTMLButtonElement>(null)
  useEffect(() => back.current?.focus(), [])
  const close = () => view.getState().set({ form: false })
  return (
    <section className="large formview" aria-label={`${name} as a form`}>
      <div className="large-head">
        <button ref={back} type="button" className="btn ghost" onClick={close}>
          <Icon name="left" />
          Canvas <kbd>Esc</kbd>
        </button>
        <span className="sep" />
        <h2>{name}</h2>
      </div>
      {inputs.length === 0 ? (
        <Empty framed icon="sliders" title="No setting is exposed yet" action={<Button onClick={close}>Back to the canvas</Button>}>
          The menu of a node has “Exposed settings”. What is ticked there stands here, for people who want the result and not the canvas.
        </Empty>
      ) : (
        <div className="card formcard">
          {inputs.map((input, i) => (
            <div key={input.id} className="exposed">
              <p className="muted text-12">{titles[i]}</p>
              <Exposed node={input.node} param={input.param} title={input.title} />
              {input.help ? <p className="help">{input.help}</p> : null}
            </div>
          ))}
        </div>
      )}
      {errors.length > 0 ? (
        <Notice
          tone="error"
          title={errors.length === 1 ? (errors[0]?.message ?? '') : `${plural(errors.length, 'problem')} to mend before it can run`}
          actions={
            <Button
              size="sm"
              onClick={() => {
                close()
                actions.nextProblem(1)
              }}
            >
              Show it on the canvas
            </Button>
          }
        />
      ) : null}
      <div className="row">
        <Button variant="primary" size="lg" icon="play" disabled={link.active} onClick={() => link.start({ kind: 'all' })}>
          {link.active ? 'Running' : 'Run'}
        </Button>
        <span className="muted">{link.active ? 'What it does is told below.' : plan}</span>
      </div>
    </section>
  )
}
