'use client'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { faultOf } from '../fault'
import { useTRPC } from '../trpc'
import { Button } from '../ui/button'
import { Field, Input, Textarea } from '../ui/field'
import { Notice } from '../ui/notice'
import { Tag } from '../ui/tag'
import type { Snapshot } from './live'

/** Name, note and tags: what a person will look for in a month. */
export function RunLabels({ run }: { run: Snapshot['run'] }) {
  const trpc = useTRPC()
  const queries = useQueryClient()
  const [editing, setEditing] = useState(false)
  const [name, setName] = useState(run.name ?? '')
  const [note, setNote] = useState(run.note)
  const [tags, setTags] = useState(run.tags.join(', '))
  const save = useMutation(
    trpc.runs.describe.mutationOptions({
      onSuccess: async () => {
        setEditing(false)
        for (const key of [trpc.runs.get.queryKey({ id: run.id }), trpc.runs.list.queryKey(), trpc.runs.tags.queryKey()])
          void queries.invalidateQueries({ queryKey: key })
      },
    }),
  )
  const list = [
    ...new Set(
      tags
        .split(',')
        .map((tag) => tag.trim())
        .filter(Boolean),
    ),
  ]
  if (!editing) {
    const blank = !run.name && run.note === '' && run.tags.length === 0
    return (
      <section className="card pcard" aria-label="Name, note and tags">
        <div className="row items-start">
          <div className="min-w-0">
            {blank ? <p className="muted">No name, note or tags.</p> : null}
            {run.name ? <p className="font-semibold">{run.name}</p> : null}
            {run.note ? <p className="whitespace-pre-wrap">{run.note}</p> : null}
            {run.tags.length > 0 ? (
              <p className="row mt-1 flex-wrap gap-1">
                {run.tags.map((tag) => (
                  <Tag key={tag}>{tag}</Tag>
                ))}
              </p>
            ) : null}
          </div>
          <Button size="sm" icon="note" className="ml-auto" onClick={() => setEditing(true)}>
            {blank ? 'Describe' : 'Edit'}
          </Button>
        </div>
      </section>
    )
  }
  return (
    <form
      className="card pcard form"
      aria-label="Name, note and tags"
      onSubmit={(event) => {
        event.preventDefault()
        save.mutate({ id: run.id, name: name.trim() || null, note, tags: list })
      }}
    >
      <Field label="Name">
        {(ids) => <Input {...ids} value={name} maxLength={200} onChange={(event) => setName(event.target.value)} />}
      </Field>
      <Field label="Note">
        {(ids) => <Textarea {...ids} rows={3} value={note} maxLength={10_000} onChange={(event) => setNote(event.target.value)} />}
      </Field>
      <Field label="Tags" help="Words with commas between them, at most 20.">
        {(ids) => <Input {...ids} value={tags} onChange={(event) => setTags(event.target.value)} />}
      </Field>
      {save.error ? (
        <Notice tone="error" title="Not saved">
          {faultOf(save.error).message}
        </Notice>
      ) : null}
      <div className="row gap-2">
        <Button type="submit" variant="primary" disabled={save.isPending}>
          Save
        </Button>
        <Button onClick={() => setEditing(false)}>Leave as it was</Button>
      </div>
    </form>
  )
}
