/** The shipped pipelines: a folder each under templates/, with `template.json` (what the card says) and `pipeline.json` (what opens). */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import type { Registry } from '../nodes/_kit/define-node'
import type { Pipeline } from '../nodes/_kit/graph'
import { parseDocument } from '../nodes/_kit/migrate'
import { AppError } from './errors'

const Card = z.object({
  title: z.string(),
  /** What it gives, one sentence. */
  sentence: z.string(),
  /** On 2 CPU cores, after downloads. */
  minutes: z.number(),
  dataNote: z.string(),
  modelNote: z.string(),
  /** Smallest first. */
  order: z.number(),
})
export type TemplateCard = z.infer<typeof Card> & { id: string; nodes: number; document: Pipeline }

export type Templates = { list(): Promise<TemplateCard[]>; get(id: string): Promise<TemplateCard> }

const ID = /^[a-z0-9][a-z0-9-]{0,63}$/

/** Reads are remembered by modification time: templates change only with a new Thaw, or while somebody writes one. */
export function openTemplates(root: string, registry: Registry): Templates {
  const folder = join(root, 'templates')
  const known = new Map<string, { stamp: string; card: TemplateCard }>()

  async function read(id: string): Promise<TemplateCard> {
    const files = [join(folder, id, 'template.json'), join(folder, id, 'pipeline.json')] as const
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
    const template = { ...card.data, id, nodes: Object.keys(loaded.document.nodes).length, document: loaded.document }
    known.set(id, { stamp, card: template })
    return template
  }

  return {
    async list() {
      const entries = await readdir(folder, { withFileTypes: true })
      const cards: TemplateCard[] = []
      for (const entry of entries) {
        if (!entry.isDirectory() || !ID.test(entry.name)) continue
        if (!(await stat(join(folder, entry.name, 'template.json')).catch(() => null))) continue
        cards.push(await read(entry.name))
      }
      return cards.sort((a, b) => a.order - b.order || (a.id < b.id ? -1 : 1))
    },
    async get(id) {
      if (!ID.test(id)) throw new AppError('NOT_FOUND', { message: 'There is no such template.', got: id.slice(0, 80) })
      try {
        return await read(id)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT')
          throw new AppError('NOT_FOUND', { message: 'There is no such template.', got: id })
        throw error
      }
    },
  }
}
