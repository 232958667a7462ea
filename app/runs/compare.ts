/**
 * Several runs side by side (UX-89 … UX-92): scores with what a difference is worth, settings that differ, data that differs, and answers to the
 * same rows. Pure: it reads snapshots and rows, and never asks for anything.
 */
import type { Registry } from '../../nodes/_kit/define-node'
import type { Edge } from '../../nodes/_kit/graph'
import { paramTitle, show } from '../../nodes/_kit/problems'
import type { Snapshot } from './live'
import type { ScoredRow } from './rows'
import { metricsIn, type Score, scoresOf } from './scores'

export const MOST_RUNS = 6

/** Colour and dash of the runs, in the order in which they are compared (D-13). */
export const RUN_LOOKS = [
  { color: 'run-1', dash: [] },
  { color: 'run-2', dash: [6, 3] },
  { color: 'run-3', dash: [2, 3] },
  { color: 'run-4', dash: [9, 3, 2, 3] },
  { color: 'run-5', dash: [4, 2] },
  { color: 'run-6', dash: [1, 2] },
] as const

const titleIn = ({ plan }: Snapshot, id: string): string => plan.nodes.find((node) => node.node === id)?.title ?? id
const order = (snapshots: readonly Snapshot[]): string[] => [
  ...new Set(snapshots.flatMap(({ plan, nodes }) => [...plan.nodes.map((node) => node.node), ...nodes.map((node) => node.nodeId)])),
]
const nodeIn = (snapshot: Snapshot, id: string) => snapshot.nodes.find((node) => node.nodeId === id)
/** Equal content whatever the order of keys. */
export const same = (a: unknown, b: unknown): boolean => canonical(a) === canonical(b)

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (value !== null && typeof value === 'object')
    return `{${Object.entries(value)
      .filter(([, one]) => one !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, one]) => `${JSON.stringify(key)}:${canonical(one)}`)
      .join(',')}}`
  return JSON.stringify(value) ?? 'null'
}

// — scores —

export type ScoreLine = {
  node: string
  nodeTitle: string
  score: Pick<Score, 'name' | 'title' | 'field' | 'better'>
  /** By run; null where the run has no such score. */
  values: readonly (Score | null)[]
  /** Index of the best value; null when all are equal or only one is known. */
  best: number | null
}

/** Every score that at least one of the runs has, validation by validation. */
export function scoreLines(snapshots: readonly Snapshot[]): ScoreLine[] {
  return order(snapshots).flatMap((id): ScoreLine[] => {
    const perRun = snapshots.map((snapshot) => {
      const node = nodeIn(snapshot, id)
      const metrics = node && !node.type.startsWith('train') ? metricsIn(node.outputs) : null
      return new Map((metrics ? scoresOf(metrics) : []).map((score) => [score.name, score]))
    })
    const names = [...new Set(perRun.flatMap((scores) => [...scores.keys()]))]
    const nodeTitle = snapshots.map((snapshot) => titleIn(snapshot, id)).find((title) => title !== id) ?? id
    return names.flatMap((name): ScoreLine[] => {
      const values = perRun.map((scores) => scores.get(name) ?? null)
      const score = values.find((one) => one !== null)
      return score ? [{ node: id, nodeTitle, score, values, best: bestOf(values) }] : []
    })
  })
}

function bestOf(values: readonly (Score | null)[]): number | null {
  const known = values.flatMap((score, i) => (score?.after == null ? [] : [{ i, value: score.after, better: score.better }]))
  const [first] = known
  if (!first || known.length < 2 || known.every(({ value }) => value === first.value)) return null
  return known.reduce((best, one) => ((one.better === 'higher' ? one.value > best.value : one.value < best.value) ? one : best)).i
}

export type Verdict = 'better' | 'worse' | 'no difference seen'

/**
 * Difference of two shares over the same rows with its 95 % interval (Agresti and Min 2005: half a row is added to each of the four cells, so
 * that the interval has a width also where the runs never disagree).
 * @returns mean as measured; low and high of the adjusted interval.
 */
export function pairedDifference(base: readonly boolean[], other: readonly boolean[]): { mean: number; low: number; high: number } | null {
  const n = Math.min(base.length, other.length)
  if (n === 0) return null
  let gained = 0
  let lost = 0
  for (let i = 0; i < n; i++) {
    if (other[i] && !base[i]) gained += 1
    if (!other[i] && base[i]) lost += 1
  }
  const [b, c, N] = [gained + 0.5, lost + 0.5, n + 2]
  const centre = (b - c) / N
  const half = (1.959964 * Math.sqrt(b + c - (b - c) ** 2 / N)) / N
  return { mean: (gained - lost) / n, low: centre - half, high: centre + half }
}

/** What a difference of means is worth when several runs differ only in seed: inside their spread it says nothing. */
export function spreadOf(values: readonly number[]): { mean: number; sd: number; low: number; high: number } | null {
  if (values.length === 0) return null
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const sd = values.length < 2 ? 0 : Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1))
  return { mean, sd, low: Math.min(...values), high: Math.max(...values) }
}

/** @param spread largest standard deviation over seeds known for this score; null when no seeds were repeated. */
export function verdictOf(
  difference: number,
  better: 'higher' | 'lower',
  interval: { low: number; high: number } | null,
  spread: number | null,
): Verdict | null {
  if (difference === 0) return 'no difference seen'
  const unsure = (interval !== null && interval.low <= 0 && interval.high >= 0) || (spread !== null && Math.abs(difference) <= 2 * spread)
  if (unsure) return 'no difference seen'
  if (interval === null && spread === null) return null
  return difference > 0 === (better === 'higher') ? 'better' : 'worse'
}

// — seeds —

const SEED = /^(seed|data_seed)$/

/** Runs that differ only in seed stand for one setting: groups of indices, in the order of their first run. */
export function seedGroups(snapshots: readonly Snapshot[]): number[][] {
  const groups = new Map<string, number[]>()
  snapshots.forEach((snapshot, i) => {
    const recipe = snapshot.nodes.map(({ nodeId, type, params }) => [
      nodeId,
      type,
      Object.fromEntries(Object.entries(params).filter(([name]) => !SEED.test(name))),
    ])
    const key = canonical([recipe.sort((a, b) => String(a[0]).localeCompare(String(b[0]))), wiresOf(snapshot)])
    groups.set(key, [...(groups.get(key) ?? []), i])
  })
  return [...groups.values()]
}

const edgeText = (edge: Edge): string => `${edge.from.node}.${edge.from.port} → ${edge.to.node}.${edge.to.port}`
const wiresOf = ({ document }: Snapshot): string[] => document.edges.map(edgeText).sort()

// — settings and graph —

export type ParamLine = { node: string; nodeTitle: string; param: string; title: string; values: readonly string[]; differs: boolean }

/** Params as they ran (defaults filled, `auto` resolved, overrides applied), node by node. */
export function paramLines(snapshots: readonly Snapshot[], registry: Registry): ParamLine[] {
  return order(snapshots).flatMap((id) => {
    const rows = snapshots.map((snapshot) => nodeIn(snapshot, id))
    const names = [...new Set(rows.flatMap((row) => Object.keys(row?.params ?? {})))]
    const type = rows.find((row) => row !== undefined)?.type ?? ''
    const def = Object.hasOwn(registry, type) ? registry[type] : undefined
    const nodeTitle = snapshots.map((snapshot) => titleIn(snapshot, id)).find((title) => title !== id) ?? id
    return names.map((param): ParamLine => {
      const values = rows.map((row) => row?.params[param])
      return {
        node: id,
        nodeTitle,
        param,
        title: def && Object.hasOwn(def.params.shape, param) ? paramTitle(def, param) : param,
        values: rows.map((row, i) => (row ? said(values[i]) : 'no such node')),
        differs: rows.some((row, i) => (row === undefined) !== (rows[0] === undefined) || !same(values[i], values[0])),
      }
    })
  })
}

const said = (value: unknown): string =>
  value === undefined ? '–' : typeof value === 'string' ? value || '“”' : typeof value === 'number' ? String(value) : show(value)

export type GraphLine = { what: string; inRuns: readonly boolean[] }

/** Nodes and wires that not every run has. */
export function graphLines(snapshots: readonly Snapshot[]): GraphLine[] {
  const lines: GraphLine[] = []
  for (const id of order(snapshots)) {
    const inRuns = snapshots.map((snapshot) => nodeIn(snapshot, id) !== undefined)
    const title = snapshots.map((snapshot) => titleIn(snapshot, id)).find((one) => one !== id) ?? id
    if (inRuns.includes(false)) lines.push({ what: `${title} (${id})`, inRuns })
  }
  const wires = snapshots.map((snapshot) => new Set(wiresOf(snapshot)))
  for (const wire of [...new Set(wires.flatMap((set) => [...set]))].sort()) {
    const inRuns = wires.map((set) => set.has(wire))
    if (inRuns.includes(false)) lines.push({ what: wire, inRuns })
  }
  return lines
}

// — data —

type Dataset = { artifact: string; rows: number; columns: readonly string[] }

export function datasetIn(value: unknown): Dataset | null {
  if (value === null || typeof value !== 'object') return null
  const { artifact, rows, columns } = value as Partial<Dataset>
  return typeof artifact === 'string' && typeof rows === 'number' && Array.isArray(columns) ? { artifact, rows, columns } : null
}

export type DataLine = { node: string; port: string; title: string; values: readonly (Dataset | null)[]; differs: boolean }

/** Datasets that nodes without inputs gave: where data enters the graph. */
export function dataLines(snapshots: readonly Snapshot[]): DataLine[] {
  return order(snapshots).flatMap((id): DataLine[] => {
    const rows = snapshots.map((snapshot) =>
      snapshot.document.edges.some((edge) => edge.to.node === id) ? undefined : nodeIn(snapshot, id),
    )
    const ports = [
      ...new Set(rows.flatMap((row) => Object.entries(row?.outputs ?? {}).flatMap(([port, value]) => (datasetIn(value) ? [port] : [])))),
    ]
    const title = snapshots.map((snapshot) => titleIn(snapshot, id)).find((one) => one !== id) ?? id
    return ports.map((port) => {
      const values = rows.map((row) => datasetIn(row?.outputs?.[port]))
      return { node: id, port, title, values, differs: values.some((value) => value?.artifact !== values[0]?.artifact) }
    })
  })
}

/** Content of the rows that a scoring node read; null where it is not known. */
export function scoredRowsOf(snapshot: Snapshot, node: string): string | null {
  const edge = snapshot.document.edges.find((one) => one.to.node === node && one.to.port === 'data')
  const value = edge ? nodeIn(snapshot, edge.from.node)?.outputs?.[edge.from.port] : undefined
  return datasetIn(value)?.artifact ?? null
}

/** Scoring nodes whose rows are not the same in all runs: their scores cannot be compared. */
export function otherRows(snapshots: readonly Snapshot[]): { node: string; title: string; runs: number[] }[] {
  const nodes = [...new Set(scoreLines(snapshots).map((line) => line.node))]
  return nodes.flatMap((node) => {
    const digests = snapshots.map((snapshot) => (nodeIn(snapshot, node)?.outputs ? scoredRowsOf(snapshot, node) : null))
    const first = digests.find((digest) => digest !== null)
    const runs = snapshots.flatMap((snapshot, i) => (digests[i] != null && digests[i] !== first ? [snapshot.run.number] : []))
    return runs.length > 0 ? [{ node, title: titleIn(snapshots[0] as Snapshot, node), runs }] : []
  })
}

// — predictions —

export type PredictionRow = { id: string; input: string; expected: string; answers: readonly (ScoredRow | null)[] }

/** Rows of all runs matched by what was asked and expected, not by place: a run on other rows shares only those that both have. */
export function predictionRows(perRun: readonly (readonly ScoredRow[])[]): PredictionRow[] {
  const lines = new Map<string, { row: ScoredRow; answers: (ScoredRow | null)[] }>()
  perRun.forEach((rows, run) => {
    const seen = new Map<string, number>()
    for (const row of rows) {
      const text = JSON.stringify([row.input, row.expected])
      // The same question twice in one set is two rows.
      const nth = (seen.get(text) ?? 0) + 1
      seen.set(text, nth)
      const key = `${text} ${nth}`
      const line = lines.get(key) ?? { row, answers: new Array<ScoredRow | null>(perRun.length).fill(null) }
      line.answers[run] = row
      lines.set(key, line)
    }
  })
  return [...lines.values()].map(({ row, answers }) => ({ id: row.id, input: row.input, expected: row.expected, answers }))
}

/** `disagree`: some right, some wrong. `{right, wrong}`: indices of two runs. */
export type PredictionFilter = 'all' | 'disagree' | { right: number; wrong: number }

export function findPredictions(rows: readonly PredictionRow[], filter: PredictionFilter): PredictionRow[] {
  if (filter === 'all') return [...rows]
  if (filter === 'disagree')
    return rows.filter(({ answers }) => answers.some((one) => one?.correct === true) && answers.some((one) => one?.correct === false))
  return rows.filter(({ answers }) => answers[filter.right]?.correct === true && answers[filter.wrong]?.correct === false)
}

/** Right and wrong of two runs over the rows that both have. */
export function pairsOf(rows: readonly PredictionRow[], a: number, b: number): { base: boolean[]; other: boolean[] } {
  const both = rows.filter(({ answers }) => answers[a] && answers[b])
  return { base: both.map(({ answers }) => answers[a]?.correct === true), other: both.map(({ answers }) => answers[b]?.correct === true) }
}

// — export —

/** The summary as a table for a document; cells are escaped. */
export function asMarkdown(snapshots: readonly Snapshot[], lines: readonly ScoreLine[], params: readonly ParamLine[]): string {
  const row = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`
  return [
    row(['', ...snapshots.map(({ run }) => `Run ${run.number}`)]),
    row(['---', ...snapshots.map(() => '---:')]),
    ...lines.map((line) => row([`${line.nodeTitle}: ${line.score.title}`, ...line.values.map((score) => number(score?.after))])),
    ...params.filter((line) => line.differs).map((line) => row([`${line.nodeTitle}: ${line.title}`, ...line.values])),
    '',
  ].join('\n')
}

/** As asMarkdown, for a spreadsheet. A cell that a spreadsheet would take for a formula gets a quote before it. */
export function asCsv(snapshots: readonly Snapshot[], lines: readonly ScoreLine[], params: readonly ParamLine[]): string {
  const cell = (text: string) => {
    const safe = /^[=+@\t\r]|^-(?![\d.])/.test(text) ? `'${text}` : text
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
  }
  return [
    ['node', 'what', ...snapshots.map(({ run }) => `run ${run.number}`)],
    ...lines.map((line) => [line.nodeTitle, line.score.title, ...line.values.map((score) => number(score?.after))]),
    ...params.filter((line) => line.differs).map((line) => [line.nodeTitle, line.title, ...line.values]),
  ]
    .map((cells) => `${cells.map(cell).join(',')}\n`)
    .join('')
}

const number = (value: number | null | undefined): string =>
  value === null || value === undefined ? '' : String(Number(value.toPrecision(6)))
