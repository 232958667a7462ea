'use client'
import { Dialog as Radix } from 'radix-ui'
import type { ReactElement, ReactNode } from 'react'
import { IconButton } from './button'

/** A sheet over a scrim. Title is required: it names the dialog. `footer` holds the actions, the main one last. */
export function Dialog({
  open,
  onOpenChange,
  trigger,
  title,
  description,
  children,
  footer,
  size = 'md',
}: {
  open?: boolean
  onOpenChange?: (open: boolean) => void
  trigger?: ReactElement
  title: string
  description?: string
  children: ReactNode
  footer?: ReactNode
  size?: 'md' | 'lg' | 'xl'
}) {
  return (
    <Radix.Root {...(open !== undefined && { open })} {...(onOpenChange && { onOpenChange })}>
      {trigger ? <Radix.Trigger asChild>{trigger}</Radix.Trigger> : null}
      <Radix.Portal>
        <Radix.Overlay className="scrim" />
        <Radix.Content className={size === 'md' ? 'dlg' : `dlg ${size}`} {...(!description && { 'aria-describedby': undefined })}>
          <div className="dlg-h">
            <Radix.Title asChild>
              <h2>{title}</h2>
            </Radix.Title>
            {description ? <Radix.Description className="text-ink-3">{description}</Radix.Description> : null}
            <Radix.Close asChild>
              <IconButton icon="close" label="Close" tip={false} className="ml-auto" />
            </Radix.Close>
          </div>
          <div className="dlg-b">{children}</div>
          {footer ? <div className="dlg-f">{footer}</div> : null}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  )
}

/** Closes the dialog around it when its child is pressed. */
export const DialogClose = ({ children }: { children: ReactElement }) => <Radix.Close asChild>{children}</Radix.Close>
