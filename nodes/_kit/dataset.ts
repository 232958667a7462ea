/** What nodes that make datasets from datasets share: handles, facts of tables, params and problems that several of them have. */
import * as z from 'zod'
import type { RunContext } from './context'
import type { DatasetFacts, ModelFacts, NodeProblem, PortFacts } from './facts'
import type { DatasetHandle } from './ports'

/** Facts of a wire that carries rows, or null where nothing is known. */
export const datasetFacts = (input: PortFacts | undefined): DatasetFacts | null => (input?.kind === 'dataset' ? input.facts : null)
/** Facts of a wire that carries a model, or null where nothing is known. */
export const modelFacts = (input: PortFacts | undefined): ModelFacts | null => (input?.kind === 'model' ? input.facts : null)

/** Rows as `packRows` of analysis makes them: text to store, and what the handle says about it. */
export type PackedRows = { text: string; rows: number; chars: { mean: number; max: number } }

/** Stores rows that were made from `from`; name, format and columns stay unless `more` says otherwise. */
export const putRows = async (
  ctx: Pick<RunContext, 'artifacts'>,
  from: DatasetHandle,
  { text, rows, chars }: PackedRows,
  more: Partial<DatasetHandle> = {},
): Promise<DatasetHandle> => ({ ...from, artifact: await ctx.artifacts.put(text), rows, chars, ...more })

/** Stores rows that come from nowhere else: written, drawn or shipped. */
export async function putNew(
  ctx: Pick<RunContext, 'artifacts'>,
  { text, rows, chars }: PackedRows,
  format: DatasetHandle['format'],
  name: string,
): Promise<DatasetHandle> {
  const artifact = await ctx.artifacts.put(text)
  return { artifact, rows, format, columns: [], name, split: 'all', source: artifact, chars }
}

/** At most `most` of a list, spread evenly over it. */
export const evenly = <T>(list: readonly T[], most: number): T[] =>
  list.length <= most ? [...list] : Array.from({ length: most }, (_, i) => list[Math.floor((i * list.length) / most)] as T)

/** Stores a table for people to read, that nobody trains on. */
export const putTable = (
  ctx: Pick<RunContext, 'artifacts'>,
  from: DatasetHandle,
  packed: PackedRows,
  columns: readonly string[],
  name: string,
): Promise<DatasetHandle> => putRows(ctx, from, packed, { format: 'table', columns: [...columns], name: `${from.name}, ${name}` })

/** What is known of such a table before it exists. */
export const tableFacts = (
  from: DatasetFacts | null,
  name: string,
  columns: readonly string[],
  rows: number | null = null,
): DatasetFacts => ({
  name,
  rows,
  format: 'table',
  columns,
  split: from?.split ?? 'all',
  chars: null,
  origin: from?.origin ?? '',
})

/** Columns that data is known to have before it ran, or null: an empty list says only that nobody looked. */
export const knownColumns = (data: DatasetFacts | null): readonly string[] | null => (data && data.columns.length > 0 ? data.columns : null)

/** The problem of a column that was named and is not there; none where nothing was named or the columns are not known. */
export const columnProblem = (
  param: string,
  column: string,
  columns: readonly string[] | null,
  fix: { label: string; params: Record<string, unknown> } = { label: 'Clear it', params: { [param]: '' } },
): NodeProblem[] =>
  column === '' || columns === null || columns.includes(column)
    ? []
    : [
        {
          severity: 'error',
          code: 'no_such_column',
          param,
          message: `The data has no column “${column}”.`,
          expected: columns.join(', '),
          got: column,
          fix,
        },
      ]

/** From when on rows repeat or give away each other; the same words and bounds wherever it can be set. */
export const NEAR_PARAMS = {
  near_duplicate_threshold: z.number().min(0.5).max(1).default(0.8).meta({
    title: 'Near from',
    description: 'Share of common three-word runs from which two rows nearly repeat each other; a quarter less under 60 words.',
    step: 0.05,
    advanced: true,
  }),
  containment: z.number().min(0.5).max(1).default(0.8).meta({
    title: 'Contained from',
    description: 'A held-out row leaks when this share of it stands in one training row.',
    step: 0.05,
    advanced: true,
  }),
}
export const nearOptions = (params: { near_duplicate_threshold: number; containment: number }) => ({
  threshold: params.near_duplicate_threshold,
  shortThreshold: 0.75 * params.near_duplicate_threshold,
  ngram: 3,
  containment: params.containment,
})
