'use client'
/** Share ▾ (UX-97): the pipeline as a file, a bundle with its data, a picture or a script, and as a template. Nothing leaves by itself. */
import { useQuery } from '@tanstack/react-query'
import { pictureOf } from '../../nodes/_kit/picture'
import { writePipelineFile } from '../../nodes/_kit/pipeline-file'
import { portable } from '../../nodes/_kit/portable'
import { titleOf } from '../../nodes/_kit/wires'
import { useEditor, useStores } from '../canvas/context'
import { useTRPC } from '../trpc'
import { Button } from '../ui/button'
import { Menu, type MenuEntry } from '../ui/menu'
import { toast } from '../ui/toast'
import { plural } from '../ui/words'
import { pngOf, themeColour } from './picture'
import { fileNameOf, saveFile } from './save-file'

/** What was taken out, in one sentence; null where nothing was. */
function removedWords(removed: ReturnType<typeof portable>['removed']): string | null {
  const secrets = removed.filter(({ kind }) => kind === 'secret').length
  const paths = removed.length - secrets
  const parts = [...(secrets ? [plural(secrets, 'secret')] : []), ...(paths ? [plural(paths, 'local path')] : [])]
  return parts.length ? parts.join(' and ') : null
}

export function ShareMenu({ onTemplate }: { onTemplate: () => void }) {
  const { editor, registry, derived } = useStores()
  const trpc = useTRPC()
  const blank = useEditor((s) => Object.keys(s.document.nodes).length === 0)
  const { data: status } = useQuery({ ...trpc.system.status.queryOptions(), staleTime: 60_000 })
  const version = status?.version ?? ''

  const prepared = () => {
    const { document, name } = editor.getState()
    const { document: clean, removed } = portable(document, registry)
    const words = removedWords(removed)
    return {
      name: fileNameOf(name),
      clean,
      file: writePipelineFile(clean, name, version),
      said: words
        ? `Without ${words}: ${removed.map(({ node, param }) => `${param} of ${titleOf(document, registry, node)}`).join(', ')}`
        : null,
    }
  }
  const attempt = (work: () => Promise<void> | void) => async () => {
    try {
      await work()
    } catch (error) {
      toast(error instanceof Error ? error.message : 'That did not work.')
    }
  }
  const items: MenuEntry[] = [
    {
      label: 'Pipeline file',
      icon: 'file',
      note: 'Graph, inputs and notes; no data, no weights',
      onSelect: attempt(() => {
        const { name, file, said } = prepared()
        saveFile(`${name}.thaw.json`, file, 'application/json')
        toast(said ?? `${name}.thaw.json saved`)
      }),
    },
    {
      label: 'Bundle with data',
      icon: 'download',
      note: 'For another Thaw: data and results of the last run inside',
      onSelect: () => {
        window.location.assign(`/api/bundle/${editor.getState().id}`)
      },
    },
    {
      label: 'Picture, SVG',
      icon: 'map',
      note: 'The graph is inside; drop it on a canvas to open it',
      onSelect: attempt(() => {
        const { name, clean, file, said } = prepared()
        saveFile(`${name}.svg`, pictureOf(clean, registry, file, themeColour).svg, 'image/svg+xml')
        toast(said ?? `${name}.svg saved`)
      }),
    },
    {
      label: 'Picture, PNG',
      icon: 'map',
      note: 'The same for chats and documents',
      onSelect: attempt(async () => {
        const { name, clean, file, said } = prepared()
        saveFile(`${name}.png`, await pngOf(pictureOf(clean, registry, file, themeColour), file), 'image/png')
        toast(said ?? `${name}.png saved`)
      }),
    },
    {
      label: 'Python script',
      icon: 'log',
      note: 'The same training with torch, transformers and PEFT',
      onSelect: attempt(async () => {
        const { document, name } = editor.getState()
        const trains = Object.keys(document.nodes).filter((id) => document.nodes[id]?.type === 'train' && !document.nodes[id]?.disabled)
        // Loaded on use: it is long, and few ask for it.
        const { pythonScript } = await import('../../nodes/_kit/python-script')
        const clean = portable(document, registry).document
        const scripts = trains.flatMap((id) => {
          const script = pythonScript(clean, registry, derived.getState().facts, id, version)
          return script ? [{ id, ...script }] : []
        })
        if (scripts.length === 0) return void toast('There is no Train node to write a script of.')
        for (const { id, text } of scripts) saveFile(`${fileNameOf(name)}${scripts.length > 1 ? `-${id}` : ''}.py`, text, 'text/x-python')
        const notes = [...new Set(scripts.flatMap((script) => script.notes))]
        toast(
          notes.length
            ? `Saved. ${notes[0]}${notes.length > 1 ? ` (${notes.length - 1} more in the script)` : ''}`
            : `${fileNameOf(name)}.py saved`,
        )
      }),
    },
    { kind: 'separator' },
    { label: 'Save as template…', icon: 'template', note: 'For others to run with their own data', onSelect: onTemplate },
    { kind: 'separator' },
    { kind: 'caption', label: 'Secrets and local paths never leave' },
  ]
  return (
    <Menu
      label="Share"
      align="end"
      trigger={
        <Button variant="ghost" icon="share" disabled={blank}>
          Share
        </Button>
      }
      items={items}
    />
  )
}
