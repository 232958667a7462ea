'use client'
import { Dialog as Radix } from 'radix-ui'
import { type ReactElement, type ReactNode, useEffect, useRef, useState } from 'react'
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
          <Body title={title}>{children}</Body>
          {footer ? <div className="dlg-f">{footer}</div> : null}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  )
}

/** Closes the dialog around it when its child is pressed. */
export const DialogClose = ({ children }: { children: ReactElement }) => <Radix.Close asChild>{children}</Radix.Close>

/** The part that scrolls. Text that is longer than the window and holds nothing to focus is a tab stop itself, so that arrow keys reach its end. */
function Body({ title, children }: { title: string; children: ReactNode }) {
  const box = useRef<HTMLElement>(null)
  const [stop, setStop] = useState(false)
  useEffect(() => {
    const { current } = box
    if (!current) return
    const look = () =>
      setStop(
        current.scrollHeight > current.clientHeight &&
          current.querySelector('button, input, select, textarea, a[href], [tabindex]') === null,
      )
    const observer = new ResizeObserver(look)
    observer.observe(current)
    look()
    return () => observer.disconnect()
  }, [])
  return (
    <section ref={box} className="dlg-b" {...(stop && { tabIndex: 0, 'aria-label': title })}>
      {children}
    </section>
  )
}
