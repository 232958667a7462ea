'use client'
import { Checkbox as RadixCheckbox, Slider as RadixSlider, Switch as RadixSwitch, ToggleGroup } from 'radix-ui'
import type { ReactNode } from 'react'
import { Icon } from './icon'

type Described = { id?: string; label?: string; describedBy?: string; disabled?: boolean }
const aria = ({ id, label, describedBy, disabled }: Described) => ({
  ...(id && { id }),
  ...(label && { 'aria-label': label }),
  ...(describedBy && { 'aria-describedby': describedBy }),
  ...(disabled && { disabled }),
})

/** On or off, at once. `thaw` only where the switch opens weights to training (D-6). */
export function Switch({
  checked,
  onCheckedChange,
  thaw = false,
  ...rest
}: { checked: boolean; onCheckedChange: (checked: boolean) => void; thaw?: boolean } & Described) {
  return (
    <RadixSwitch.Root className={thaw ? 'switch thaw' : 'switch'} checked={checked} onCheckedChange={onCheckedChange} {...aria(rest)}>
      <RadixSwitch.Thumb />
    </RadixSwitch.Root>
  )
}

export function Checkbox({
  checked,
  onCheckedChange,
  children,
  ...rest
}: { checked: boolean | 'indeterminate'; onCheckedChange: (checked: boolean) => void; children?: ReactNode } & Described) {
  const box = (
    <RadixCheckbox.Root className="cb" checked={checked} onCheckedChange={(next) => onCheckedChange(next === true)} {...aria(rest)}>
      <RadixCheckbox.Indicator>
        <Icon name={checked === 'indeterminate' ? 'minus' : 'check'} />
      </RadixCheckbox.Indicator>
    </RadixCheckbox.Root>
  )
  return children === undefined ? (
    box
  ) : (
    // biome-ignore lint/a11y/noLabelWithoutControl: the checkbox inside is the control
    <label className="row select-none">
      {box}
      <span>{children}</span>
    </label>
  )
}

export type SegmentItem<V extends string> = { value: V; label: string; title?: string; disabled?: boolean }

/** One of two to five, all of them visible. */
export function Segmented<V extends string>({
  value,
  onValueChange,
  items,
  fill = false,
  label,
  id,
  describedBy,
}: { value: V; onValueChange: (value: V) => void; items: readonly SegmentItem<V>[]; fill?: boolean } & Described) {
  return (
    // Pressing the chosen one again must not leave none chosen: Radix then sends ''.
    <ToggleGroup.Root
      type="single"
      className={fill ? 'seg fill' : 'seg'}
      value={value}
      onValueChange={(next) => next && onValueChange(next as V)}
      {...aria({ ...(id && { id }), ...(label && { label }), ...(describedBy && { describedBy }) })}
    >
      {items.map((item) => (
        <ToggleGroup.Item key={item.value} value={item.value} disabled={item.disabled ?? false} {...(item.title && { title: item.title })}>
          {item.label}
        </ToggleGroup.Item>
      ))}
    </ToggleGroup.Root>
  )
}

/**
 * A bounded number. `log` moves along powers of ten, for learning rates: the thumb's value is then the exponent, and `format` (used for
 * what a screen reader says) still gets the number itself.
 */
export function Slider({
  value,
  min,
  max,
  step,
  log = false,
  onValueChange,
  onValueCommit,
  format = String,
  ...rest
}: {
  value: number
  min: number
  max: number
  step?: number
  log?: boolean
  onValueChange: (value: number) => void
  onValueCommit?: (value: number) => void
  format?: (value: number) => string
} & Described) {
  const toThumb = (v: number) => (log ? Math.log10(Math.max(v, Number.MIN_VALUE)) : v)
  // Two significant digits: a thumb cannot mean 0.00031622776.
  const fromThumb = (v: number | undefined) => (v === undefined ? value : log ? Number((10 ** v).toPrecision(2)) : v)
  const low = toThumb(min)
  const high = toThumb(max)
  const clamped = Math.min(high, Math.max(low, toThumb(value)))
  return (
    <RadixSlider.Root
      className="slider"
      min={low}
      max={high}
      step={log ? (high - low) / 200 : (step ?? (high - low) / 100)}
      value={[clamped]}
      disabled={rest.disabled ?? false}
      onValueChange={([next]) => onValueChange(fromThumb(next))}
      {...(onValueCommit && { onValueCommit: ([next]: number[]) => onValueCommit(fromThumb(next)) })}
    >
      <RadixSlider.Track className="track">
        <RadixSlider.Range className="range" />
      </RadixSlider.Track>
      <RadixSlider.Thumb
        className="thumb"
        aria-valuetext={format(value)}
        {...aria({
          ...(rest.id && { id: rest.id }),
          ...(rest.label && { label: rest.label }),
          ...(rest.describedBy && { describedBy: rest.describedBy }),
        })}
      />
    </RadixSlider.Root>
  )
}
