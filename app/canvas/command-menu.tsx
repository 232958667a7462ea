'use client'
/** ⌘K (UX-101): every command, every node on the canvas and every node type, found by words. */
import { Command } from 'cmdk'
import { Dialog } from 'radix-ui'
import { useState } from 'react'
import { useShallow } from 'zustand/react/shallow'
import { own, titleOf } from '../../nodes/_kit/wires'
import { Icon } from '../ui/icon'
import { useActions } from './actions-context'
import { useEditor, useStores, useView } from './context'
import { readingOrder } from './graph-queries'
import { type CommandId, KEYS, shortcutOf } from './keys'
import { usePalettePlace } from './palette'
import { wordRank } from './search'
import { isMac } from './use-keys'

export function CommandMenu({ commands }: { commands: (command: CommandId) => void }) {
  const { view } = useStores()
  const open = useView((s) => s.open === 'palette')
  return (
    <Dialog.Root open={open} onOpenChange={(next) => view.getState().set({ open: next ? 'palette' : null })}>
      <Dialog.Portal>
        <Dialog.Overlay className="scrim" />
        <Dialog.Content className="cmd" aria-describedby={undefined}>
          <Dialog.Title className="vh">Commands</Dialog.Title>
          <Body commands={commands} />
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  )
}

function Body({ commands }: { commands: (command: CommandId) => void }) {
  const { registry, editor, view } = useStores()
  const actions = useActions()
  const place = usePalettePlace()
  const mac = isMac()
  const [query, setQuery] = useState('')
  const nodes = useEditor(useShallow((s) => readingOrder(s.document)))
  const titles = useEditor(useShallow((s) => nodes.map((id) => titleOf(s.document, registry, id))))
  const types = useEditor((s) => s.document.nodes)
  const then = (act: () => void) => () => {
    view.getState().set({ open: null })
    // After the dialog has given the focus back.
    setTimeout(act, 0)
  }
  return (
    <Command label="Commands" filter={wordRank} loop>
      <div className="input cmd-input">
        <Icon name="search" />
        <Command.Input value={query} onValueChange={setQuery} placeholder="Run, find a node, add a node" />
      </div>
      <Command.List className="cmd-list">
        <Command.Empty className="pal-none">Nothing is called that.</Command.Empty>
        <Command.Group heading="Commands">
          {KEYS.filter((binding) => !binding.keysOnly).map((binding) => (
            <Command.Item
              key={binding.command}
              value={binding.label}
              keywords={[binding.group]}
              className="it"
              onSelect={then(() => commands(binding.command))}
            >
              <span className="grow">{binding.label}</span>
              <span className="sc">{shortcutOf(binding.command, mac)}</span>
            </Command.Item>
          ))}
        </Command.Group>
        {nodes.length > 0 ? (
          <Command.Group heading="Go to">
            {nodes.map((id, i) => (
              <Command.Item
                key={id}
                value={`${titles[i]} ${id}`}
                className="it"
                onSelect={then(() => {
                  editor.getState().select({ nodes: [id], edges: [] })
                  actions.focusNode(id)
                  view.getState().set({ reveal: id })
                })}
              >
                <Icon name={own(registry, types[id]?.type ?? '')?.icon ?? 'question'} />
                <span className="grow">{titles[i]}</span>
                <span className="muted text-12">{id}</span>
              </Command.Item>
            ))}
          </Command.Group>
        ) : null}
        <Command.Group heading="Add">
          {Object.values(registry).map((def) => (
            <Command.Item
              key={def.type}
              value={`Add ${def.title}`}
              keywords={[def.summary, ...(def.tags ?? [])]}
              className="it"
              onSelect={then(() => void actions.addBeside(def.type, place()))}
            >
              <Icon name={def.icon} />
              <span className="grow">
                <span className="n">Add {def.title}</span>
                <span className="d ell">{def.summary}</span>
              </span>
            </Command.Item>
          ))}
        </Command.Group>
      </Command.List>
    </Command>
  )
}
