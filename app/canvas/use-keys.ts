'use client'
/** Runs commands: from keys, from the palette and from menus, by the one table in `keys.ts` (UX-100). */
import { useReactFlow } from '@xyflow/react'
import { useCallback, useEffect, useMemo } from 'react'
import { useActions } from './actions-context'
import { FIT } from './canvas-controls'
import { useStores } from './context'
import { edgeKey } from './editor-state'
import { placeOf } from './graph-queries'
import { bindingFor, type CommandId } from './keys'
import type { RunLink } from './run-link'
import { sizeIn } from './sizes'

export const isMac = (): boolean => typeof navigator !== 'undefined' && /Mac|iPhone|iPad/.test(navigator.platform)

const MOTION = { duration: 200 }

const isTyping = (target: Element | null): boolean =>
  target !== null && target.closest('input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable="true"]') !== null

/** Whether canvas keys may act: the focus is in the canvas and no text is being written, nor a menu or dialog open on it. */
const inCanvas = (target: Element | null): boolean =>
  target !== null &&
  target.closest('[data-canvas], [data-outline]') !== null &&
  target.closest('[role="dialog"], [role="menu"]') === null &&
  !isTyping(target)

export type Fold = { left(): void; right(): void; bottom(): void }

/** `link` is given, since the one who provides it to the page is the one who calls this. */
export function useCommands(options: { fold: Fold; link: RunLink }): (command: CommandId) => void {
  const { editor, view } = useStores()
  const actions = useActions()
  const flow = useReactFlow()
  const { fold, link } = options
  return useCallback(
    (command) => {
      const show = view.getState()
      const selected = editor.getState().selection.nodes
      const node = selected[0] ?? show.focused ?? undefined
      const centre = () => {
        const frame = document.querySelector('[data-canvas]')?.getBoundingClientRect()
        const at = { x: (frame?.width ?? 0) / 2 - 136, y: Math.max(48, (frame?.height ?? 0) / 2 - 170) }
        return { at, place: flow.screenToFlowPosition({ x: (frame?.left ?? 0) + at.x, y: (frame?.top ?? 0) + at.y }) }
      }
      /** Arrows move what is selected, or the node with the focus. */
      const by = (x: number, y: number) => {
        if (selected.length === 0 && show.focused !== null) editor.getState().select({ nodes: [show.focused], edges: [] })
        actions.move({ x, y })
      }
      const run: Record<CommandId, () => void> = {
        palette: () => show.set({ open: show.open === 'palette' ? null : 'palette' }),
        'add-node': () => show.set({ quickAdd: centre() }),
        connect: () => {
          if (node !== undefined) show.set({ open: 'connect', focused: node })
          else show.say('Select a node first')
        },
        insert: () => {
          const [wire] = editor.getState().selection.edges
          const { edges } = editor.getState().document
          const edge = wire ?? edges.filter((e) => e.from.node === node || e.to.node === node).map(edgeKey)[0]
          if (edge !== undefined) show.set({ quickAdd: { ...centre(), edge } })
          else show.say('Select a wire, or a node that has one')
        },
        replace: () => {
          if (node !== undefined) show.set({ quickAdd: { ...centre(), replace: node } })
          else show.say('Select a node first')
        },
        note: () => actions.addNote(centre().place),
        group: actions.group,
        ungroup: actions.ungroup,
        tidy: () => {
          actions.tidy(sizeIn(flow))
          // A frame later, when the cards are where they belong.
          requestAnimationFrame(() => void flow.fitView(FIT))
        },
        preview: () => {
          if (node === undefined) return show.say('Select a node first')
          editor.getState().select({ nodes: [node], edges: [] })
          show.set({ tab: 'data' })
        },
        delete: () => actions.remove(false),
        'delete-plain': () => actions.remove(true),
        disable: () => void actions.toggleDisabled(),
        rename: () => {
          if (node === undefined) return
          editor.getState().select({ nodes: [node], edges: [] })
          show.set({ renaming: node })
        },
        undo: actions.undo,
        redo: actions.redo,
        copy: () => void actions.copy(false),
        cut: () => void actions.copy(true),
        // The paste event carries the text; the browser fires it after this key.
        paste: () => undefined,
        duplicate: actions.duplicate,
        'select-all': actions.selectAll,
        save: () => show.set({ open: 'name-version' }),
        history: () => show.set({ open: 'history' }),
        form: () => show.set({ form: !show.form, large: null, rows: null }),
        'run-all': () => link.start({ kind: 'all' }),
        'run-to-here': () => {
          if (node !== undefined) link.start({ kind: 'to', node })
          else show.say('Select a node first')
        },
        'run-selected': () => {
          if (selected.length > 0) link.start({ kind: 'only', nodes: selected })
          else show.say('Select nodes first')
        },
        stop: () => link.stop('keep'),
        check: () => show.set({ open: 'check', checked: true }),
        'next-problem': () => actions.nextProblem(1),
        'previous-problem': () => actions.nextProblem(-1),
        'walk-left': () => actions.walk('left'),
        'walk-right': () => actions.walk('right'),
        'walk-up': () => actions.walk('up'),
        'walk-down': () => actions.walk('down'),
        'move-left': () => by(-16, 0),
        'move-right': () => by(16, 0),
        'move-up': () => by(0, -16),
        'move-down': () => by(0, 16),
        'leap-left': () => by(-64, 0),
        'leap-right': () => by(64, 0),
        'leap-up': () => by(0, -64),
        'leap-down': () => by(0, 64),
        'open-settings': () => {
          if (node === undefined) return
          editor.getState().select({ nodes: [node], edges: [] })
          show.set({ tab: 'settings' })
          requestAnimationFrame(() =>
            document.querySelector<HTMLElement>('[data-inspector] input, [data-inspector] button:not([role="tab"])')?.focus(),
          )
        },
        'to-canvas': () => {
          if (show.quickAdd || show.refusal || show.large !== null || show.rows !== null || show.form)
            show.set({ quickAdd: null, refusal: null, large: null, rows: null, form: false })
          else if (document.activeElement?.closest('[data-canvas]')) editor.getState().select({ nodes: [], edges: [] })
          actions.focusNode(show.focused ?? undefined)
        },
        'next-region': () => nextRegion(),
        fit: () => void flow.fitView(FIT),
        'zoom-100': () => void flow.zoomTo(1, MOTION),
        'zoom-in': () => void flow.zoomIn(MOTION),
        'zoom-out': () => void flow.zoomOut(MOTION),
        'fold-left': fold.left,
        'fold-right': fold.right,
        'fold-bottom': fold.bottom,
        help: () => show.set({ open: 'keys' }),
      }
      run[command]()
    },
    [editor, view, actions, flow, link, fold],
  )
}

/** F6: top bar, nodes, canvas, settings, run panel, round and round (UX-123). */
function nextRegion() {
  const regions = [...document.querySelectorAll<HTMLElement>('[data-region]')].filter(
    (region) => region.offsetParent !== null || region.dataset.region === 'top',
  )
  const at = regions.findIndex((region) => region.contains(document.activeElement))
  const next = regions[(at + 1) % Math.max(1, regions.length)]
  const target = next?.querySelector<HTMLElement>(
    '[data-node][tabindex="0"], [data-canvas], button:not([disabled]), input, a[href], [tabindex="0"]',
  )
  target?.focus()
}

export function useKeys(commands: (command: CommandId) => void) {
  const { view } = useStores()
  const actions = useActions()
  const flow = useReactFlow()
  const { editor } = useStores()
  const mac = useMemo(isMac, [])
  useEffect(() => {
    const pointer = { x: 0, y: 0, inside: false }
    const track = (event: PointerEvent) => {
      pointer.x = event.clientX
      pointer.y = event.clientY
      pointer.inside = (event.target as Element).closest?.('[data-canvas]') !== null
    }
    const press = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.isComposing) return
      const target = event.target instanceof Element ? event.target : null
      // While the view moves to the node with the focus, the browser has the focus nowhere; keys still mean that node.
      const onItsWay = target === document.body && view.getState().seeking !== null
      const binding = bindingFor(event, { mac, inCanvas: onItsWay || inCanvas(target) })
      if (!binding) return
      const inDialog = target?.closest('[role="dialog"], [role="menu"], [role="listbox"]') !== null && target !== null
      if (inDialog && binding.command !== 'palette' && binding.command !== 'run-all') return
      // Undo and Escape inside a field belong to the field.
      if (isTyping(target) && (binding.command === 'undo' || binding.command === 'redo')) return
      // A control inside the canvas keeps its own Enter and Escape.
      if (binding.command === 'open-settings' && target?.closest('button, a')) return
      // In the outline the row with the focus is meant, whatever is selected.
      const row = target?.closest<HTMLElement>('[data-row]')?.dataset.row
      if (row !== undefined && binding.scope === 'canvas' && !editor.getState().selection.nodes.includes(row))
        editor.getState().select({ nodes: [row], edges: [] })
      if (binding.command === 'paste') return
      event.preventDefault()
      commands(binding.command)
    }
    const elsewhere = ({ target }: FocusEvent) => {
      if (view.getState().seeking !== null && target !== document.body) view.getState().set({ seeking: null })
    }
    const paste = (event: ClipboardEvent) => {
      const target = document.activeElement
      if (isTyping(target) || !(inCanvas(target) || target === document.body)) return
      event.preventDefault()
      const frame = document.querySelector('[data-canvas]')?.getBoundingClientRect()
      const at = pointer.inside
        ? pointer
        : { x: (frame?.left ?? 0) + (frame?.width ?? 0) / 2 - 112, y: (frame?.top ?? 0) + (frame?.height ?? 0) / 2 - 80 }
      actions.pasteText(event.clipboardData?.getData('text/plain') ?? null, flow.screenToFlowPosition(at))
    }
    // A pause, another key or a click ends the gesture that repeated arrows make.
    let quiet: ReturnType<typeof setTimeout> | undefined
    const release = (event: KeyboardEvent) => {
      clearTimeout(quiet)
      if (event.key.startsWith('Arrow')) quiet = setTimeout(() => editor.getState().endGesture(), 800)
    }
    window.addEventListener('keydown', press)
    window.addEventListener('keyup', release)
    window.addEventListener('focusin', elsewhere)
    window.addEventListener('paste', paste)
    window.addEventListener('pointermove', track, { passive: true })
    return () => {
      clearTimeout(quiet)
      window.removeEventListener('keydown', press)
      window.removeEventListener('keyup', release)
      window.removeEventListener('focusin', elsewhere)
      window.removeEventListener('paste', paste)
      window.removeEventListener('pointermove', track)
    }
  }, [commands, mac, actions, flow, editor, view])

  // The canvas's one tab stop is on a node that exists (UX-130).
  useEffect(
    () =>
      editor.subscribe(({ document: now }) => {
        const { focused, set } = view.getState()
        if (focused !== null && now.nodes[focused]) return
        const [first] = Object.keys(now.nodes).toSorted(
          (a, b) => placeOf(now, a).x - placeOf(now, b).x || placeOf(now, a).y - placeOf(now, b).y,
        )
        set({ focused: first ?? null })
      }),
    [editor, view],
  )
  useEffect(() => {
    const { document: now } = editor.getState()
    const [first] = Object.keys(now.nodes).toSorted(
      (a, b) => placeOf(now, a).x - placeOf(now, b).x || placeOf(now, a).y - placeOf(now, b).y,
    )
    if (view.getState().focused === null) view.getState().set({ focused: first ?? null })
  }, [editor, view])
}
