/** A pipeline as a picture (UX-97): one SVG of its own, drawn from the document alone, with the pipeline inside it where one is given. */
import { svgMetadata } from './carried'
import type { PortDef, Registry } from './define-node'
import type { Pipeline } from './graph'
import { titleOf } from './wires'

const BOX = { width: 224, head: 36, row: 24, pad: 40 } as const
const XML: Readonly<Record<string, string>> = { '<': '&lt;', '>': '&gt;', '&': '&amp;', '"': '&quot;' }
// Control characters may stand in no XML, not even escaped.
const xml = (text: string) =>
  [...text]
    .filter((char) => char >= ' ')
    .join('')
    .replace(/[<>&"]/g, (char) => XML[char] as string)

export type Colours = (name: string) => string

/** Titles longer than a box are cut: 30 characters of 13 px fit. */
const fit = (text: string) => (text.length > 29 ? `${text.slice(0, 28)}…` : text)

/** What a node is called where its type is not at hand. */
const plainTitle = (document: Pipeline, id: string): string => {
  const words = (document.nodes[id]?.type ?? id).replaceAll('-', ' ')
  return document.layout.nodes[id]?.title ?? words.charAt(0).toUpperCase() + words.slice(1)
}

/** Without a registry boxes have no ports. Pure but for the colours, which are asked for by the name of their token. */
export function pictureOf(
  document: Pipeline,
  registry: Registry | null,
  pipelineFile: string | null,
  colour: Colours,
): { svg: string; width: number; height: number } {
  const boxes = new Map(
    Object.keys(document.nodes).map((id, i) => {
      const node = document.nodes[id] as Pipeline['nodes'][string]
      const def = registry && Object.hasOwn(registry, node.type) ? registry[node.type] : undefined
      const ports = (side: 'inputs' | 'outputs') =>
        new Map(
          Object.entries((def?.[side] ?? {}) as Record<string, PortDef>).map(([name, port], at) => [
            name,
            { at, kind: port.kind, title: port.title },
          ]),
        )
      const [inputs, outputs] = [ports('inputs'), ports('outputs')]
      const { x, y } = document.layout.nodes[id] ?? { x: i * 264, y: 0 }
      return [
        id,
        {
          x,
          y,
          inputs,
          outputs,
          height: BOX.head + BOX.row * Math.max(1, inputs.size, outputs.size) + 6,
          known: registry === null || def !== undefined,
        },
      ] as const
    }),
  )
  const all = [...boxes.values()]
  const left = Math.min(0, ...all.map((box) => box.x)) - BOX.pad
  const top = Math.min(0, ...all.map((box) => box.y)) - BOX.pad
  const width = Math.max(320, ...all.map((box) => box.x + BOX.width + BOX.pad - left))
  const height = Math.max(200, ...all.map((box) => box.y + box.height + BOX.pad - top))
  const portY = (box: { y: number }, at: number) => box.y + BOX.head + BOX.row * at + BOX.row / 2
  const wires = document.edges.flatMap(({ from, to }) => {
    const [source, target] = [boxes.get(from.node), boxes.get(to.node)]
    if (!source || !target) return []
    const out = source.outputs.get(from.port)
    const [x1, y1] = [source.x + BOX.width, portY(source, out?.at ?? 0)]
    const [x2, y2] = [target.x, portY(target, target.inputs.get(to.port)?.at ?? 0)]
    const swing = Math.max(28, Math.min(140, Math.abs(x2 - x1) * 0.45))
    const d = `M${x1} ${y1}C${x1 + swing} ${y1} ${x2 - swing} ${y2} ${x2} ${y2}`
    return [`<path d="${d}" fill="none" stroke="${colour(out?.kind ?? 'report')}" stroke-width="${out?.kind === 'model' ? 4 : 2}"/>`]
  })
  const cards = [...boxes].map(([id, box]) => {
    const marks = (side: 'inputs' | 'outputs') =>
      [...box[side].values()].map(({ at, kind, title }) => {
        const cx = side === 'inputs' ? box.x : box.x + BOX.width
        const y = portY(box, at)
        return `<circle cx="${cx}" cy="${y}" r="5" fill="${colour(kind)}"/><text x="${side === 'inputs' ? cx + 13 : cx - 13}" y="${y + 4}" text-anchor="${
          side === 'inputs' ? 'start' : 'end'
        }" font-size="12" fill="${colour('ink-2')}">${xml(title)}</text>`
      })
    return `<g><rect x="${box.x}" y="${box.y}" width="${BOX.width}" height="${box.height}" rx="8" fill="${colour('surface')}" stroke="${colour('line-strong')}"${
      box.known ? '' : ' stroke-dasharray="4 3"'
    }/><text x="${box.x + 13}" y="${box.y + 23}" font-size="13" font-weight="600" fill="${colour('ink')}">${xml(fit(registry ? titleOf(document, registry, id) : plainTitle(document, id)))}</text>${marks('inputs').join('')}${marks('outputs').join('')}</g>`
  })
  const notes = document.notes.map(
    (note) =>
      `<text x="${note.x}" y="${note.y + 14}" font-size="12" fill="${colour('ink-3')}">${xml(fit(note.text.split('\n')[0] ?? ''))}</text>`,
  )
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${left} ${top} ${width} ${height}" width="${width}" height="${height}" font-family="Inter, system-ui, sans-serif">${pipelineFile === null ? '' : svgMetadata(pipelineFile)}<rect x="${left}" y="${top}" width="${width}" height="${height}" fill="${colour('ground')}"/>${wires.join('')}${cards.join('')}${notes.join('')}</svg>`
  return { svg, width, height }
}
