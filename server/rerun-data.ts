/** New data beside the data of an earlier run, before anything is computed with it (R-100). */
import { readTable } from '../analysis'
import { compareData, type DataComparison, type DataOutline, outline } from '../analysis/quality/compare-data'
import type { Registry } from '../nodes/_kit/define-node'
import type { Pipeline } from '../nodes/_kit/graph'
import { applyInputs } from '../nodes/_kit/migrate'
import { paramSchemas } from '../nodes/_kit/problems'
import { datasetRows } from './dataset-rows'
import { AppError } from './errors'
import { type FileSources, openFileParam } from './files'
import type { ArtifactStore } from './storage/artifact-store'

/** Of a larger file the first part is compared, and the answer says so: looking must stay a matter of seconds. */
const BYTES = 48 * 1024 * 1024
const ROWS = 100_000

export type InputComparison = DataComparison & {
  input: string
  title: string
  names: { earlier: string; later: string }
  /** Whether all of both files was read. */
  whole: boolean
  /** Params that name columns, of the node that reads the file: each can be set with the rerun as `<input>.<param>`. */
  mapping: { param: string; title: string; value: string; options: string[] }[]
}

/** Reads the outline of a data file. @throws AppError with what is wrong with the file */
async function outlineOf(
  files: FileSources,
  file: string,
): Promise<{ name: string; outline: DataOutline; columns: string[]; whole: boolean }> {
  const opened = await openFileParam(files, file)
  try {
    const whole = opened.sizeBytes <= BYTES
    if (!whole && /\.(parquet|json)$/i.test(opened.name)) {
      throw new AppError('TOO_LARGE', {
        message: `${opened.name} is too large to be compared.`,
        expected: `at most ${BYTES} bytes for this kind of file`,
        got: `${opened.sizeBytes} bytes`,
        fix: 'Save it as JSONL, whose first part can be read alone.',
      })
    }
    const bytes = Buffer.alloc(Math.min(opened.sizeBytes, BYTES))
    let filled = 0
    while (filled < bytes.length) {
      const { bytesRead } = await opened.file.read(bytes, filled, bytes.length - filled, filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    const end = whole ? filled : bytes.lastIndexOf(10) + 1 || filled
    const table = await readTable(bytes.subarray(0, end), opened.name, { maxRows: ROWS })
    const [fault] = table.errors
    if (table.rows.length === 0 && fault)
      throw new AppError('INVALID_INPUT', {
        message: `${opened.name}${fault.line === null ? '' : `, line ${fault.line}`}: ${fault.reason}`,
        where: opened.name,
        fix: 'Correct the file, or choose another one.',
      })
    return {
      name: opened.name,
      outline: outline(table.rows.map((row) => row.value)),
      columns: [...table.columns],
      whole: whole && table.rows.length < ROWS,
    }
  } finally {
    await opened.file.close()
  }
}

/**
 * Compares every exposed file that gets another value.
 * @param earlier document with the values that the earlier run had
 * @param inputs new values by input id
 */
export async function compareInputs(
  files: FileSources,
  registry: Registry,
  document: Pipeline,
  earlier: Readonly<Record<string, unknown>>,
  inputs: Readonly<Record<string, unknown>>,
): Promise<InputComparison[]> {
  const then = applyInputs(document, earlier).document
  const now = applyInputs(then, inputs).document
  const compared: InputComparison[] = []
  for (const input of document.inputs) {
    const type = document.nodes[input.node]?.type ?? ''
    const def = Object.hasOwn(registry, type) ? registry[type] : undefined
    if (!def || paramSchemas(def)[input.param]?.meta()?.widget !== 'file') continue
    const before = then.nodes[input.node]?.params[input.param]
    const after = now.nodes[input.node]?.params[input.param]
    if (typeof before !== 'string' || typeof after !== 'string' || before === after || before === '' || after === '') continue
    const [a, b] = await Promise.all([outlineOf(files, before), outlineOf(files, after)])
    compared.push({
      ...compareData(a.outline, b.outline),
      input: input.id,
      title: input.title,
      names: { earlier: a.name, later: b.name },
      whole: a.whole && b.whole,
      mapping: Object.entries(paramSchemas(def)).flatMap(([param, schema]) => {
        const meta = schema.meta()
        if (meta?.widget !== 'column') return []
        const value = now.nodes[input.node]?.params[param]
        return [{ param, title: String(meta.title ?? param), value: typeof value === 'string' ? value : '', options: b.columns }]
      }),
    })
  }
  return compared
}

/** Two stored datasets; the id that Thaw gave each row is no content. */
export async function compareDatasets(store: ArtifactStore, earlier: string, later: string): Promise<DataComparison> {
  const [a, b] = [await allRows(store, earlier), await allRows(store, later)]
  return compareData(outline(a, ['id']), outline(b, ['id']))
}

async function allRows(store: ArtifactStore, digest: string): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = []
  for (;;) {
    const page = await datasetRows(store, digest, { offset: rows.length, limit: 5_000 })
    rows.push(...page.rows)
    if (page.rows.length === 0 || rows.length >= Math.min(page.total, ROWS)) return rows
  }
}
