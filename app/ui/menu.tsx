'use client'
import { ContextMenu, DropdownMenu } from 'radix-ui'
import type { ReactElement, ReactNode } from 'react'
import { Icon, type IconName } from './icon'

/** One list feeds the dropdown, the context menu and, by its labels, the command palette. */
export type MenuEntry =
  | {
      kind?: 'item'
      label: string
      icon?: IconName
      shortcut?: string
      note?: string
      danger?: boolean
      disabled?: boolean
      onSelect: () => void
    }
  | { kind: 'check'; label: string; checked: boolean; shortcut?: string; disabled?: boolean; onChange: (checked: boolean) => void }
  | { kind: 'sub'; label: string; icon?: IconName; disabled?: boolean; items: readonly MenuEntry[] }
  | { kind: 'caption'; label: string }
  | { kind: 'separator' }

const keyOf = (entry: MenuEntry, i: number) => (entry.kind === 'separator' ? `separator-${i}` : entry.label)

function Row({
  icon,
  label,
  note,
  shortcut,
  caret,
}: {
  icon?: IconName | undefined
  label: string
  note?: string | undefined
  shortcut?: string | undefined
  caret?: boolean
}) {
  return (
    <>
      {icon ? <Icon name={icon} /> : null}
      <span>
        {label}
        {note ? <span className="sub">{note}</span> : null}
      </span>
      {shortcut ? <span className="sc">{shortcut}</span> : null}
      {caret ? <Icon name="right" size={12} className="ml-auto" /> : null}
    </>
  )
}

// Dropdown and context menu of Radix have the same parts under two names.
type Parts = Pick<
  typeof DropdownMenu,
  'Item' | 'CheckboxItem' | 'ItemIndicator' | 'Separator' | 'Label' | 'Sub' | 'SubTrigger' | 'SubContent' | 'Portal'
>

function Entries({ items, parts: P }: { items: readonly MenuEntry[]; parts: Parts }): ReactNode {
  return items.map((entry, i) => {
    const key = keyOf(entry, i)
    switch (entry.kind) {
      case 'separator':
        return <P.Separator key={key} className="my-1 border-line border-t" />
      case 'caption':
        return (
          <P.Label key={key} className="cap">
            {entry.label}
          </P.Label>
        )
      case 'check':
        return (
          <P.CheckboxItem
            key={key}
            className="it"
            checked={entry.checked}
            disabled={entry.disabled ?? false}
            onCheckedChange={entry.onChange}
          >
            <span className="grid size-4 place-items-center">
              <P.ItemIndicator>
                <Icon name="check" />
              </P.ItemIndicator>
            </span>
            <Row label={entry.label} shortcut={entry.shortcut} />
          </P.CheckboxItem>
        )
      case 'sub':
        return (
          <P.Sub key={key}>
            <P.SubTrigger className="it" disabled={entry.disabled ?? false}>
              <Row icon={entry.icon} label={entry.label} caret />
            </P.SubTrigger>
            <P.Portal>
              <P.SubContent className="pop menu" sideOffset={2} collisionPadding={8}>
                <Entries items={entry.items} parts={P} />
              </P.SubContent>
            </P.Portal>
          </P.Sub>
        )
      default:
        return (
          <P.Item key={key} className={entry.danger ? 'it danger' : 'it'} disabled={entry.disabled ?? false} onSelect={entry.onSelect}>
            <Row icon={entry.icon} label={entry.label} note={entry.note} shortcut={entry.shortcut} />
          </P.Item>
        )
    }
  })
}

/** A menu that opens from `trigger`, a button. */
export function Menu({
  trigger,
  items,
  align = 'start',
  side = 'bottom',
  label,
  open,
  onOpenChange,
}: {
  trigger: ReactElement
  items: readonly MenuEntry[]
  align?: 'start' | 'center' | 'end'
  side?: 'top' | 'bottom' | 'left' | 'right'
  label?: string
  open?: boolean
  onOpenChange?: (open: boolean) => void
}) {
  return (
    <DropdownMenu.Root modal={false} {...(open !== undefined && { open })} {...(onOpenChange && { onOpenChange })}>
      <DropdownMenu.Trigger asChild>{trigger}</DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content
          className="pop menu"
          align={align}
          side={side}
          sideOffset={4}
          collisionPadding={8}
          {...(label && { 'aria-label': label })}
        >
          <Entries items={items} parts={DropdownMenu} />
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  )
}

/** The same menu at the pointer, on right click or the menu key of `children`. */
export function MenuAtPointer({ children, items, label }: { children: ReactElement; items: readonly MenuEntry[]; label?: string }) {
  return (
    <ContextMenu.Root modal={false}>
      <ContextMenu.Trigger asChild>{children}</ContextMenu.Trigger>
      <ContextMenu.Portal>
        <ContextMenu.Content className="pop menu" collisionPadding={8} {...(label && { 'aria-label': label })}>
          <Entries items={items} parts={ContextMenu} />
        </ContextMenu.Content>
      </ContextMenu.Portal>
    </ContextMenu.Root>
  )
}
