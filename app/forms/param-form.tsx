// biome-ignore-all lint/a11y/useSemanticElements: a named group of controls inside a labelled field; a fieldset would bring a second legend
'use client'
/**
 * The form of a node, generated from its params schema (UX-40): one table from shapes to widgets, and a second for fields that ask for a
 * widget by name. A node needs no code here.
 */
import { type ReactNode, useEffect, useId, useRef, useState } from 'react'
import type { Problem } from '../../nodes/_kit/problems'
import { Field as FieldFrame, type FieldIds, Input, Textarea } from '../ui/field'
import { Icon } from '../ui/icon'
import { Select } from '../ui/select'
import { Checkbox, Segmented, Switch } from '../ui/toggles'
import { FilePicker } from './file-picker'
import { useForm } from './form-context'
import { LayerPanel } from './layer-panel'
import { indexesText, parseIndexes, parseLines } from './list-text'
import { ModelPicker } from './model-picker'
import { NumberField } from './number-field'
import { numberText } from './number-text'
import { blankOf, type Field, isShown, shownValue, variantValue } from './schema'

export type WidgetProps = {
  field: Field
  value: unknown
  resolved: unknown
  ids: FieldIds
  onChange: (value: unknown, going?: boolean) => void
  onDone: () => void
  onUnreadable: (text: string | null) => void
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : value === undefined || value === null ? '' : String(value))

/** Fields that ask for a widget of their own. */
const BY_NAME: Readonly<Record<string, (props: WidgetProps) => ReactNode>> = {
  model: (props) => <ModelPicker {...props} />,
  file: (props) => <FilePicker {...props} />,
  column: (props) => <ColumnPicker {...props} />,
  text: ({ value, ids, onChange, onDone }) => (
    <Textarea id={ids.id} rows={3} value={textOf(value)} {...idsOf(ids)} onChange={(e) => onChange(e.target.value, true)} onBlur={onDone} />
  ),
  secret: ({ value, ids, onChange, onDone }) => (
    <Input
      id={ids.id}
      type="password"
      autoComplete="off"
      value={textOf(value)}
      {...idsOf(ids)}
      onChange={(e) => onChange(e.target.value, true)}
      onBlur={onDone}
    />
  ),
}

const idsOf = (ids: FieldIds) => ({ ...(ids.describedBy && { describedBy: ids.describedBy }), ...(ids.invalid && { invalid: true }) })

function Widget(props: WidgetProps): ReactNode {
  const { field, value, resolved, ids, onChange, onDone, onUnreadable } = props
  const { shape } = field
  const named = field.widget === undefined ? undefined : BY_NAME[field.widget]
  if (named) return named(props)
  switch (shape.kind) {
    case 'number':
      return (
        <NumberField
          field={field}
          shape={shape}
          value={value}
          resolved={resolved}
          ids={ids}
          onChange={onChange}
          onDone={onDone}
          onUnreadable={onUnreadable}
        />
      )
    case 'text':
      return <Input id={ids.id} value={textOf(value)} {...idsOf(ids)} onChange={(e) => onChange(e.target.value, true)} onBlur={onDone} />
    case 'choice': {
      const options = [...(field.auto ? [{ value: 'auto' as const, title: field.labels?.auto ?? 'Automatic' }] : []), ...shape.options]
      const said = (option: (typeof options)[number]) => {
        const meant = option.value === 'auto' ? shape.options.find((o) => o.value === resolved) : undefined
        return meant ? `${option.title}: ${meant.title}` : option.title
      }
      const choose = (text: string) => onChange(options.find((o) => String(o.value) === text)?.value ?? text)
      // Short and few are better seen at once; the segments have no room for more.
      if (options.length <= 4 && options.reduce((sum, o) => sum + said(o).length + 3, 0) <= 40)
        return (
          <Segmented
            fill
            id={ids.id}
            label={field.title}
            value={String(value)}
            onValueChange={choose}
            items={options.map((o) => ({ value: String(o.value), label: said(o) }))}
          />
        )
      return (
        <Select
          id={ids.id}
          value={String(value)}
          {...idsOf(ids)}
          onValueChange={choose}
          options={options.map((o) => ({ value: String(o.value), label: said(o) }))}
        />
      )
    }
    case 'flag':
      // Left to the plan or set: three answers, so no switch.
      return (
        <Segmented
          fill
          id={ids.id}
          label={field.title}
          value={value === true ? 'true' : value === false ? 'false' : 'auto'}
          onValueChange={(next) => onChange(next === 'auto' ? 'auto' : next === 'true')}
          items={(['auto', 'true', 'false'] as const).map((option) => ({
            value: option,
            label: field.labels?.[option] ?? { auto: 'Automatic', true: 'On', false: 'Off' }[option],
          }))}
        />
      )
    case 'choices': {
      const chosen = Array.isArray(value) ? value : []
      return (
        <div className="checks" role="group" id={ids.id} aria-label={field.title}>
          {shape.options.map((option) => (
            <Checkbox
              key={String(option.value)}
              checked={chosen.includes(option.value)}
              onCheckedChange={(on) =>
                onChange(shape.options.map((o) => o.value).filter((v) => (v === option.value ? on : chosen.includes(v))))
              }
            >
              {option.title}
            </Checkbox>
          ))}
        </div>
      )
    }
    case 'list':
      if (shape.item.kind === 'number' && shape.item.integer) return <IndexField {...props} />
      if (shape.item.kind === 'text') return <LinesField {...props} />
      return <JsonField {...props} />
    case 'tuple': {
      const parts = Array.isArray(value) ? value : shape.items.map(blankOf)
      return (
        <div className="tuple">
          {shape.items.map((item, i) => (
            <Widget
              key={item.name}
              field={{ ...item, title: `${field.title} ${i + 1}` }}
              value={parts[i]}
              resolved={undefined}
              ids={i === 0 ? ids : { id: `${ids.id}-${i}` }}
              onChange={(next, going) => onChange(parts.with(i, next), going)}
              onDone={onDone}
              onUnreadable={onUnreadable}
            />
          ))}
        </div>
      )
    }
    case 'group':
      return <Nested fields={shape.fields} value={value} onChange={onChange} onDone={onDone} />
    case 'variants': {
      const record = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
      const chosen = shape.variants.find((variant) => variant.value === record[shape.key])
      return (
        <>
          <Select
            id={ids.id}
            value={chosen?.value}
            {...idsOf(ids)}
            options={shape.variants.map((variant) => ({ value: variant.value, label: variant.title }))}
            onValueChange={(next) => {
              const variant = shape.variants.find((v) => v.value === next)
              if (variant) onChange(variantValue(shape.key, variant))
            }}
          />
          {chosen && chosen.fields.length > 0 ? <Nested fields={chosen.fields} value={record} onChange={onChange} onDone={onDone} /> : null}
        </>
      )
    }
    case 'json':
      return <JsonField {...props} />
  }
}

/** Fields inside a field: values are kept in one object. */
function Nested({
  fields,
  value,
  onChange,
  onDone,
}: {
  fields: readonly Field[]
  value: unknown
  onChange: WidgetProps['onChange']
  onDone: () => void
}) {
  const record = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  return (
    <div className="nested">
      {fields.map((field) => (
        <FieldFrame key={field.name} label={field.title} help={field.description || undefined}>
          {(ids) => (
            <Widget
              field={field}
              value={shownValue(field, record)}
              resolved={undefined}
              ids={ids}
              onChange={(next, going) => onChange({ ...record, [field.name]: next }, going)}
              onDone={onDone}
              onUnreadable={() => undefined}
            />
          )}
        </FieldFrame>
      ))}
    </div>
  )
}

/** Text that is saved only while it can be read; what cannot is said at the field. */
function useDraft(saved: string, take: (text: string) => string | null, onUnreadable: (text: string | null) => void, onDone: () => void) {
  const [draft, setDraft] = useState<string | null>(null)
  return {
    value: draft ?? saved,
    onChange: (event: { target: { value: string } }) => {
      setDraft(event.target.value)
      onUnreadable(take(event.target.value))
    },
    onBlur: () => {
      setDraft(null)
      onUnreadable(null)
      onDone()
    },
  }
}

function IndexField({ value, ids, onChange, onDone, onUnreadable }: WidgetProps) {
  const numbers = Array.isArray(value) ? value.filter((n): n is number => typeof n === 'number') : []
  const draft = useDraft(
    indexesText(numbers),
    (text) => {
      const parsed = parseIndexes(text)
      if (parsed === null) return 'Write numbers and ranges, as in 0-3, 7.'
      onChange(parsed, true)
      return null
    },
    onUnreadable,
    onDone,
  )
  return <Input id={ids.id} placeholder="none" {...idsOf(ids)} {...draft} />
}

function LinesField({ value, ids, onChange, onDone, onUnreadable }: WidgetProps) {
  const lines = Array.isArray(value) ? value.filter((line): line is string => typeof line === 'string') : []
  const draft = useDraft(
    lines.join('\n'),
    (text) => {
      onChange(parseLines(text), true)
      return null
    },
    onUnreadable,
    onDone,
  )
  return <Textarea id={ids.id} mono rows={Math.max(2, Math.min(6, lines.length + 1))} placeholder="one a line" {...idsOf(ids)} {...draft} />
}

function JsonField({ value, ids, onChange, onDone, onUnreadable }: WidgetProps) {
  const draft = useDraft(
    value === undefined ? '' : JSON.stringify(value, null, 2),
    (text) => {
      try {
        onChange(JSON.parse(text), true)
        return null
      } catch (thrown) {
        return `This is not JSON: ${thrown instanceof Error ? thrown.message : String(thrown)}`
      }
    },
    onUnreadable,
    onDone,
  )
  return <Textarea id={ids.id} mono rows={4} {...idsOf(ids)} {...draft} />
}

/** A column of the data that is wired in, or that this node reads; free text while it is not known. */
function ColumnPicker({ value, ids, onChange, onDone }: WidgetProps) {
  const { inferred } = useForm()
  const known = columnsOf(inferred)
  if (known.length === 0)
    return (
      <Input
        id={ids.id}
        mono
        value={textOf(value)}
        placeholder="none"
        {...idsOf(ids)}
        onChange={(e) => onChange(e.target.value, true)}
        onBlur={onDone}
      />
    )
  const current = textOf(value)
  const options = [
    { value: '', label: 'None' },
    ...known.map((column) => ({ value: column, label: column })),
    ...(current !== '' && !known.includes(current) ? [{ value: current, label: `${current} (not in the data)` }] : []),
  ]
  return <Select id={ids.id} value={current} options={options} {...idsOf(ids)} onValueChange={onChange} />
}

function columnsOf(inferred: ReturnType<typeof useForm>['inferred']): readonly string[] {
  if (inferred?.fact?.kind === 'data') return inferred.fact.header.columns
  for (const facts of Object.values(inferred?.inputs ?? {})) if (facts?.kind === 'dataset') return facts.facts.columns
  return []
}

const sameValue = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

function shortText(value: unknown, field: Field): string {
  if (typeof value === 'number') return numberText(value)
  if (field.shape.kind === 'choice') return field.shape.options.find((o) => o.value === value)?.title ?? String(value)
  if (typeof value === 'boolean') return value ? 'on' : 'off'
  if (Array.isArray(value))
    return value.length === 0 ? 'none' : value.every((n) => typeof n === 'number') ? indexesText(value) : value.join(', ')
  return value === '' || value === null ? 'none' : String(value)
}

/** "default", or what resets to it (UX-40). */
function Aside({ field }: { field: Field }) {
  const { params, change, done } = useForm()
  const saved = Object.hasOwn(params, field.name)
  if (field.default === undefined) return field.required ? null : <span className="def">optional</span>
  if (!saved || sameValue(params[field.name], field.default))
    return <span className="def">{field.default === 'auto' ? 'auto' : 'default'}</span>
  const text = shortText(field.default, field)
  return (
    <button
      type="button"
      className="def"
      onClick={() => {
        change({ set: {}, unset: [field.name] }, `reset ${field.title}`)
        done()
      }}
    >
      reset{text.length <= 8 && field.shape.kind !== 'choice' ? ` to ${text}` : ''}
      <span className="vh"> {field.title}</span>
    </button>
  )
}

/** The problem's message and its one-click repair, below the field (UX-85, UX-86). */
function Fault({ problem }: { problem: Problem }) {
  const { fix } = useForm()
  const repair = problem.fix
  return (
    <>
      {problem.message}
      {repair ? (
        <button type="button" className="btn sm fix" onClick={() => fix(repair)}>
          {repair.label}
        </button>
      ) : null}
    </>
  )
}

function FormField({ field }: { field: Field }) {
  const { params, inferred, problems, change, done } = useForm()
  const [unreadable, setUnreadable] = useState<string | null>(null)
  const value = shownValue(field, params)
  const faults = problems.filter((problem) => problem.param?.split('.')[0] === field.name)
  const error = faults.find((problem) => problem.severity === 'error')
  const warning = faults.find((problem) => problem.severity === 'warning')
  const onChange = (next: unknown, going = false) => {
    setUnreadable(null)
    // A value equal to the default is left out of the document, so that a better default of a later version applies to it.
    if (field.default !== undefined && sameValue(next, field.default))
      change({ set: {}, unset: [field.name] }, `change ${field.title}`, going)
    else change({ set: { [field.name]: next } }, `change ${field.title}`, going)
    if (!going) done()
  }
  if (field.shape.kind === 'flag' && !field.auto && !field.nullable)
    return <FlagField field={field} on={value === true} onChange={onChange} error={error} warning={warning} />
  const resolved = inferred?.resolved[field.name]
  return (
    <div data-param={field.name}>
      <FieldFrame
        label={field.title}
        aside={<Aside field={field} />}
        help={
          warning && !error ? (
            <span className="warned">
              <Icon name="warn" size={14} />
              <span>
                <Fault problem={warning} />
              </span>
            </span>
          ) : (
            field.description || undefined
          )
        }
        error={unreadable ?? (error ? <Fault problem={error} /> : undefined)}
      >
        {(ids) => (
          <Widget
            field={field}
            value={value}
            resolved={resolved}
            ids={ids}
            onChange={onChange}
            onDone={done}
            onUnreadable={setUnreadable}
          />
        )}
      </FieldFrame>
    </div>
  )
}

function FlagField({
  field,
  on,
  onChange,
  error,
  warning,
}: {
  field: Field
  on: boolean
  onChange: (value: boolean) => void
  error: Problem | undefined
  warning: Problem | undefined
}) {
  const id = useId()
  const help = useId()
  const problem = error ?? warning
  return (
    <div className="flag" data-param={field.name}>
      <label htmlFor={id}>{field.title}</label>
      {/* Opening weights to training is the one warm switch (D-6). */}
      <Switch
        id={id}
        checked={on}
        onCheckedChange={onChange}
        describedBy={help}
        thaw={/^train_(embeddings|head|norms)$/.test(field.name)}
      />
      <p id={help} className={problem ? (error ? 'err' : 'help warned') : 'help'}>
        {problem ? (
          <>
            <Icon name={error ? 'error' : 'warn'} size={14} />
            <span>
              <Fault problem={problem} />
            </span>
          </>
        ) : (
          field.description
        )}
      </p>
    </div>
  )
}

const LAYER_FIELDS = new Set(['mode', 'count', 'blocks', 'patterns', 'parts'])

/**
 * @param goTo param to open and focus. A request is answered once, by `onArrived`: one that stayed would take the focus from whatever a
 * person does next.
 */
export function ParamForm({
  fields,
  goTo,
  onArrived,
}: {
  fields: readonly Field[]
  goTo?: string | undefined
  onArrived?: (() => void) | undefined
}) {
  const { params, problems } = useForm()
  const root = useRef<HTMLDivElement>(null)
  const layered = fields.some((field) => field.widget === 'layers')
  const shown = fields.filter((field) => isShown(field, fields, params) && !(layered && LAYER_FIELDS.has(field.name)))
  const basic = shown.filter((field) => !field.advanced)
  const advanced = shown.filter((field) => field.advanced)
  const changed = advanced.filter((field) => Object.hasOwn(params, field.name) && !sameValue(params[field.name], field.default)).length
  const faulty = advanced.some((field) => problems.some((p) => p.param?.split('.')[0] === field.name && p.severity === 'error'))
  const wanted = goTo !== undefined && advanced.some((field) => field.name === goTo)
  const [open, setOpen] = useState(false)
  const fold = useId()
  // Saved params the schema does not have (UX-41): refused by name, with a button that takes them out.
  const unknown = problems.filter((problem) => problem.code === 'unknown-param')

  useEffect(() => {
    if (wanted) setOpen(true)
  }, [wanted])
  useEffect(() => {
    if (goTo === undefined) return
    const frame = requestAnimationFrame(() => {
      const place = root.current?.querySelector(`[data-param="${CSS.escape(goTo)}"]`)
      place?.scrollIntoView({ block: 'nearest' })
      place?.querySelector<HTMLElement>('input, textarea, button:not(.def), [role="slider"]')?.focus()
      onArrived?.()
    })
    return () => cancelAnimationFrame(frame)
  }, [goTo, onArrived])

  return (
    <div ref={root} className="form">
      {unknown.map((problem) => (
        <p key={problem.param} className="err">
          <Icon name="error" size={14} />
          <span>
            <Fault problem={problem} />
          </span>
        </p>
      ))}
      {layered ? <LayerPanel fields={fields} /> : null}
      {layered && basic.length > 0 ? <h3 className="h-sec">Beside the blocks</h3> : null}
      {basic.map((field) => (
        <FormField key={field.name} field={field} />
      ))}
      {advanced.length > 0 ? (
        <div className="advanced">
          <button type="button" className="fold" aria-expanded={open || faulty} aria-controls={fold} onClick={() => setOpen(!open)}>
            <Icon name={open || faulty ? 'down' : 'right'} size={12} />
            Advanced
            {changed > 0 ? <span className="muted"> {changed} changed</span> : null}
          </button>
          {open || faulty ? (
            <div id={fold} className="form">
              {advanced.map((field) => (
                <FormField key={field.name} field={field} />
              ))}
            </div>
          ) : null}
        </div>
      ) : null}
      {shown.length === 0 && !layered ? <p className="help">This node has no settings.</p> : null}
    </div>
  )
}
