'use client'
import { HoverCard, Popover as Radix } from 'radix-ui'
import type { ReactElement, ReactNode } from 'react'

type Side = 'top' | 'bottom' | 'left' | 'right'

/** A small surface beside its trigger. Focus moves in and back. `label` names it for screen readers. */
export function Popover({
  trigger,
  label,
  children,
  open,
  onOpenChange,
  side = 'bottom',
  align = 'start',
  className,
}: {
  trigger: ReactElement
  label: string
  children: ReactNode
  open?: boolean
  onOpenChange?: (open: boolean) => void
  side?: Side
  align?: 'start' | 'center' | 'end'
  className?: string
}) {
  return (
    <Radix.Root {...(open !== undefined && { open })} {...(onOpenChange && { onOpenChange })}>
      <Radix.Trigger asChild>{trigger}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          className={className ? `pop ${className}` : 'pop p-4'}
          side={side}
          align={align}
          sideOffset={6}
          collisionPadding={8}
          aria-label={label}
        >
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  )
}

/** A card that appears after 400 ms of hovering (UX-81). What it shows must be reachable without a pointer too. */
export function Hover({ card, side = 'right', children }: { card: ReactNode; side?: Side; children: ReactElement }) {
  return (
    <HoverCard.Root openDelay={400} closeDelay={120}>
      <HoverCard.Trigger asChild>{children}</HoverCard.Trigger>
      <HoverCard.Portal>
        <HoverCard.Content className="pop max-w-[480px] p-4" side={side} sideOffset={8} collisionPadding={8}>
          {card}
        </HoverCard.Content>
      </HoverCard.Portal>
    </HoverCard.Root>
  )
}
