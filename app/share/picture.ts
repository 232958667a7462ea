'use client'
/** The canvas as a picture with the pipeline inside (UX-97): an SVG of its own, in the colours of the theme that is on, or a PNG of it. */
import { pngWithPipeline, svgMetadata } from '../../nodes/_kit/carried'
import type { PortDef, Registry } from '../../nodes/_kit/define-node'
import type { Pipeline } from '../../nodes/_kit/graph'
import { titleOf } from '../../nodes/_kit/wires'

const BOX = { width: 224, head: 36, row: 24, pad: 40 } as const
const XML: Readonly<Record<string, string>> = { '<': '&lt;', '>': '&gt;', '&': '&amp;', '"': '&quot;' }
// Control characters may stand in no XML, not even escaped.
const xml = (text: string) =>
  [...text]
    .filter((char) => char >= ' ')
    .join('')
    .replace(/[<>&"]/g, (char) => XML[char] as string)

type Colours = (name: string) => string

/** Titles longer than a box are cut: 30 characters of 13 px fit. */
const fit = (text: string) => (text.length > 29 ? `${text.slice(0, 28)}…` : text)

/** Pure but for the colours, which are asked for by the name of their token. */
export function pictureOf(
  document: Pipeline,
  registry: Registry,
  pipelineFile: string,
  colour: Colours,
): { svg: string; width: number; height: number } {
  const boxes = new Map(
    Object.keys(document.nodes).map((id, i) => {
      const node = document.nodes[id] as Pipeline['nodes'][string]
      const def = Object.hasOwn(registry, node.type) ? registry[node.type] : undefined
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
        { x, y, inputs, outputs, height: BOX.head + BOX.row * Math.max(1, inputs.size, outputs.size) + 6, known: def !== undefined },
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
    }/><text x="${box.x + 13}" y="${box.y + 23}" font-size="13" font-weight="600" fill="${colour('ink')}">${xml(fit(titleOf(document, registry, id)))}</text>${marks('inputs').join('')}${marks('outputs').join('')}</g>`
  })
  const notes = document.notes.map(
    (note) =>
      `<text x="${note.x}" y="${note.y + 14}" font-size="12" fill="${colour('ink-3')}">${xml(fit(note.text.split('\n')[0] ?? ''))}</text>`,
  )
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${left} ${top} ${width} ${height}" width="${width}" height="${height}" font-family="Inter, system-ui, sans-serif">${svgMetadata(pipelineFile)}<rect x="${left}" y="${top}" width="${width}" height="${height}" fill="${colour('ground')}"/>${wires.join('')}${cards.join('')}${notes.join('')}</svg>`
  return { svg, width, height }
}

/** Colours of the theme that is on. */
export const themeColour: Colours = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim() || 'gray'

/** The SVG drawn at twice its size, with the pipeline in the PNG's own chunk. */
export async function pngOf(
  picture: { svg: string; width: number; height: number },
  pipelineFile: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const address = URL.createObjectURL(new Blob([picture.svg], { type: 'image/svg+xml' }))
  try {
    const image = new Image()
    image.src = address
    await image.decode()
    // Browsers draw nothing beyond some 16,000 pixels a side.
    const scale = Math.min(2, 8_000 / Math.max(picture.width, picture.height))
    const canvas = Object.assign(document.createElement('canvas'), {
      width: Math.round(picture.width * scale),
      height: Math.round(picture.height * scale),
    })
    canvas.getContext('2d')?.drawImage(image, 0, 0, canvas.width, canvas.height)
    const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/png'))
    if (!blob) throw new Error('This browser cannot draw the picture.')
    return pngWithPipeline(new Uint8Array(await blob.arrayBuffer()), pipelineFile)
  } finally {
    URL.revokeObjectURL(address)
  }
}
