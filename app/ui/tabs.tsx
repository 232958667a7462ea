'use client'
import { Tabs as Radix } from 'radix-ui'
import type { ReactNode } from 'react'

export type TabItem<V extends string> = { value: V; label: string; count?: number }

/**
 * Tab bar and its panels. `right` stands at the end of the bar. Panels are TabPanel children; only the active one is mounted.
 */
export function Tabs<V extends string>({
  label,
  items,
  value,
  onValueChange,
  onPress,
  right,
  slim = false,
  children,
  className,
}: {
  label: string
  items: readonly TabItem<V>[]
  value: V
  onValueChange: (value: V) => void
  /** A tab was pressed, also the one that is shown. Once per press, unlike `onValueChange`: Radix calls that for the press and for the focus. */
  onPress?: (() => void) | undefined
  right?: ReactNode
  slim?: boolean
  children?: ReactNode
  className?: string
}) {
  return (
    <Radix.Root value={value} onValueChange={(next) => onValueChange(next as V)} className={className ?? 'flex min-h-0 flex-1 flex-col'}>
      {/* Radix focuses the tab from script, which browsers take for the keyboard and draw the ring: after a press it is left out. */}
      <div
        className={slim ? 'tabs slim' : 'tabs'}
        onPointerDownCapture={(event) => event.currentTarget.setAttribute('data-pressed', '')}
        onKeyDownCapture={(event) => event.currentTarget.removeAttribute('data-pressed')}
      >
        <Radix.List aria-label={label}>
          {items.map((item) => (
            <Radix.Trigger key={item.value} value={item.value} onClick={onPress}>
              {item.label}
              {item.count ? <span className="count">{item.count}</span> : null}
            </Radix.Trigger>
          ))}
        </Radix.List>
        {right}
      </div>
      {children}
    </Radix.Root>
  )
}

export function TabPanel({ value, children, className }: { value: string; children: ReactNode; className?: string }) {
  return (
    <Radix.Content value={value} className={className ?? 'min-h-0 flex-1 overflow-auto'}>
      {children}
    </Radix.Content>
  )
}
