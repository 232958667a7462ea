/** What a person sees while a run goes on: a line per node, and on a terminal one line that changes. With --json: events as lines, nothing else. */
import type { Plan } from '../nodes/_kit/plan'
import { secondsText } from '../nodes/_kit/plan-text'
import type { FeedEvent } from '../server/local'

export type Events = {
  event(event: FeedEvent): void
  /** A remark of our own. */
  note(text: string): void
  end(): void
}

type NodeData = { status: string; error?: { message: string }; reason?: { code: string; message?: string; run?: number } }
const WORDS: Record<string, string> = {
  done: 'done',
  reused: 'reused',
  failed: 'failed',
  stopped: 'stopped',
  skipped: 'skipped',
  cancelled: 'cancelled',
  paused: 'paused',
}

export function openProgress({ json, print, plan }: { json: boolean; print: (line: string) => void; plan: Plan }): Events {
  const terminal = !json && process.stderr.isTTY === true
  const titles = new Map(plan.nodes.map((node) => [node.node, node.title]))
  const began = new Map<string, number>()
  const losses = new Map<string, number>()
  let shown = false
  const clear = () => {
    if (shown) process.stderr.write('\r\u001b[K')
    shown = false
  }
  const line = (text: string) => {
    clear()
    print(text)
  }
  const title = (node: string) => titles.get(node) ?? node

  function node(id: string, data: NodeData): void {
    if (data.status === 'running' && data.reason === undefined) {
      began.set(id, Date.now())
      line(`${title(id)} …`)
    } else if (data.reason?.code === 'lost') line(`${title(id)}: its process died; trying again from the last checkpoint.`)
    else if (data.reason?.code === 'transient') line(`${title(id)}: ${data.error?.message ?? 'failed'} Trying again soon.`)
    else if (data.reason?.code === 'not-responding') line(`${title(id)} is not responding.`)
    const word = WORDS[data.status]
    if (!word) return
    const from = began.get(id)
    const after = from === undefined ? '' : ` (${secondsText((Date.now() - from) / 1_000)})`
    line(`${title(id)} ${word}${data.status === 'done' ? after : ''}${data.error ? `: ${data.error.message}` : ''}`)
  }

  return {
    event(event) {
      if (json) {
        print(JSON.stringify({ type: 'event', seq: event.seq, node: event.node, kind: event.kind, data: event.data }))
        return
      }
      const id = event.node ?? ''
      switch (event.kind) {
        case 'node':
          node(id, event.data as NodeData)
          return
        case 'metric': {
          const loss = (event.data as { points: { loss?: number }[] }).points.findLast((point) => point.loss !== undefined)?.loss
          if (loss !== undefined) losses.set(id, loss)
          return
        }
        case 'log':
          for (const { level, text } of (event.data as { lines: { level: string; text: string }[] }).lines) {
            if (level !== 'info') line(`${title(id)}: ${text}`)
          }
          return
        case 'progress': {
          if (!terminal) return
          const { done, total, unit, etaSeconds } = event.data as { done: number; total: number; unit: string; etaSeconds: number | null }
          const loss = losses.get(id)
          const count = unit === 'bytes' ? `${Math.round(done / 1e6)}/${Math.round(total / 1e6)} MB` : `${unit} ${done}/${total}`
          const parts = [`${title(id)}  ${count}`]
          if (loss !== undefined) parts.push(`loss ${loss.toFixed(3)}`)
          if (etaSeconds !== null) parts.push(`${secondsText(etaSeconds)} left`)
          clear()
          process.stderr.write(parts.join(' · ').slice(0, Math.max(20, (process.stderr.columns ?? 80) - 1)))
          shown = true
        }
      }
    },
    note(text) {
      clear()
      process.stderr.write(`${text}\n`)
    },
    end: clear,
  }
}
