'use client'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import Link from 'next/link'
import { useDeferredValue, useState } from 'react'
import { faultOf } from '../fault'
import { useTRPC } from '../trpc'
import { Button } from '../ui/button'
import { Dialog } from '../ui/dialog'
import { Search } from '../ui/field'
import { Notice } from '../ui/notice'
import { PageHeader } from '../ui/page-header'
import { Select } from '../ui/select'
import { ThemeSwitch } from '../ui/theme'
import { bytes, plural } from '../ui/words'
import { MOST_RUNS } from './compare'
import { compareHref } from './links'
import { RunList } from './run-list'

const ANY = '\u0001'

/** All runs of this installation, newest first: found again, compared, let go. */
export function RunsPage() {
  const trpc = useTRPC()
  const [search, setSearch] = useState('')
  const asked = useDeferredValue(search)
  const [tag, setTag] = useState<string | null>(null)
  const [chosen, setChosen] = useState<readonly string[]>([])
  const [discarding, setDiscarding] = useState(false)
  const { data: tags } = useQuery(trpc.runs.tags.queryOptions())
  const { data: disk } = useQuery({ ...trpc.runs.disk.queryOptions(), staleTime: 10_000 })
  const able = chosen.length >= 2 && chosen.length <= MOST_RUNS
  return (
    <div className="page">
      <PageHeader>
        <h1 className="font-semibold">Runs</h1>
        {disk ? (
          <span className="muted text-12 max-sm:hidden">
            {bytes(disk.bytes)} kept{disk.freeBytes === null ? '' : `, ${bytes(disk.freeBytes)} free on the disk`}
          </span>
        ) : null}
        <span className="ml-auto">
          <ThemeSwitch />
        </span>
      </PageHeader>
      <main className="mx-auto grid w-full max-w-[1240px] gap-3 p-5">
        <div className="row flex-wrap gap-2">
          <Search
            value={search}
            onValueChange={setSearch}
            label="Search by name, note, tag, pipeline, number or state"
            className="w-96 max-w-full"
          />
          {tags && tags.length > 0 ? (
            <Select
              label="Tag"
              className="w-40"
              value={tag ?? ANY}
              onValueChange={(next) => setTag(next === ANY ? null : next)}
              options={[
                { value: ANY, label: 'Any tag' },
                ...tags.map((one) => ({ value: one.tag, label: one.tag, note: plural(one.runs, 'run') })),
              ]}
            />
          ) : null}
          <span className="row ml-auto gap-2">
            {chosen.length > 0 ? <span className="muted num text-12">{plural(chosen.length, 'run')} ticked</span> : null}
            {able ? (
              <Button icon="compare-models" asChild>
                <Link href={compareHref(chosen)}>Compare</Link>
              </Button>
            ) : (
              <Button icon="compare-models" disabled title={`Tick two to ${MOST_RUNS} runs`}>
                Compare
              </Button>
            )}
            <Button icon="trash" disabled={chosen.length === 0} onClick={() => setDiscarding(true)}>
              Delete
            </Button>
          </span>
        </div>
        <RunList search={asked} tag={tag} chosen={chosen} onChoose={setChosen} />
      </main>
      <Discard
        ids={chosen}
        open={discarding}
        onOpenChange={setDiscarding}
        onDone={() => {
          setChosen([])
          setDiscarding(false)
        }}
      />
    </div>
  )
}

/** Says what it frees before it is done. */
function Discard({
  ids,
  open,
  onOpenChange,
  onDone,
}: {
  ids: readonly string[]
  open: boolean
  onOpenChange: (open: boolean) => void
  onDone: () => void
}) {
  const trpc = useTRPC()
  const queries = useQueryClient()
  const { data } = useQuery({ ...trpc.runs.held.queryOptions({ ids: [...ids] }), enabled: open && ids.length > 0 })
  const discard = useMutation(
    trpc.runs.discard.mutationOptions({
      onSuccess: () => {
        for (const key of [trpc.runs.list.queryKey(), trpc.runs.disk.queryKey(), trpc.runs.tags.queryKey()])
          void queries.invalidateQueries({ queryKey: key })
        onDone()
      },
    }),
  )
  return (
    <Dialog
      open={open}
      onOpenChange={onOpenChange}
      title={`Delete ${plural(ids.length, 'run')}?`}
      footer={
        <>
          <Button onClick={() => onOpenChange(false)}>Keep</Button>
          <Button variant="primary" icon="trash" disabled={discard.isPending} onClick={() => discard.mutate({ ids: [...ids] })}>
            {discard.isPending ? 'Deleting' : 'Delete'}
          </Button>
        </>
      }
    >
      <p>
        Their scores, curves, models and checkpoints go. What other runs reuse stays.{' '}
        {data ? `This frees ${bytes(data.bytes)} within a day.` : 'Counting what this frees.'}
      </p>
      {discard.error ? (
        <Notice tone="error" title="Not deleted" className="mt-3">
          {faultOf(discard.error).message} {faultOf(discard.error).fix}
        </Notice>
      ) : null}
    </Dialog>
  )
}
