/** Which templates the gallery shows (UX-94). Pure, so that it is tested without a page. */
import type { Pipeline } from '../../nodes/_kit/graph'

export type GalleryCard = {
  id: string
  title: string
  sentence: string
  task: string
  from: 'thaw' | 'you'
  minutes: number | null
  dataNote: string
  modelNote: string
  document: Pipeline
}

export type Filter = { words: string; tasks: ReadonlySet<string>; from: ReadonlySet<string>; quick: boolean; bundled: boolean }

export const NO_FILTER: Filter = { words: '', tasks: new Set(), from: new Set(), quick: false, bundled: false }

/** Minutes that count as quick. */
export const QUICK_MINUTES = 5

/** Whether every model in it ships with Thaw, so that it runs without a download. */
export const isBundled = ({ document }: Pick<GalleryCard, 'document'>): boolean =>
  Object.values(document.nodes).every((node) => node.type !== 'load-model' || node.params.model === 'builtin:thaw-tiny')

/** Every word must occur in what the card says, its fields, its nodes or their settings. */
function says(card: GalleryCard, words: string): boolean {
  const text = [
    card.title,
    card.sentence,
    card.task,
    card.dataNote,
    card.modelNote,
    ...card.document.inputs.map((input) => input.title),
    ...Object.values(card.document.nodes).map((node) => `${node.type.replaceAll('-', ' ')} ${node.type}`),
    ...card.document.notes.map((note) => note.text),
  ]
    .join(' ')
    .toLowerCase()
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word))
}

export const filtered = <C extends GalleryCard>(cards: readonly C[], filter: Filter): C[] =>
  cards.filter(
    (card) =>
      (filter.tasks.size === 0 || filter.tasks.has(card.task)) &&
      (filter.from.size === 0 || filter.from.has(card.from)) &&
      (!filter.quick || (card.minutes !== null && card.minutes <= QUICK_MINUTES)) &&
      (!filter.bundled || isBundled(card)) &&
      says(card, filter.words.trim()),
  )
