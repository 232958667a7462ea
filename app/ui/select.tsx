'use client'
import { Select as Radix } from 'radix-ui'
import { Icon } from './icon'

export type SelectOption = { value: string; label: string; note?: string; disabled?: boolean }

// Radix takes '' for "no value", so an empty option travels under another name.
const EMPTY = '\u0000'
const out = (value: string) => (value === EMPTY ? '' : value)
const into = (value: string) => (value === '' ? EMPTY : value)

/** One of a few. `id` ties it to its Field's label; without a Field give `label`. */
export function Select({
  value,
  onValueChange,
  options,
  id,
  label,
  placeholder,
  disabled,
  invalid,
  describedBy,
  className,
}: {
  value: string | undefined
  onValueChange: (value: string) => void
  options: readonly SelectOption[]
  id?: string
  label?: string
  placeholder?: string
  disabled?: boolean
  invalid?: boolean
  describedBy?: string
  className?: string
}) {
  return (
    <Radix.Root
      value={value === undefined ? '' : into(value)}
      onValueChange={(next) => onValueChange(out(next))}
      disabled={disabled ?? false}
    >
      <Radix.Trigger
        id={id}
        className={className ? `input select ${className}` : 'input select'}
        {...(label && { 'aria-label': label })}
        {...(describedBy && { 'aria-describedby': describedBy })}
        {...(invalid && { 'data-invalid': true, 'aria-invalid': true })}
        {...(disabled && { 'data-disabled': true })}
      >
        <Radix.Value placeholder={placeholder} />
        <Radix.Icon asChild>
          <span>
            <Icon name="down" size={14} />
          </span>
        </Radix.Icon>
      </Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          className="pop menu"
          position="popper"
          sideOffset={4}
          collisionPadding={8}
          style={{ minWidth: 'var(--radix-select-trigger-width)' }}
        >
          {/* Its viewport writes a <style> of its own, which the CSP lets through only with this page's nonce (see providers.tsx). */}
          <Radix.Viewport nonce={(globalThis as { __webpack_nonce__?: string }).__webpack_nonce__}>
            {options.map((option) => (
              <Radix.Item key={option.value} value={into(option.value)} disabled={option.disabled ?? false} className="it">
                <span className="grid size-4 place-items-center">
                  <Radix.ItemIndicator>
                    <Icon name="check" size={14} />
                  </Radix.ItemIndicator>
                </span>
                <span>
                  <Radix.ItemText>{option.label}</Radix.ItemText>
                  {option.note ? <span className="sub">{option.note}</span> : null}
                </span>
              </Radix.Item>
            ))}
          </Radix.Viewport>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  )
}
