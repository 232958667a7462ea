/**
 * Templates: the shipped ones under templates/ of the checkout, and those that people saved under THAW_HOME/templates. A folder each, with
 * `template.json` (what the card says) and `pipeline.json` (what opens); a saved one keeps what it was before under `versions/`.
 */
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import type { Registry } from '../nodes/_kit/define-node'
import type { Pipeline } from '../nodes/_kit/graph'
import { parseDocument, writeDocument } from '../nodes/_kit/migrate'
import { portable, type Removed } from '../nodes/_kit/portable'
import { AppError } from './errors'

export const TEMPLATE_TASKS = ['Extraction', 'Classification', 'Writing', 'Analysis', 'Layers', 'Data quality'] as const

const Card = z.object({
  title: z.string(),
  /** What it gives, one sentence. */
  sentence: z.string(),
  /** On 2 CPU cores, after downloads; null for one that was never measured. */
  minutes: z.number().nullable(),
  dataNote: z.string(),
  modelNote: z.string(),
  /** Smallest first. */
  order: z.number(),
  task: z.enum(TEMPLATE_TASKS).default('Writing'),
  /** Metric that a run must reach. */
  expected: z.object({ metric: z.string(), atLeast: z.number() }).nullable().default(null),
  /** Counts the times a saved template was saved. */
  version: z.int().min(1).default(1),
})
export type TemplateCard = z.infer<typeof Card> & { id: string; from: 'thaw' | 'you'; nodes: number; document: Pipeline }

export const NewTemplate = z.strictObject({
  title: z.string().trim().min(1).max(100),
  sentence: z.string().trim().max(140),
  task: z.enum(TEMPLATE_TASKS),
  minutes: z.number().min(0).max(10_000).nullable(),
  expected: z.strictObject({ metric: z.string().min(1).max(100), atLeast: z.number() }).nullable(),
})
export type NewTemplate = z.infer<typeof NewTemplate>

export type Templates = {
  list(): Promise<TemplateCard[]>
  get(id: string): Promise<TemplateCard>
  /** Saves a cleaned copy; the same title again is the next version. */
  save(values: NewTemplate, document: Pipeline): Promise<{ id: string; version: number; removed: readonly Removed[] }>
  /** Only saved ones. @throws AppError NOT_FOUND */
  remove(id: string): Promise<void>
}

const ID = /^[a-z0-9][a-z0-9-]{0,63}$/
/** Before the name of a saved template, so that it never hides a shipped one. */
const OWN = 'my-'

const idOf = (title: string) =>
  `${OWN}${
    title
      .normalize('NFKD')
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '')
      .slice(0, 50) || 'template'
  }`

const noSuch = (id: string) => new AppError('NOT_FOUND', { message: 'There is no such template.', got: id.slice(0, 80) })

/** Reads are remembered by modification time. @param home THAW_HOME, for saved templates; null: there are none. */
export function openTemplates(root: string, registry: Registry, home: string | null = null): Templates {
  const shipped = join(root, 'templates')
  const own = home === null ? null : join(home, 'templates')
  const known = new Map<string, { stamp: string; card: TemplateCard }>()
  const folderOf = (id: string) => (id.startsWith(OWN) && own !== null ? join(own, id) : join(shipped, id))

  async function read(id: string): Promise<TemplateCard> {
    const folder = folderOf(id)
    const files = [join(folder, 'template.json'), join(folder, 'pipeline.json')] as const
    const stamp = (await Promise.all(files.map(async (file) => (await stat(/*turbopackIgnore: true*/ file)).mtimeMs))).join()
    const remembered = known.get(id)
    if (remembered?.stamp === stamp) return remembered.card
    const card = Card.safeParse(JSON.parse(await readFile(/*turbopackIgnore: true*/ files[0], 'utf8')))
    if (!card.success)
      throw new AppError('INTERNAL', { message: `The template ${id} is not complete.`, where: files[0], got: z.prettifyError(card.error) })
    const loaded = parseDocument(await readFile(/*turbopackIgnore: true*/ files[1], 'utf8'), registry)
    if (!loaded.ok)
      throw new AppError('INTERNAL', {
        message: `The pipeline of template ${id} cannot be opened.`,
        where: files[1],
        got: loaded.problems.map((p) => p.message).join(' '),
      })
    const from = folder.startsWith(shipped) ? ('thaw' as const) : ('you' as const)
    const template = { ...card.data, id, from, nodes: Object.keys(loaded.document.nodes).length, document: loaded.document }
    known.set(id, { stamp, card: template })
    return template
  }

  async function cardsIn(folder: string, mine: boolean): Promise<TemplateCard[]> {
    const entries = await readdir(/*turbopackIgnore: true*/ folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
      if (mine && error.code === 'ENOENT') return []
      throw error
    })
    const cards: TemplateCard[] = []
    for (const entry of entries) {
      if (!entry.isDirectory() || !ID.test(entry.name) || entry.name.startsWith(OWN) !== mine) continue
      if (!(await stat(join(folder, entry.name, 'template.json')).catch(() => null))) continue
      // A saved one that a newer Thaw wrote, or that was edited by hand, must not hide all others.
      const card = mine ? await read(entry.name).catch(() => null) : await read(entry.name)
      if (card) cards.push(card)
    }
    return cards.sort((a, b) => a.order - b.order || (a.id < b.id ? -1 : 1))
  }

  return {
    async list() {
      return [...(await cardsIn(shipped, false)), ...(own === null ? [] : await cardsIn(own, true))]
    },
    async get(id) {
      if (!ID.test(id)) throw noSuch(id)
      try {
        return await read(id)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw noSuch(id)
        throw error
      }
    },
    async save(values, document) {
      if (own === null) throw new AppError('UNSUPPORTED', { message: 'Templates cannot be saved here.' })
      const id = idOf(values.title)
      const folder = join(own, id)
      const { document: clean, removed } = portable(document, registry)
      await mkdir(join(folder, 'versions'), { recursive: true })
      const before = await read(id).catch(() => null)
      const version = (before?.version ?? 0) + 1
      if (before) await writeFile(join(folder, 'versions', `${before.version}.json`), writeDocument(before.document))
      const card = { ...values, dataNote: dataWords(clean), modelNote: modelWords(clean), order: 1_000, version }
      for (const [name, text] of [
        ['pipeline.json', writeDocument(clean)],
        ['template.json', `${JSON.stringify(card, null, 2)}\n`],
      ] as const) {
        await writeFile(join(folder, `${name}.new`), text, { flush: true })
        await rename(join(folder, `${name}.new`), join(folder, name))
      }
      known.delete(id)
      return { id, version, removed }
    },
    async remove(id) {
      if (own === null || !ID.test(id) || !id.startsWith(OWN)) throw noSuch(id)
      if (!(await stat(join(own, id)).catch(() => null))) throw noSuch(id)
      await rm(join(own, id), { recursive: true })
      known.delete(id)
    },
  }
}

const paramOf = (document: Pipeline, type: string, param: string): string[] =>
  Object.values(document.nodes).flatMap((node) => {
    const value = node.type === type ? node.params[param] : undefined
    return typeof value === 'string' && value !== '' ? [value.split('/').at(-1) ?? value] : []
  })

const dataWords = (document: Pipeline): string => {
  const names = [...new Set(paramOf(document, 'load-data', 'file'))]
  return names.length ? names.join(', ') : 'its own data'
}
const modelWords = (document: Pipeline): string => {
  const names = [...new Set(paramOf(document, 'load-model', 'model'))].map((name) => name.replace(/^builtin:/, ''))
  return names.length ? names.join(', ') : 'no model'
}
