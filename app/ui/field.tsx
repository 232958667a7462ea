'use client'
import { type ComponentPropsWithRef, type ReactNode, useId } from 'react'
import { Icon, type IconName } from './icon'

export type FieldIds = { id: string; describedBy?: string; invalid?: boolean }

/**
 * Label, control, help and error as one (UX-40, UX-86). `children` gets the ids to put on the control, so that label and error are tied to it.
 * `aside` stands right of the label: "default", or a button that resets.
 */
export function Field({
  label,
  aside,
  help,
  error,
  children,
  className,
}: {
  label: ReactNode
  aside?: ReactNode
  help?: ReactNode
  error?: ReactNode
  children: (ids: FieldIds) => ReactNode
  className?: string
}) {
  const id = useId()
  const helpId = `${id}-help`
  const errorId = `${id}-error`
  const describedBy = [error && errorId, help && helpId].filter(Boolean).join(' ')
  return (
    <div className={className ? `field ${className}` : 'field'}>
      <div className="lab">
        <label htmlFor={id}>{label}</label>
        {typeof aside === 'string' ? <span className="def">{aside}</span> : aside}
      </div>
      {children({ id, ...(describedBy && { describedBy }), ...(error ? { invalid: true } : {}) })}
      {error ? (
        <p className="err" id={errorId}>
          <Icon name="error" />
          <span>{error}</span>
        </p>
      ) : null}
      {help ? (
        <p className="help" id={helpId}>
          {help}
        </p>
      ) : null}
    </div>
  )
}

type InputProps = Omit<ComponentPropsWithRef<'input'>, 'size'> & {
  icon?: IconName
  unit?: ReactNode
  invalid?: boolean
  describedBy?: string
  mono?: boolean
  large?: boolean
  after?: ReactNode
}

/** One line of text or one number. `unit` and `after` lie inside the frame, right. */
export function Input({ icon, unit, invalid, describedBy, mono, large, after, className, ...rest }: InputProps) {
  const classes = ['input', mono && 'mono', large && 'is-lg', className].filter(Boolean).join(' ')
  return (
    <span className={classes} {...(invalid && { 'data-invalid': true })} {...(rest.disabled && { 'data-disabled': true })}>
      {icon ? <Icon name={icon} /> : null}
      <input
        {...rest}
        {...(invalid && { 'aria-invalid': true })}
        {...(describedBy && { 'aria-describedby': describedBy })}
        autoComplete={rest.autoComplete ?? 'off'}
        spellCheck={rest.spellCheck ?? false}
      />
      {unit ? <span className="unit">{unit}</span> : null}
      {after}
    </span>
  )
}

export function Textarea({
  invalid,
  describedBy,
  mono,
  className,
  ...rest
}: ComponentPropsWithRef<'textarea'> & { invalid?: boolean; describedBy?: string; mono?: boolean }) {
  const classes = ['input', mono && 'mono', className].filter(Boolean).join(' ')
  return (
    <textarea
      className={classes}
      {...rest}
      {...(invalid && { 'data-invalid': true, 'aria-invalid': true })}
      {...(describedBy && { 'aria-describedby': describedBy })}
    />
  )
}

/** A search box; Esc empties it before it does anything else. */
export function Search({
  value,
  onValueChange,
  label,
  shortcut,
  className,
  ...rest
}: { value: string; onValueChange: (value: string) => void; label: string; shortcut?: string } & Omit<
  InputProps,
  'value' | 'onChange' | 'icon'
>) {
  return (
    <Input
      {...rest}
      type="search"
      icon="search"
      aria-label={label}
      placeholder={rest.placeholder ?? label}
      value={value}
      {...(className && { className })}
      onChange={(event) => onValueChange(event.target.value)}
      onKeyDown={(event) => {
        if (event.key === 'Escape' && value !== '') {
          event.stopPropagation()
          onValueChange('')
        }
        rest.onKeyDown?.(event)
      }}
      after={shortcut && value === '' ? <kbd>{shortcut}</kbd> : undefined}
    />
  )
}
