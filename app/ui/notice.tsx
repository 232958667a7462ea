import type { ReactNode } from 'react'
import { Icon, type IconName } from './icon'

/** A fault, a remark or a hint at its place: what is, what it means, what one click can do (D-45). */
export function Notice({
  tone = 'info',
  title,
  children,
  actions,
  aside,
  icon,
  className,
}: {
  tone?: 'error' | 'warning' | 'info'
  title: ReactNode
  children?: ReactNode
  actions?: ReactNode
  aside?: ReactNode
  icon?: IconName
  className?: string
}) {
  const name: IconName = icon ?? (tone === 'error' ? 'error' : tone === 'warning' ? 'warn' : 'info')
  return (
    <div className={['notice', tone !== 'info' && tone, className].filter(Boolean).join(' ')} role={tone === 'error' ? 'alert' : undefined}>
      <Icon name={name} />
      <div className="min-w-0">
        <b>{title}</b>
        {children ? <p>{children}</p> : null}
      </div>
      <div>{aside}</div>
      {actions ? <div className="acts">{actions}</div> : null}
    </div>
  )
}

/** An empty region names the next action in one line and one button (D-30). */
export function Empty({
  icon,
  title,
  children,
  action,
  framed = false,
}: {
  icon?: IconName
  title: ReactNode
  children?: ReactNode
  action?: ReactNode
  framed?: boolean
}) {
  return (
    <div className={framed ? 'empty framed' : 'empty'}>
      {icon ? <Icon name={icon} /> : null}
      <b>{title}</b>
      {children ? <p>{children}</p> : null}
      {action}
    </div>
  )
}
