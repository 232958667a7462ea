'use client'
import { Slot } from 'radix-ui'
import type { ComponentPropsWithRef, ReactNode } from 'react'
import { Icon, type IconName } from './icon'
import { Tip } from './tooltip'

type Look = {
  variant?: 'secondary' | 'primary' | 'ghost' | 'danger'
  size?: 'sm' | 'md' | 'lg'
  /** D-43: only Run on a fresh template copy. */
  pulse?: boolean
}

const classesOf = ({ variant = 'secondary', size = 'md', pulse }: Look, extra?: string) =>
  ['btn', variant !== 'secondary' && variant, size !== 'md' && size, pulse && 'pulse', extra].filter(Boolean).join(' ')

export type ButtonProps = ComponentPropsWithRef<'button'> &
  Look & { icon?: IconName; caret?: boolean; kbd?: string; asChild?: boolean; children?: ReactNode }

/** A verb with its object (D-46). With `asChild` the only child, a link, takes the looks; it then brings its own icon. */
export function Button({ variant, size, pulse, icon, caret, kbd, asChild, className, children, type, ...rest }: ButtonProps) {
  const classes = classesOf({ ...(variant && { variant }), ...(size && { size }), ...(pulse && { pulse }) }, className)
  if (asChild) {
    return (
      <Slot.Root className={classes} {...rest}>
        {children}
      </Slot.Root>
    )
  }
  return (
    <button type={type ?? 'button'} className={classes} {...rest}>
      {icon ? <Icon name={icon} /> : null}
      {children}
      {kbd ? <kbd>{kbd}</kbd> : null}
      {caret ? <Icon name="down" size={12} /> : null}
    </button>
  )
}

/** An icon without words has a label and a tooltip (D-36). `tip={false}` where the label stands beside it anyway. */
export function IconButton({
  icon,
  label,
  shortcut,
  tip = true,
  tipSide,
  variant = 'ghost',
  size,
  pulse,
  className,
  type,
  children,
  ...rest
}: ComponentPropsWithRef<'button'> &
  Look & { icon?: IconName; label: string; shortcut?: string; tip?: boolean; tipSide?: 'top' | 'bottom' | 'left' | 'right' }) {
  const button = (
    <button
      type={type ?? 'button'}
      aria-label={label}
      className={classesOf({ variant, ...(size && { size }), ...(pulse && { pulse }) }, className ? `icon ${className}` : 'icon')}
      {...rest}
    >
      {icon ? <Icon name={icon} /> : children}
    </button>
  )
  return tip ? (
    <Tip content={label} {...(shortcut && { shortcut })} {...(tipSide && { side: tipSide })}>
      {button}
    </Tip>
  ) : (
    button
  )
}
