/**
 * One table for the key handler, the menus, the command palette and the `?` sheet (UX-100). `Mod` is ⌘ on macOS and Ctrl elsewhere.
 * Keys of scope `canvas` act only while the canvas or something in it has focus and no text is being typed (WCAG 2.1.4).
 */
export type CommandId =
  | 'palette'
  | 'add-node'
  | 'connect'
  | 'run-all'
  | 'run-to-here'
  | 'run-selected'
  | 'stop'
  | 'next-problem'
  | 'previous-problem'
  | 'undo'
  | 'redo'
  | 'copy'
  | 'cut'
  | 'paste'
  | 'duplicate'
  | 'select-all'
  | 'delete'
  | 'delete-plain'
  | 'open-settings'
  | 'to-canvas'
  | 'walk-left'
  | 'walk-right'
  | 'walk-up'
  | 'walk-down'
  | 'move-left'
  | 'move-right'
  | 'move-up'
  | 'move-down'
  | 'leap-left'
  | 'leap-right'
  | 'leap-up'
  | 'leap-down'
  | 'disable'
  | 'rename'
  | 'fit'
  | 'zoom-100'
  | 'zoom-in'
  | 'zoom-out'
  | 'fold-left'
  | 'fold-right'
  | 'fold-bottom'
  | 'next-region'
  | 'help'
  | 'insert'
  | 'replace'
  | 'note'
  | 'group'
  | 'ungroup'
  | 'tidy'
  | 'preview'
  | 'save'
  | 'history'
  | 'form'
  | 'check'

export type KeyGroup = 'Build' | 'Edit' | 'Run' | 'Move about' | 'View'

export type Binding = {
  readonly command: CommandId
  /** What the sheet and the palette say. */
  readonly label: string
  readonly group: KeyGroup
  /** Alternatives, the first is the one shown. Parts joined by `+`; `?` and the like are matched by the character they type. */
  readonly keys: readonly string[]
  readonly scope: 'everywhere' | 'canvas'
  /** Left out of the command palette: it needs a place on the canvas to make sense. */
  readonly keysOnly?: true
}

export const KEYS: readonly Binding[] = [
  { command: 'add-node', label: 'Add a node', group: 'Build', keys: ['/'], scope: 'canvas' },
  { command: 'connect', label: 'Connect from the node', group: 'Build', keys: ['C'], scope: 'canvas' },
  { command: 'insert', label: 'Insert on the wire', group: 'Build', keys: ['I'], scope: 'canvas' },
  { command: 'replace', label: 'Replace the node', group: 'Build', keys: ['R'], scope: 'canvas' },
  { command: 'delete', label: 'Delete and reconnect', group: 'Build', keys: ['Delete', 'Backspace'], scope: 'canvas' },
  {
    command: 'delete-plain',
    label: 'Delete without reconnecting',
    group: 'Build',
    keys: ['Shift+Delete', 'Shift+Backspace'],
    scope: 'canvas',
  },
  { command: 'disable', label: 'Disable or enable', group: 'Build', keys: ['M'], scope: 'canvas' },
  { command: 'rename', label: 'Rename', group: 'Build', keys: ['F2'], scope: 'canvas' },
  { command: 'note', label: 'Add a note', group: 'Build', keys: ['N'], scope: 'canvas' },
  { command: 'group', label: 'Group', group: 'Build', keys: ['Mod+G'], scope: 'canvas' },
  { command: 'ungroup', label: 'Ungroup', group: 'Build', keys: ['Shift+Mod+G'], scope: 'canvas' },
  { command: 'tidy', label: 'Tidy up', group: 'Build', keys: ['Shift+L'], scope: 'canvas' },
  { command: 'undo', label: 'Undo', group: 'Edit', keys: ['Mod+Z'], scope: 'everywhere' },
  { command: 'redo', label: 'Redo', group: 'Edit', keys: ['Shift+Mod+Z', 'Mod+Y'], scope: 'everywhere' },
  { command: 'copy', label: 'Copy', group: 'Edit', keys: ['Mod+C'], scope: 'canvas' },
  { command: 'cut', label: 'Cut', group: 'Edit', keys: ['Mod+X'], scope: 'canvas' },
  { command: 'paste', label: 'Paste', group: 'Edit', keys: ['Mod+V'], scope: 'canvas' },
  { command: 'duplicate', label: 'Duplicate', group: 'Edit', keys: ['Mod+D'], scope: 'canvas' },
  { command: 'select-all', label: 'Select all', group: 'Edit', keys: ['Mod+A'], scope: 'canvas' },
  { command: 'save', label: 'Name a version', group: 'Edit', keys: ['Mod+S'], scope: 'everywhere' },
  { command: 'history', label: 'History', group: 'Edit', keys: [], scope: 'everywhere' },
  { command: 'run-all', label: 'Run all', group: 'Run', keys: ['Mod+Enter'], scope: 'everywhere' },
  { command: 'run-to-here', label: 'Run to here', group: 'Run', keys: ['Shift+Mod+Enter'], scope: 'everywhere' },
  { command: 'run-selected', label: 'Run selected', group: 'Run', keys: [], scope: 'everywhere' },
  { command: 'stop', label: 'Stop and keep checkpoint', group: 'Run', keys: ['Mod+.'], scope: 'everywhere' },
  { command: 'check', label: 'Check', group: 'Run', keys: [], scope: 'everywhere' },
  { command: 'next-problem', label: 'Next problem', group: 'Run', keys: ['F8'], scope: 'everywhere' },
  { command: 'previous-problem', label: 'Previous problem', group: 'Run', keys: ['Shift+F8'], scope: 'everywhere' },
  { command: 'walk-left', label: 'Walk upstream', group: 'Move about', keys: ['ArrowLeft'], scope: 'canvas', keysOnly: true },
  { command: 'walk-right', label: 'Walk downstream', group: 'Move about', keys: ['ArrowRight'], scope: 'canvas', keysOnly: true },
  { command: 'walk-up', label: 'Node above', group: 'Move about', keys: ['ArrowUp'], scope: 'canvas', keysOnly: true },
  { command: 'walk-down', label: 'Node below', group: 'Move about', keys: ['ArrowDown'], scope: 'canvas', keysOnly: true },
  { command: 'move-left', label: 'Move node left 16 px', group: 'Move about', keys: ['Alt+ArrowLeft'], scope: 'canvas', keysOnly: true },
  { command: 'move-right', label: 'Move node right 16 px', group: 'Move about', keys: ['Alt+ArrowRight'], scope: 'canvas', keysOnly: true },
  { command: 'move-up', label: 'Move node up 16 px', group: 'Move about', keys: ['Alt+ArrowUp'], scope: 'canvas', keysOnly: true },
  { command: 'move-down', label: 'Move node down 16 px', group: 'Move about', keys: ['Alt+ArrowDown'], scope: 'canvas', keysOnly: true },
  {
    command: 'leap-left',
    label: 'Move node left 64 px',
    group: 'Move about',
    keys: ['Shift+Alt+ArrowLeft'],
    scope: 'canvas',
    keysOnly: true,
  },
  {
    command: 'leap-right',
    label: 'Move node right 64 px',
    group: 'Move about',
    keys: ['Shift+Alt+ArrowRight'],
    scope: 'canvas',
    keysOnly: true,
  },
  { command: 'leap-up', label: 'Move node up 64 px', group: 'Move about', keys: ['Shift+Alt+ArrowUp'], scope: 'canvas', keysOnly: true },
  {
    command: 'leap-down',
    label: 'Move node down 64 px',
    group: 'Move about',
    keys: ['Shift+Alt+ArrowDown'],
    scope: 'canvas',
    keysOnly: true,
  },
  { command: 'preview', label: 'Show what goes in and out', group: 'Move about', keys: ['P'], scope: 'canvas' },
  { command: 'open-settings', label: 'Open settings', group: 'Move about', keys: ['Enter'], scope: 'canvas', keysOnly: true },
  { command: 'to-canvas', label: 'Back to canvas', group: 'Move about', keys: ['Escape'], scope: 'everywhere', keysOnly: true },
  { command: 'next-region', label: 'Next region', group: 'Move about', keys: ['F6'], scope: 'everywhere', keysOnly: true },
  { command: 'palette', label: 'Commands', group: 'View', keys: ['Mod+K'], scope: 'everywhere', keysOnly: true },
  { command: 'form', label: 'Form or canvas', group: 'View', keys: [], scope: 'everywhere' },
  { command: 'fit', label: 'Fit everything', group: 'View', keys: ['1'], scope: 'canvas' },
  { command: 'zoom-100', label: 'Zoom to 100 %', group: 'View', keys: ['0'], scope: 'canvas' },
  { command: 'zoom-in', label: 'Zoom in', group: 'View', keys: ['+', '='], scope: 'canvas' },
  { command: 'zoom-out', label: 'Zoom out', group: 'View', keys: ['-', '−'], scope: 'canvas' },
  { command: 'fold-left', label: 'Fold the node list', group: 'View', keys: ['['], scope: 'canvas' },
  { command: 'fold-right', label: 'Fold the settings', group: 'View', keys: [']'], scope: 'canvas' },
  { command: 'fold-bottom', label: 'Fold the run panel', group: 'View', keys: ['`'], scope: 'canvas' },
  { command: 'help', label: 'Keyboard', group: 'View', keys: ['?'], scope: 'canvas' },
]

export type KeyPress = {
  readonly key: string
  readonly code: string
  readonly altKey: boolean
  readonly ctrlKey: boolean
  readonly metaKey: boolean
  readonly shiftKey: boolean
}

function fits(combination: string, press: KeyPress, mac: boolean): boolean {
  const plus = combination === '+'
  const parts = plus ? ['+'] : combination.split('+')
  const key = parts.at(-1) as string
  const wants = (name: string): boolean => !plus && parts.slice(0, -1).includes(name)
  const mod = mac ? press.metaKey : press.ctrlKey
  const other = mac ? press.ctrlKey : press.metaKey
  if (wants('Mod') !== mod || other || wants('Alt') !== press.altKey) return false
  // A letter with Alt types something else on macOS and Shift turns digits into signs, so letters go by the physical key as well.
  if (/^[A-Z]$/.test(key))
    return wants('Shift') === press.shiftKey && (press.key.toUpperCase() === key || (press.altKey && press.code === `Key${key}`))
  // Signs are matched by what they type: where `?` or `/` lie, and whether they need Shift, depends on the keyboard.
  if (key.length === 1) return press.key === key
  return wants('Shift') === press.shiftKey && press.key === key
}

/** The binding a key press means, or undefined. `inCanvas`: the canvas has focus and no text is being typed. */
export function bindingFor(press: KeyPress, where: { mac: boolean; inCanvas: boolean }): Binding | undefined {
  return KEYS.find((b) => (b.scope === 'everywhere' || where.inCanvas) && b.keys.some((combination) => fits(combination, press, where.mac)))
}

const MAC_SIGNS: Record<string, string> = { Mod: '⌘', Shift: '⇧', Alt: '⌥' }
const NAMES: Record<string, string> = {
  Enter: '↵',
  Escape: 'Esc',
  ArrowLeft: '←',
  ArrowRight: '→',
  ArrowUp: '↑',
  ArrowDown: '↓',
  Delete: 'Del',
  Backspace: '⌫',
}

/** The caps to draw for a combination: `['⇧', '⌘', 'Z']` on macOS, `['Shift', 'Ctrl', 'Z']` elsewhere. */
export function capsOf(combination: string, mac: boolean): string[] {
  const parts = combination === '+' ? ['+'] : combination.split('+')
  return parts.map((part) => (mac ? MAC_SIGNS[part] : part === 'Mod' ? 'Ctrl' : undefined) ?? NAMES[part] ?? part)
}

/** The first key of a command as one string for tooltips and menus; empty when it has none. */
export function shortcutOf(command: CommandId, mac: boolean): string {
  const combination = KEYS.find((b) => b.command === command)?.keys[0]
  return combination === undefined ? '' : capsOf(combination, mac).join(mac ? '' : '+')
}
