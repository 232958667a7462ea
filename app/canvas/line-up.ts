import type { Pipeline } from '../../nodes/_kit/graph'
import type { Built } from './build'
import { placeOf } from './graph-queries'

/** Places that line the nodes up, or put them at even distances (UX-32). `sizes` by node id. */
export type Lineup = 'left' | 'centre' | 'right' | 'top' | 'middle' | 'bottom' | 'across' | 'down'
export function lineUp(
  doc: Pipeline,
  ids: readonly string[],
  how: Lineup,
  sizes: Readonly<Record<string, { width: number; height: number }>>,
): Built | null {
  if (ids.length < 2) return null
  const boxes = ids.map((id) => ({ id, ...placeOf(doc, id), width: sizes[id]?.width ?? 224, height: sizes[id]?.height ?? 176 }))
  const across = how === 'left' || how === 'centre' || how === 'right' || how === 'across'
  const low = (box: (typeof boxes)[number]) => (across ? box.x : box.y)
  const size = (box: (typeof boxes)[number]) => (across ? box.width : box.height)
  const first = Math.min(...boxes.map(low))
  const last = Math.max(...boxes.map((box) => low(box) + size(box)))
  const grid = (n: number) => Math.round(n / 16) * 16
  const to = new Map<string, number>()
  if (how === 'across' || how === 'down') {
    const room = last - first - boxes.reduce((sum, box) => sum + size(box), 0)
    let at = first
    for (const box of boxes.toSorted((a, b) => low(a) - low(b))) {
      to.set(box.id, grid(at))
      at += size(box) + room / (boxes.length - 1)
    }
  } else {
    for (const box of boxes) {
      const at =
        how === 'left' || how === 'top' ? first : how === 'right' || how === 'bottom' ? last - size(box) : (first + last - size(box)) / 2
      to.set(box.id, grid(at))
    }
  }
  return {
    ids: [...ids],
    label: `${how === 'across' || how === 'down' ? 'distribute' : 'align'} ${ids.length} nodes`,
    edit: {
      kind: 'move',
      positions: Object.fromEntries(
        boxes.map((box) => [box.id, across ? { x: to.get(box.id) ?? box.x, y: box.y } : { x: box.x, y: to.get(box.id) ?? box.y }]),
      ),
    },
  }
}
