'use client'
/** A number: typed, and moved along a slider where both ends are known and near enough to mean something. */
import { useEffect, useState } from 'react'
import { type FieldIds, Input } from '../ui/field'
import { Slider } from '../ui/toggles'
import { numberText, parseNumber } from './number-text'
import type { Field, Shape } from './schema'

type NumberShape = Extract<Shape, { kind: 'number' }>

/** Ends of a useful slider; null where there is none. A log range of many decades is narrowed to two either side of the usual value. */
export function sliderRange(shape: NumberShape, usual: unknown): { min: number; max: number } | null {
  const { min, max } = shape
  if (min === undefined || max === undefined) return null
  if (shape.scale === 'log') {
    if (!(min > 0)) return null
    if (max / min <= 1e4) return { min, max }
    const middle = typeof usual === 'number' && usual > 0 ? 10 ** Math.round(Math.log10(usual)) : Math.sqrt(min * max)
    return { min: Math.max(min, middle / 100), max: Math.min(max, middle * 100) }
  }
  const steps = (max - min) / (shape.step ?? (shape.integer ? 1 : (max - min) / 100))
  return max - min > 0 && max - min <= 1 && !shape.integer ? { min, max } : shape.integer && steps <= 64 ? { min, max } : null
}

export function NumberField({
  field,
  shape,
  value,
  resolved,
  ids,
  onChange,
  onDone,
  onUnreadable,
}: {
  field: Pick<Field, 'title' | 'unit' | 'auto' | 'nullable' | 'default'>
  shape: NumberShape
  value: unknown
  /** Value that stands for `auto` right now. */
  resolved: unknown
  ids: FieldIds
  onChange: (value: number | 'auto' | null, going: boolean) => void
  onDone: () => void
  /** Text that is no number: said at the field, never saved. */
  onUnreadable: (text: string | null) => void
}) {
  const shown = typeof value === 'number' ? numberText(value) : ''
  const [draft, setDraft] = useState<string | null>(null)
  // Undo, a fix or another tab changed the value while the field was open: what is saved wins.
  const [seen, setSeen] = useState(value)
  useEffect(() => {
    if (Object.is(seen, value)) return
    setSeen(value)
    if (draft !== null && parseNumber(draft) !== value) setDraft(null)
  }, [value, seen, draft])

  const take = (text: string) => {
    setDraft(text)
    const typed = parseNumber(text)
    if (typed !== null) {
      setSeen(typed)
      onUnreadable(null)
      onChange(typed, true)
    } else if (text.trim() === '' && (field.auto || field.nullable)) {
      setSeen(field.auto ? 'auto' : null)
      onUnreadable(null)
      onChange(field.auto ? 'auto' : null, true)
    } else onUnreadable(text.trim() === '' ? 'Enter a number.' : `“${text.trim()}” is not a number. Write it as 0.5, 200 or 3e-4.`)
  }
  const nudge = (by: number) => {
    const base =
      typeof value === 'number'
        ? value
        : typeof resolved === 'number'
          ? resolved
          : typeof field.default === 'number'
            ? field.default
            : (shape.min ?? 0)
    const next =
      shape.scale === 'log'
        ? base * (by > 0 ? 1.1 ** by : 1 / 1.1 ** -by)
        : base + by * (shape.step ?? (shape.integer ? 1 : Math.max(Math.abs(base) / 10, 0.01)))
    const kept = Math.min(
      shape.max ?? Number.POSITIVE_INFINITY,
      Math.max(shape.min ?? Number.NEGATIVE_INFINITY, shape.integer ? Math.round(next) : Number(next.toPrecision(3))),
    )
    setDraft(null)
    setSeen(kept)
    onUnreadable(null)
    onChange(kept, true)
  }
  const usual = typeof resolved === 'number' ? resolved : field.default
  const range = sliderRange(shape, usual)
  const at = typeof value === 'number' ? value : typeof resolved === 'number' ? resolved : (range?.min ?? 0)
  return (
    <>
      <Input
        id={ids.id}
        inputMode={shape.integer ? 'numeric' : 'decimal'}
        value={draft ?? shown}
        placeholder={
          value === 'auto' ? (typeof resolved === 'number' ? `auto: ${numberText(resolved)}` : 'auto') : field.nullable ? 'none' : ''
        }
        unit={field.unit}
        {...(ids.describedBy && { describedBy: ids.describedBy })}
        {...(ids.invalid && { invalid: true })}
        onChange={(event) => take(event.target.value)}
        onFocus={(event) => event.target.select()}
        onBlur={() => {
          setDraft(null)
          onUnreadable(null)
          onDone()
        }}
        onKeyDown={(event) => {
          if (event.key === 'ArrowUp' || event.key === 'ArrowDown') {
            event.preventDefault()
            nudge((event.key === 'ArrowUp' ? 1 : -1) * (event.shiftKey ? 10 : 1))
          }
          if (event.key === 'Enter') {
            setDraft(null)
            onDone()
          }
        }}
      />
      {range ? (
        <Slider
          label={`${field.title}, slider`}
          value={at}
          min={range.min}
          max={range.max}
          log={shape.scale === 'log'}
          {...(shape.integer ? { step: shape.step ?? 1 } : shape.step !== undefined ? { step: shape.step } : {})}
          format={numberText}
          onValueChange={(next) => {
            setDraft(null)
            setSeen(next)
            onChange(next, true)
          }}
          onValueCommit={onDone}
        />
      ) : null}
    </>
  )
}
