// biome-ignore-all lint/a11y/useSemanticElements: a named group of controls inside a labelled field; a fieldset would bring a second legend
'use client'
/** Where a model comes from: one that ships with Thaw (with size and licence), a folder or GGUF file, or the Hub. */
import { useQuery } from '@tanstack/react-query'
import { useId, useState } from 'react'
import type { Fact } from '../../nodes/_kit/facts'
import { countAll } from '../../nodes/_kit/freeze'
import { useTRPC } from '../trpc'
import { Input } from '../ui/field'
import { Icon } from '../ui/icon'
import { Segmented } from '../ui/toggles'
import { bytes, short } from '../ui/words'
import { useForm } from './form-context'
import type { WidgetProps } from './param-form'

const BUILTIN = ['builtin:smollm2-135m-instruct', 'builtin:thaw-tiny'] as const
const SENTENCE: Record<(typeof BUILTIN)[number], string> = {
  'builtin:smollm2-135m-instruct': 'Small enough to train on a laptop, large enough to learn a real task.',
  'builtin:thaw-tiny': 'Trains in seconds: for a first look and for tests. It knows little.',
}
const TITLE: Record<(typeof BUILTIN)[number], string> = {
  'builtin:smollm2-135m-instruct': 'SmolLM2 135M Instruct',
  'builtin:thaw-tiny': 'Thaw Tiny',
}

type Kind = 'builtin' | 'path' | 'hub'
const kindOf = (source: string): Kind => (source.startsWith('builtin:') ? 'builtin' : source.startsWith('hub:') ? 'hub' : 'path')

export function ModelPicker({ field, value, ids, onChange }: WidgetProps) {
  const source = typeof value === 'string' ? value : ''
  const [kind, setKind] = useState<Kind>(kindOf(source))
  const { inferred } = useForm()
  const fact = inferred?.fact
  const choose = (next: Kind) => {
    setKind(next)
    if (next === 'builtin' && kindOf(source) !== 'builtin') onChange(BUILTIN[0])
  }
  return (
    <div
      className="picker"
      id={ids.id}
      role="group"
      aria-label={field.title}
      {...(ids.describedBy && { 'aria-describedby': ids.describedBy })}
    >
      <Segmented
        fill
        label="Where the model comes from"
        value={kind}
        onValueChange={choose}
        items={[
          { value: 'builtin', label: 'Built in' },
          { value: 'path', label: 'Folder, GGUF' },
          { value: 'hub', label: 'Hub' },
        ]}
      />
      {kind === 'builtin' ? <BuiltIn source={source} onChange={onChange} /> : null}
      {kind === 'path' ? (
        <SourceField
          key={source}
          label="Path of a model folder or .gguf file"
          placeholder="/models/my-model"
          value={kindOf(source) === 'path' ? source : ''}
          onTake={onChange}
        />
      ) : null}
      {kind === 'hub' ? (
        <SourceField
          key={source}
          label="Name on the Hugging Face Hub"
          placeholder="owner/name"
          value={source.startsWith('hub:') ? source.slice(4) : ''}
          onTake={(text) => onChange(text === '' ? '' : `hub:${text.replace(/^hub:/, '')}`)}
        />
      ) : null}
      {fact?.kind === 'model' && kind !== 'builtin' ? <ModelFacts fact={fact} /> : null}
    </div>
  )
}

function BuiltIn({ source, onChange }: { source: string; onChange: (value: string) => void }) {
  const trpc = useTRPC()
  const name = useId()
  const { data } = useQuery({
    ...trpc.facts.resolve.queryOptions({ requests: BUILTIN.map((id) => ({ kind: 'model' as const, source: id })) }),
    staleTime: 60_000,
  })
  return (
    <div className="cards" role="radiogroup" aria-label="Built-in models">
      {BUILTIN.map((id) => {
        const fact = data?.[`model:${id}`]
        return (
          <label key={id} className={source === id ? 'choice on' : 'choice'}>
            <input type="radio" name={name} className="vh" checked={source === id} onChange={() => onChange(id)} />
            <span className="dot" aria-hidden="true" />
            <span className="t">
              <b>{TITLE[id]}</b>
              <span>{SENTENCE[id]}</span>
              {fact?.kind === 'model' ? <Line fact={fact} /> : null}
            </span>
          </label>
        )
      })}
    </div>
  )
}

function Line({ fact }: { fact: Extract<Fact, { kind: 'model' }> }) {
  const { header } = fact
  return (
    <span className="muted">
      {short(countAll(header.parameters))} parameters · {header.blocks} blocks ·{' '}
      {header.downloaded ? bytes(header.sizeBytes) : `${bytes(header.sizeBytes)} to download`}
      {header.license ? ` · ${header.license}` : ''}
    </span>
  )
}

function ModelFacts({ fact }: { fact: Extract<Fact, { kind: 'model' }> }) {
  return (
    <p className="found">
      <Icon name="check" size={14} />
      <span>
        <b>{fact.header.name}</b> <Line fact={fact} />
      </span>
    </p>
  )
}

/** A path or name: taken on Enter or when the field is left, since each half-typed name would be looked up. */
export function SourceField({
  label,
  placeholder,
  value,
  onTake,
}: {
  label: string
  placeholder: string
  value: string
  onTake: (text: string) => void
}) {
  const [draft, setDraft] = useState(value)
  const take = () => {
    if (draft.trim() !== value) onTake(draft.trim())
  }
  return (
    <Input
      mono
      aria-label={label}
      placeholder={placeholder}
      value={draft}
      onChange={(event) => setDraft(event.target.value)}
      onBlur={take}
      onKeyDown={(event) => {
        if (event.key === 'Enter') take()
      }}
    />
  )
}
