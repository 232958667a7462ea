'use client'
/** What a pipeline from elsewhere lacks here (UX-88, R-97, SEC-11): one list with a fix for each. Nothing was run or installed. */
import { useQuery } from '@tanstack/react-query'
import { type ReactNode, useMemo, useRef, useState } from 'react'
import type { Problem } from '../../nodes/_kit/problems'
import { titleOf } from '../../nodes/_kit/wires'
import { useDerived, useEditor, useStores } from '../canvas/context'
import { type Fault, faultOf } from '../fault'
import { useTRPC } from '../trpc'
import { Button } from '../ui/button'
import { Dialog } from '../ui/dialog'
import { Icon, type IconName } from '../ui/icon'
import { Notice } from '../ui/notice'
import { plural } from '../ui/words'
import { upload } from '../upload'

/** Problems that say that something is not here, as opposed to wrong settings. */
const isMissing = (problem: Problem): boolean =>
  problem.code === 'unknown-type' ||
  problem.code === 'newer-version' ||
  problem.code === 'source-missing' ||
  (problem.code === 'node' && /^(NOT_FOUND|PATH_REFUSED|ARTIFACT_MISSING|INVALID_PARAM|NOT_DOWNLOADED)$/.test(problem.detail ?? ''))

const bareName = (value: unknown) => (typeof value === 'string' ? (value.split(/[\\/]/).at(-1) ?? value) : '')

export function MissingDialog() {
  const [opened, setOpened] = useState(() => new URLSearchParams(window.location.search).get('opened'))
  const problems = useDerived((s) => s.problems)
  const name = useEditor((s) => s.name)
  const missing = useMemo(() => {
    const seen = new Set<string>()
    return problems.filter((problem) => {
      if (!isMissing(problem) || problem.node === null || seen.has(problem.node)) return false
      seen.add(problem.node)
      return true
    })
  }, [problems])
  const shown = opened !== null && missing.length > 0
  const close = () => setOpened(null)
  return (
    <Dialog
      open={shown}
      onOpenChange={(next) => !next && close()}
      title={`${name} needs ${plural(missing.length, 'thing')}`}
      description={`Opened from ${opened ?? ''}. Nothing was run or installed.`}
      size="lg"
      footer={
        <>
          <span className="muted text-12 mr-auto">It is a pipeline of its own. Everything can be fixed later, too.</span>
          <Button variant="primary" onClick={close}>
            Open with {missing.length} missing
          </Button>
        </>
      }
    >
      <ul className="missing">
        {missing.map((problem) => (
          <Missing key={problem.node} problem={problem} node={problem.node as string} />
        ))}
      </ul>
    </Dialog>
  )
}

function Missing({ problem, node }: { problem: Problem; node: string }) {
  const { editor, registry } = useStores()
  const document = useEditor((s) => s.document)
  const type = document.nodes[node]?.type ?? ''
  const title = titleOf(document, registry, node)
  const set = (params: Record<string, unknown>) =>
    editor.getState().apply({ kind: 'set-params', id: node, set: params }, { label: `choose for ${title}` })
  if (type === 'load-data') return <MissingData node={node} title={title} problem={problem} onChoose={(file) => set({ file })} />
  if (type === 'load-model') {
    const { fix } = problem
    return (
      <Row icon="load-model" name={bareName(document.nodes[node]?.params.model)} what={`Base model of ${title}. ${problem.message}`}>
        {fix?.kind === 'params' ? (
          <Button size="sm" onClick={() => set(fix.params)}>
            {fix.label}
          </Button>
        ) : (
          <span className="muted text-12">Fetched when it runs</span>
        )}
      </Row>
    )
  }
  const unknown = problem.code === 'unknown-type'
  return (
    <Row
      icon="question"
      name={type}
      mono
      what={unknown ? 'Not installed here. It stays on the canvas with its settings and wires; what follows it waits.' : problem.message}
    >
      <Button size="sm" onClick={() => editor.getState().apply({ kind: 'remove-nodes', ids: [node] }, { label: `remove ${title}` })}>
        Remove it
      </Button>
    </Row>
  )
}

function MissingData({
  node,
  title,
  problem,
  onChoose,
}: {
  node: string
  title: string
  problem: Problem
  onChoose: (file: string) => void
}) {
  const trpc = useTRPC()
  const wanted = bareName(useEditor((s) => s.document.nodes[node]?.params.file))
  const { data: uploads } = useQuery({ ...trpc.artifacts.uploads.queryOptions(), staleTime: 30_000 })
  const known = uploads?.find((one) => one.name === wanted)
  const input = useRef<HTMLInputElement>(null)
  const [fault, setFault] = useState<Fault | null>(null)
  const send = async (file: File) => {
    try {
      setFault(null)
      onChoose((await upload(file)).file)
    } catch (error) {
      setFault(typeof (error as Fault | null)?.message === 'string' && !(error instanceof Error) ? (error as Fault) : faultOf(error))
    }
  }
  return (
    <Row icon="table" name={wanted || 'Data'} what={`Data of ${title}. ${wanted ? 'It does not travel with the file.' : problem.message}`}>
      <Button size="sm" onClick={() => input.current?.click()}>
        Choose a file…
      </Button>
      {known ? (
        <Button size="sm" onClick={() => onChoose(`upload:${known.digest}/${known.name}`)}>
          Use {known.name}
        </Button>
      ) : null}
      <input
        ref={input}
        type="file"
        className="hidden"
        tabIndex={-1}
        aria-label={`Data for ${title}`}
        accept=".jsonl,.json,.csv,.tsv,.txt,.parquet"
        onChange={(event) => {
          const file = event.target.files?.[0]
          event.target.value = ''
          if (file) void send(file)
        }}
      />
      {fault ? (
        <Notice tone="error" title={fault.message}>
          {fault.fix}
        </Notice>
      ) : null}
    </Row>
  )
}

function Row({ icon, name, mono, what, children }: { icon: IconName; name: string; mono?: boolean; what: string; children: ReactNode }) {
  return (
    <li>
      <Icon name={icon} />
      <div>
        <b className={mono ? 'mono' : ''}>{name}</b>
        <p className="text-12 text-ink-2">{what}</p>
      </div>
      <span className="row gap-2">{children}</span>
    </li>
  )
}
