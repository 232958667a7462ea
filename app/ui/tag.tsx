import type { ReactNode } from 'react'
import { Icon, type IconName } from './icon'

/** A short fact beside its thing. Ice and thaw only for weights (D-6). */
export function Tag({
  tone,
  icon,
  children,
}: {
  tone?: 'ice' | 'thaw' | 'ok' | 'bad' | 'warn' | 'quiet' | 'ink'
  icon?: IconName
  children: ReactNode
}) {
  return (
    <span className={tone ? `tag ${tone}` : 'tag'}>
      {icon ? <Icon name={icon} size={12} /> : null}
      {children}
    </span>
  )
}

export function Count({ value, tone, label }: { value: number; tone?: 'bad' | 'warn'; label?: string }) {
  return (
    <span className={tone ? `count ${tone}` : 'count'}>
      {value}
      {label ? <span className="vh"> {label}</span> : null}
    </span>
  )
}

/** Progress of work. `training` is the one warm bar (D-7). Without a number there is no bar (D-3). */
export function Bar({
  value,
  max = 1,
  training = false,
  large = false,
  label,
}: {
  value: number
  max?: number
  training?: boolean
  large?: boolean
  label: string
}) {
  const share = max > 0 ? Math.min(1, Math.max(0, value / max)) : 0
  return (
    <span
      className={['bar', training && 'training', large && 'lg'].filter(Boolean).join(' ')}
      role="progressbar"
      aria-label={label}
      aria-valuenow={Math.round(share * 100)}
      aria-valuemin={0}
      aria-valuemax={100}
    >
      <i style={{ width: `${share * 100}%` }} />
    </span>
  )
}
