'use client'
import { Tooltip } from 'radix-ui'
import type { ReactElement, ReactNode } from 'react'

/** Once, around the app: after the first tooltip the neighbours open without delay. */
export function TipProvider({ children }: { children: ReactNode }) {
  return (
    <Tooltip.Provider delayDuration={400} skipDelayDuration={300}>
      {children}
    </Tooltip.Provider>
  )
}

/** A short line beside its child, on hover and focus. Never the only place of something a person needs. */
export function Tip({
  content,
  shortcut,
  side = 'bottom',
  children,
}: {
  content: ReactNode
  shortcut?: string
  side?: 'top' | 'bottom' | 'left' | 'right'
  children: ReactElement
}) {
  return (
    <Tooltip.Root>
      <Tooltip.Trigger asChild>{children}</Tooltip.Trigger>
      <Tooltip.Portal>
        <Tooltip.Content className="tip" side={side} sideOffset={6} collisionPadding={8}>
          {content}
          {shortcut ? <span className="sc">{shortcut}</span> : null}
        </Tooltip.Content>
      </Tooltip.Portal>
    </Tooltip.Root>
  )
}
