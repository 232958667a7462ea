'use client'
/** All that is wrong or odd, in running order, each with its node, its field and its repair (UX-23, UX-86). */
import type { ReactElement } from 'react'
import type { Problem } from '../../nodes/_kit/problems'
import { own, titleOf } from '../../nodes/_kit/wires'
import { Icon } from '../ui/icon'
import { Popover } from '../ui/popover'
import { plural } from '../ui/words'
import { useActions } from './actions-context'
import { useDerived, useEditor, useStores, useView } from './context'

export function CheckPopover({ trigger }: { trigger: ReactElement }) {
  const { view } = useStores()
  const open = useView((s) => s.open === 'check')
  return (
    <Popover
      label="Problems"
      trigger={trigger}
      open={open}
      align="end"
      className="problems"
      onOpenChange={(next) => view.getState().set({ open: next ? 'check' : null, ...(next && { checked: true }) })}
    >
      <ProblemList />
    </Popover>
  )
}

function ProblemList() {
  const problems = useDerived((s) => s.problems)
  const unanswered = useDerived((s) => s.unanswered.length)
  const errors = problems.filter((p) => p.severity === 'error').length
  const remarks = problems.length - errors
  return (
    <>
      <div className="problems-head">
        <b>{problems.length === 0 ? 'Nothing to fix' : errors === 0 ? plural(remarks, 'remark') : plural(errors, 'problem')}</b>
        <span className="muted">
          {problems.length === 0
            ? unanswered > 0
              ? 'still looking into files and models'
              : 'this pipeline can run'
            : errors === 0
              ? 'it can run as it is'
              : remarks > 0
                ? `and ${plural(remarks, 'remark')}`
                : ''}
        </span>
        {problems.length > 0 ? (
          <span className="muted ml-auto">
            <kbd>F8</kbd> next
          </span>
        ) : null}
      </div>
      {problems.length > 0 ? (
        <ul className="problems-list">
          {problems.map((problem) => (
            <ProblemRow
              key={`${problem.node} ${problem.port ?? ''} ${problem.param ?? ''} ${problem.code} ${problem.message}`}
              problem={problem}
            />
          ))}
        </ul>
      ) : null}
    </>
  )
}

function ProblemRow({ problem }: { problem: Problem }) {
  const { registry, view } = useStores()
  const actions = useActions()
  const title = useEditor((s) => (problem.node === null ? 'Pipeline' : titleOf(s.document, registry, problem.node)))
  const field = useEditor((s) => {
    const def = problem.node === null ? undefined : own(registry, s.document.nodes[problem.node]?.type ?? '')
    const name = problem.param?.split('.')[0]
    const schema = name === undefined ? undefined : (def?.params.shape[name] as { meta?: () => { title?: string } | undefined } | undefined)
    return schema?.meta?.()?.title
  })
  const { fix } = problem
  return (
    <li className={problem.severity}>
      <Icon name={problem.severity === 'error' ? 'error' : 'warn'} />
      <div>
        <button
          type="button"
          className="where"
          onClick={() => {
            view.getState().set({ open: null })
            // After the popover has given the focus back to its button.
            setTimeout(() => actions.show(problem), 30)
          }}
        >
          {title}
          {field ? ` · ${field}` : ''}
        </button>
        <p>{problem.message}</p>
        {fix ? (
          <button type="button" className="btn sm" onClick={() => actions.fix(fix)}>
            {fix.label}
          </button>
        ) : null}
      </div>
    </li>
  )
}
