'use client'
/** What a run will do, node by node, and why, before it starts (UX-55, UX-56). Causes first; everything else follows from them. */
import { useState } from 'react'
import { useShallow } from 'zustand/react/shallow'
import type { Plan, PlanNode } from '../../nodes/_kit/plan'
import { own } from '../../nodes/_kit/wires'
import { Button } from '../ui/button'
import { Dialog } from '../ui/dialog'
import { Icon, type IconName } from '../ui/icon'
import { Notice } from '../ui/notice'
import { Segmented } from '../ui/toggles'
import { about, bytes, plural } from '../ui/words'
import { useActions } from './actions-context'
import { useDerived, useEditor, useStores, useView } from './context'
import type { RunTarget } from './run-link'
import { usePlan } from './use-plan'
import { type RunControl, targetOf } from './use-run'

const ACTION: Record<PlanNode['action'], { icon: IconName; word: string }> = {
  reuse: { icon: 'history', word: 'Reuse' },
  run: { icon: 'play', word: 'Run' },
  continue: { icon: 'extend', word: 'Continue' },
  blocked: { icon: 'close', word: 'Blocked' },
}

export function PlanSheet({ pipelineId, control, asked }: { pipelineId: string; control: RunControl; asked: RunTarget | null }) {
  const { view } = useStores()
  const open = useView((s) => s.open === 'plan')
  if (!open) return null
  return (
    <Sheet pipelineId={pipelineId} control={control} asked={asked ?? { kind: 'all' }} onClose={() => view.getState().set({ open: null })} />
  )
}

function Sheet({
  pipelineId,
  control,
  asked,
  onClose,
}: {
  pipelineId: string
  control: RunControl
  asked: RunTarget
  onClose: () => void
}) {
  const selected = useEditor(useShallow((s) => s.selection.nodes))
  const [target, setTarget] = useState<RunTarget>(asked)
  const { data: plan, error, isFetching } = usePlan(pipelineId, targetOf(target))
  const warnings = useDerived(useShallow((s) => s.problems.filter((p) => p.severity === 'warning' && p.code !== 'unused-output')))
  const actions = useActions()
  const working = plan ? plan.summary.run + plan.summary.continue : 0
  return (
    <Dialog
      open
      onOpenChange={(next) => !next && onClose()}
      title="Run plan"
      {...(plan ? { description: plan.summary.text } : {})}
      size="xl"
      footer={
        <>
          <Button className="ml-auto" onClick={onClose}>
            Close
          </Button>
          <Button
            variant="primary"
            icon="play"
            disabled={!plan || working === 0 || control.active || control.starting}
            onClick={() => control.startAnyway(target)}
          >
            {working === 0 ? 'Nothing to run' : `Run ${plural(working, 'node')}`}
          </Button>
        </>
      }
    >
      <div className="plan">
        <div className="row">
          <Segmented
            label="What to run"
            value={target.kind}
            onValueChange={(kind) =>
              setTarget(kind === 'all' ? { kind } : kind === 'to' ? { kind, node: selected[0] ?? '' } : { kind, nodes: selected })
            }
            items={[
              { value: 'all', label: 'All' },
              { value: 'to', label: 'To the selected node', disabled: selected.length !== 1 },
              { value: 'only', label: 'Selected', disabled: selected.length === 0 },
            ]}
          />
          {isFetching ? <span className="muted">Working it out…</span> : null}
        </div>
        {error ? (
          <Notice tone="error" title="The plan could not be made">
            {error.message}
          </Notice>
        ) : null}
        {warnings.map((problem) => (
          <Notice
            key={`${problem.node} ${problem.message}`}
            tone="warning"
            title={problem.message}
            {...(problem.fix
              ? {
                  actions: (
                    <Button size="sm" onClick={() => problem.fix && actions.fix(problem.fix)}>
                      {problem.fix.label}
                    </Button>
                  ),
                }
              : {})}
          />
        ))}
        {plan ? <Rows plan={plan} /> : null}
      </div>
    </Dialog>
  )
}

function Rows({ plan }: { plan: Plan }) {
  const { registry } = useStores()
  const { summary } = plan
  return (
    <>
      <dl className="plan-sum">
        <Sum
          label="Nodes"
          value={String(summary.run + summary.continue)}
          note={[`run`, summary.reuse > 0 && `${summary.reuse} reused`, summary.blocked > 0 && `${summary.blocked} blocked`]
            .filter(Boolean)
            .join(', ')}
        />
        <Sum
          label="Time"
          value={summary.seconds > 0 ? about(summary.seconds).replace(/^about /, '') : '–'}
          note={summary.seconds > 0 ? 'about' : ''}
          before
        />
        <Sum label="Memory, most at once" value={summary.memoryBytes > 0 ? bytes(summary.memoryBytes) : '–'} note="" />
        <Sum
          label="Writes"
          value={summary.diskBytes > 0 ? bytes(summary.diskBytes) : '–'}
          note={summary.diskBytes > 0 ? 'about' : ''}
          before
        />
      </dl>
      <table className="tbl plan-tbl">
        <thead>
          <tr>
            <th scope="col">Node</th>
            <th scope="col">Plan</th>
            <th scope="col">Why</th>
            <th scope="col" className="r">
              About
            </th>
            <th scope="col" className="r">
              Memory
            </th>
          </tr>
        </thead>
        <tbody>
          {plan.nodes.map((node) => (
            <tr key={node.node} className={`a-${node.action}`}>
              <th scope="row">
                <span className="row">
                  <Icon name={own(registry, node.type)?.icon ?? 'question'} />
                  {node.title}
                </span>
              </th>
              <td>
                <span className="row">
                  <Icon name={ACTION[node.action].icon} size={14} />
                  {ACTION[node.action].word}
                </span>
              </td>
              <td>{node.reasons.map((reason) => reason.text).join(' ')}</td>
              <td className="r">
                {node.cost && node.action !== 'reuse' && node.action !== 'blocked' ? about(node.cost.seconds).replace('about ', '') : ''}
              </td>
              <td className="r">
                {node.cost && node.cost.memoryBytes > 0 && node.action !== 'reuse' && node.action !== 'blocked'
                  ? bytes(node.cost.memoryBytes)
                  : ''}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {plan.absent.disabled.length + plan.absent.outside.length > 0 ? (
        <p className="help">
          {[
            plan.absent.outside.length > 0 && `${plural(plan.absent.outside.length, 'node')} outside of what is asked for`,
            plan.absent.disabled.length > 0 && `${plan.absent.disabled.length} disabled`,
          ]
            .filter(Boolean)
            .join(', ')}
          .
        </p>
      ) : null}
    </>
  )
}

function Sum({ label, value, note, before = false }: { label: string; value: string; note: string; before?: boolean }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>
        {before && note ? <span className="muted">{note} </span> : null}
        <b>{value}</b>
        {!before && note ? <span className="muted"> {note}</span> : null}
      </dd>
    </div>
  )
}
