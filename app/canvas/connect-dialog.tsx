'use client'
/** Connecting without a pointer (UX-25): `C` on a node lists its ports with all that fits each, and new nodes that would. */
import { Command } from 'cmdk'
import { Dialog } from 'radix-ui'
import { useMemo, useState } from 'react'
import { defOf, titleOf } from '../../nodes/_kit/wires'
import { Icon } from '../ui/icon'
import { PortMark } from '../ui/port-mark'
import { useActions } from './actions-context'
import { fittingEnds, STRIDE } from './build'
import { useEditor, useStores, useView } from './context'
import { placeOf, portsOf, type Side } from './graph-queries'
import { byWords } from './search'

type Choice = {
  key: string
  side: Side
  port: string
  portTitle: string
  kind: import('../../nodes/_kit/ports').PortKind
  taken: boolean
} & ({ to: 'port'; node: string; title: string; other: string } | { to: 'new'; type: string; title: string })

export function ConnectDialog() {
  const { view } = useStores()
  const open = useView((s) => s.open === 'connect')
  const node = useView((s) => s.focused)
  return (
    <Dialog.Root open={open && node !== null} onOpenChange={(next) => view.getState().set({ open: next ? 'connect' : null })}>
      <Dialog.Portal>
        <Dialog.Overlay className="scrim" />
        <Dialog.Content
          className="cmd"
          aria-describedby={undefined}
          onCloseAutoFocus={(event) => {
            event.preventDefault()
            const at = view.getState().focused
            if (at !== null) document.querySelector<HTMLElement>(`[data-node="${CSS.escape(at)}"]`)?.focus()
          }}
        >
          {node !== null ? <Body node={node} /> : null}
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  )
}

function Body({ node }: { node: string }) {
  const { registry, view } = useStores()
  const actions = useActions()
  const doc = useEditor((s) => s.document)
  const title = titleOf(doc, registry, node)
  const choices = useMemo(() => {
    const found: Choice[] = []
    const def = defOf(doc, registry, node)
    for (const side of ['out', 'in'] as const)
      for (const [port, { title: portTitle, kind }] of portsOf(def, side)) {
        const common = { side, port, portTitle, kind }
        const taken = side === 'in' && doc.edges.some((e) => e.to.node === node && e.to.port === port)
        for (const key of fittingEnds(doc, registry, { node, port }, side)) {
          const [id = '', other = ''] = [key.slice(0, key.lastIndexOf('.')), key.slice(key.lastIndexOf('.') + 1)]
          if (
            doc.edges.some((e) =>
              side === 'out'
                ? e.from.node === node && e.from.port === port && e.to.node === id && e.to.port === other
                : e.to.node === node && e.to.port === port && e.from.node === id && e.from.port === other,
            )
          )
            continue
          const occupied = side === 'out' ? doc.edges.some((e) => e.to.node === id && e.to.port === other) : taken
          found.push({
            ...common,
            key: `${side} ${port} ${key}`,
            to: 'port',
            node: id,
            other,
            title: titleOf(doc, registry, id),
            taken: occupied,
          })
        }
        for (const other of Object.values(registry))
          if (portsOf(other, side === 'out' ? 'in' : 'out').some(([, p]) => p.kind === kind))
            found.push({ ...common, key: `${side} ${port} new ${other.type}`, to: 'new', type: other.type, title: other.title, taken })
      }
    return found
  }, [doc, registry, node])

  const choose = (choice: Choice) => {
    view.getState().set({ open: null })
    const end = { node, port: choice.port }
    if (choice.to === 'port')
      actions.connect(
        { end, side: choice.side },
        { end: { node: choice.node, port: choice.other }, side: choice.side === 'out' ? 'in' : 'out' },
        null,
      )
    else {
      const place = placeOf(doc, node)
      setTimeout(
        () =>
          actions.addAt(choice.type, { x: place.x + (choice.side === 'out' ? STRIDE : -STRIDE), y: place.y }, { end, side: choice.side }),
        0,
      )
    }
  }
  const [query, setQuery] = useState('')
  // What is free comes before what would push a wire out, and outputs before inputs: C sends on what the node makes.
  const shown = useMemo(
    () =>
      byWords(choices, query, ({ to, title: name, portTitle, kind, ...rest }) =>
        [to === 'new' ? `Add ${name}` : name, portTitle, kind, 'other' in rest ? rest.other : ''].join(' '),
      ).toSorted((a, b) => Number(a.taken) - Number(b.taken)),
    [choices, query],
  )
  const groups = [...new Set(shown.filter((c) => c.to === 'port').map((c) => `${c.side} ${c.port}`))]
  return (
    <>
      <Dialog.Title className="cmd-title">Connect {title}</Dialog.Title>
      <Command label={`Connect ${title}`} shouldFilter={false} loop>
        <div className="input cmd-input">
          <Icon name="search" />
          <Command.Input value={query} onValueChange={setQuery} placeholder="Find what to connect to" />
        </div>
        <Command.List className="cmd-list">
          <Command.Empty className="pal-none">Nothing fits.</Command.Empty>
          {groups.map((group) => {
            const inside = shown.filter((c) => c.to === 'port' && `${c.side} ${c.port}` === group)
            const [first] = inside
            return (
              <Command.Group key={group} heading={first?.side === 'out' ? `Send ${first.portTitle} to` : `Take ${first?.portTitle} from`}>
                {inside.map((choice) => (
                  <Row key={choice.key} choice={choice} onSelect={() => choose(choice)} />
                ))}
              </Command.Group>
            )
          })}
          {shown.some((c) => c.to === 'new') ? (
            <Command.Group heading="A new node">
              {shown
                .filter((c) => c.to === 'new')
                .map((choice) => (
                  <Row key={choice.key} choice={choice} onSelect={() => choose(choice)} />
                ))}
            </Command.Group>
          ) : null}
        </Command.List>
      </Command>
    </>
  )
}

function Row({ choice, onSelect }: { choice: Choice; onSelect: () => void }) {
  return (
    <Command.Item value={choice.key} className="it" onSelect={onSelect}>
      <PortMark kind={choice.kind} size={10} />
      <span className="grow">
        {choice.to === 'new' ? `Add ${choice.title}` : choice.title}
        <span className="muted">
          {' '}
          · {choice.to === 'new' ? `${choice.side === 'out' ? 'from' : 'for'} ${choice.portTitle}` : choice.other}
        </span>
      </span>
      {choice.taken ? <span className="muted text-12">replaces a wire</span> : null}
    </Command.Item>
  )
}
