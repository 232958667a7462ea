'use client'
import { Button, IconButton } from '../ui/button'
import { Menu } from '../ui/menu'
import type { RunActions } from './actions'
import type { RunState } from './reduce'

/** Stop with its two ways, or Resume where there is something to go on from (UX-69, UX-73). */
export function RunButtons({ run, actions, size = 'sm' }: { run: RunState; actions: RunActions; size?: 'sm' | 'md' }) {
  if (run.status === 'queued' || run.status === 'running') {
    const asked = run.wanted !== null
    return (
      <span className="split">
        <Button size={size} icon="stop" disabled={asked || actions.busy} onClick={() => actions.stop('keep')}>
          {asked ? 'Stopping' : 'Stop and keep checkpoint'}
        </Button>
        <Menu
          align="end"
          label="Ways to stop"
          trigger={<IconButton icon="down" label="Ways to stop" variant="secondary" size={size} tip={false} />}
          items={[
            {
              label: 'Stop and keep checkpoint',
              icon: 'stop',
              note: 'After the step in progress; the model of that step can be used',
              disabled: asked,
              onSelect: () => actions.stop('keep'),
            },
            { label: 'Stop now', icon: 'close', note: 'At once; back to the last checkpoint', onSelect: () => actions.stop('now') },
          ]}
        />
      </span>
    )
  }
  if (run.status === 'paused' || run.status === 'stopped' || run.status === 'failed') {
    return (
      <Button size={size} icon="reset" disabled={actions.busy} onClick={() => actions.resume()}>
        {actions.busy ? 'Resuming' : resumeWords(run)}
      </Button>
    )
  }
  return null
}

/** "Resume from step 36": the newest checkpoint of a node that did not finish. */
export function resumeWords(run: RunState): string {
  const step = resumeStep(run)
  return step === null ? 'Resume' : `Resume from step ${step.toLocaleString('en-US')}`
}

export function resumeStep(run: RunState): number | null {
  const open = Object.values(run.nodes).filter((node) => node.status === 'failed' || node.status === 'stopped' || node.status === 'paused')
  return open.flatMap((node) => node.checkpoints.at(-1)?.step ?? []).at(0) ?? null
}
