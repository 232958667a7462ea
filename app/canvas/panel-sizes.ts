/** Sizes of the panels in pixels, kept for this viewer (UX-15). A folded panel is as wide as its fold. */
const KEY = 'thaw:panels'
export type Sizes = { left: number; right: number; bottom: number }
/** On a narrow window the nodes start folded: the canvas needs the room (UX-8). */
const standard = (): Sizes => ({ left: typeof window !== 'undefined' && window.innerWidth < 1200 ? 48 : 220, right: 320, bottom: 33 })

export function readSizes(): Sizes {
  const sizes = standard()
  try {
    const saved = JSON.parse(localStorage.getItem(KEY) ?? '{}') as Partial<Record<keyof Sizes, unknown>>
    for (const side of ['left', 'right', 'bottom'] as const) {
      const value = saved[side]
      if (typeof value === 'number' && value >= 0 && value <= 2_000) sizes[side] = value
    }
  } catch {
    // No storage or damaged text: the standard sizes.
  }
  return sizes
}

export function writeSizes(sizes: Partial<Sizes>): void {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...readSizes(), ...sizes }))
  } catch {
    // Without storage the sizes last until the page is closed.
  }
}
