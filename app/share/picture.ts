'use client'
/** The canvas as a picture with the pipeline inside (UX-97), in the colours of the theme that is on; a PNG of it for chats and documents. */
import { pngWithPipeline } from '../../nodes/_kit/carried'
import type { Colours } from '../../nodes/_kit/picture'

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
