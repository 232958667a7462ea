/**
 * Between the layer grid and the settings of Freeze layers (UX-42): which cells are open under a choice, and the shortest choice that opens
 * exactly the cells a person marked. Pure. Resolving to parameter names is the node's own affair (`nodes/_kit/freeze.ts`); this only asks it.
 */
import type { ParameterFact } from '../../nodes/_kit/facts'
import { BLOCK_PARTS, type BlockPart, type FreezableModel, type FreezeChoice, resolveFreeze, sizeOf } from '../../nodes/_kit/freeze'
import { matchesPattern } from '../../nodes/_kit/patterns'

/** `block.part`, as in `20.attention`. */
export type CellKey = `${number}.${BlockPart}`
export const cellKey = (block: number, part: BlockPart): CellKey => `${block}.${part}`

export type Cell = { block: number; part: BlockPart; total: number; open: number }
/** Rows are blocks, columns parts; a part that the model lacks in a block has `total` 0. */
export type Grid = { parts: readonly BlockPart[]; rows: readonly (readonly Cell[])[] }

const isPart = (part: string): part is BlockPart => (BLOCK_PARTS as readonly string[]).includes(part)

/** Names that are open under a choice; where the node refuses the choice, what comes closest to it, so that the grid never goes blank. */
export function openNames(choice: FreezeChoice, model: FreezableModel): ReadonlySet<string> {
  const { plan, problems } = resolveFreeze(choice, model)
  if (plan) return new Set(plan.names)
  const codes = new Set(problems.map((problem) => problem.code))
  if (codes.has('nothing_frozen')) return new Set(model.parameters.map((p) => p.name))
  if (codes.has('too_many_blocks')) return openNames({ ...choice, count: model.blocks }, model)
  if (codes.has('no_such_block')) return openNames({ ...choice, blocks: choice.blocks.filter((b) => b < model.blocks) }, model)
  if (codes.has('pattern_matches_nothing')) {
    const patterns = choice.patterns.filter((pattern) => model.parameters.some((p) => matchesPattern(pattern, p.name)))
    if (patterns.length < choice.patterns.length) return openNames({ ...choice, patterns }, model)
  }
  return new Set()
}

export function gridOf(model: FreezableModel, open: ReadonlySet<string>): Grid {
  const parts = BLOCK_PARTS.filter((part) => model.parameters.some((p) => p.block !== null && p.part === part))
  const rows = Array.from({ length: model.blocks }, (_, block) => parts.map((part): Cell => ({ block, part, total: 0, open: 0 })))
  for (const p of model.parameters) {
    if (p.block === null || !isPart(p.part)) continue
    const cell = rows[p.block]?.[parts.indexOf(p.part)]
    if (!cell) continue
    cell.total += sizeOf(p)
    if (open.has(p.name)) cell.open += sizeOf(p)
  }
  return { parts, rows }
}

export const openCells = (grid: Grid): Set<CellKey> =>
  new Set(grid.rows.flatMap((row) => row.filter((cell) => cell.open > 0).map((cell) => cellKey(cell.block, cell.part))))

/** Runs of consecutive numbers: [0, 1, 2, 7] → [[0, 2], [7, 7]]. */
function runsOf(blocks: readonly number[]): [number, number][] {
  const runs: [number, number][] = []
  for (const block of [...blocks].sort((a, b) => a - b)) {
    const last = runs.at(-1)
    if (last && last[1] === block - 1) last[1] = block
    else runs.push([block, block])
  }
  return runs
}

const numbers = ([from, to]: readonly [number, number]): string => (from === to ? String(from) : `{${from}..${to}}`)

/** A parameter's name with its block number left open: what all blocks have in common. Null when the number is not in the name. */
function templateOf(p: ParameterFact): [head: string, tail: string] | null {
  const at = new RegExp(`(^|\\.)${p.block}(?=\\.)`).exec(p.name)
  if (!at) return null
  const start = at.index + (at[1] === '.' ? 1 : 0)
  return [p.name.slice(0, start), p.name.slice(start + String(p.block).length)]
}

const commonStart = (texts: readonly string[]): string =>
  texts.reduce((common, text) => {
    let i = 0
    while (i < common.length && common[i] === text[i]) i++
    return common.slice(0, i)
  })

/** Patterns that match exactly the given names of the model; one wildcard per part and run of blocks where that is exact. */
export function patternsFor(model: FreezableModel, cells: ReadonlySet<CellKey>): string[] {
  const patterns: string[] = []
  for (const part of BLOCK_PARTS) {
    const blocks = Array.from({ length: model.blocks }, (_, b) => b).filter((b) => cells.has(cellKey(b, part)))
    if (blocks.length === 0) continue
    for (const run of runsOf(blocks)) {
      const inRun = model.parameters.filter((p) => p.part === part && p.block !== null && p.block >= run[0] && p.block <= run[1])
      const templates = inRun.map(templateOf)
      if (templates.some((t) => t === null)) {
        patterns.push(...inRun.map((p) => p.name))
        continue
      }
      const known = templates as [string, string][]
      const heads = new Set(known.map(([head]) => head))
      const tails = [...new Set(known.map(([, tail]) => tail))]
      const wanted = new Set(inRun.map((p) => p.name))
      const exact = (pattern: string) => model.parameters.every((p) => matchesPattern(pattern, p.name) === wanted.has(p.name))
      const start = commonStart(tails)
      const wide = `${[...heads][0]}${numbers(run)}${start.slice(0, start.lastIndexOf('.') + 1)}*`
      if (heads.size === 1 && exact(wide)) patterns.push(wide)
      else for (const head of heads) for (const tail of tails) patterns.push(`${head}${numbers(run)}${tail}`)
    }
  }
  // A tail that only some blocks have makes a pattern that matches nothing elsewhere, which the node would refuse.
  return patterns.filter((pattern) => model.parameters.some((p) => matchesPattern(pattern, p.name)))
}

export type GridChoice = Pick<FreezeChoice, 'mode' | 'count' | 'blocks' | 'patterns' | 'parts' | 'train_norms'>

/**
 * The settings that open exactly these cells: the last or first blocks where they are that, else the exact blocks, else patterns. Settings
 * that the mode does not use keep their values. Norms that have a switch of their own stay with it while all of them are open.
 */
export function choiceOf(cells: ReadonlySet<CellKey>, model: FreezableModel, before: FreezeChoice): GridChoice {
  const grid = gridOf(model, new Set())
  const has = (block: number, part: BlockPart) => cells.has(cellKey(block, part))
  const all = Array.from({ length: model.blocks }, (_, b) => b)
  const normsOpen = grid.rows.every((row) => row.every((cell) => cell.part !== 'norm' || cell.total === 0 || has(cell.block, 'norm')))
  const train_norms = before.train_norms && normsOpen
  const parts = grid.parts.filter((part) => !(train_norms && part === 'norm') && all.some((b) => has(b, part)))
  const kept: GridChoice = {
    mode: before.mode,
    count: before.count,
    blocks: [...before.blocks],
    patterns: [...before.patterns],
    parts: [...before.parts],
    train_norms,
  }
  const sets = parts.map((part) => all.filter((b) => has(b, part)))
  const [first] = sets
  if (!first) return { ...kept, mode: 'blocks', blocks: [] }
  if (!sets.every((set) => set.length === first.length && set.every((b, i) => b === first[i]))) {
    const wanted = new Set([...cells].filter((key) => !(train_norms && key.endsWith('.norm'))))
    return { ...kept, mode: 'patterns', patterns: patternsFor(model, wanted) }
  }
  const isLast = first[0] === model.blocks - first.length
  const isFirst = first[0] === 0 && first.at(-1) === first.length - 1
  if (isLast) return { ...kept, mode: 'last', count: first.length, parts }
  if (isFirst) return { ...kept, mode: 'first', count: first.length, parts }
  return { ...kept, mode: 'blocks', blocks: first, parts }
}
