'use client'
import type { useTRPC, useTRPCClient } from '../trpc'
import { type ScoredRow, scoredRow } from './rows'

const PAGE = 500
/** A person reads hundreds of rows, not hundreds of thousands; the file has them all (UX-83). */
const MOST_ROWS = 5_000

/** All scored rows of a validation, page by page, up to a bound. Outputs never change, so neither does the answer. */
export const scoredRowsQuery = (trpc: ReturnType<typeof useTRPC>, client: ReturnType<typeof useTRPCClient>, run: string, node: string) => ({
  queryKey: [...trpc.artifacts.rows.queryKey({ run, node, port: 'rows' }), 'scored'],
  staleTime: Number.POSITIVE_INFINITY,
  queryFn: async ({ signal }: { signal: AbortSignal }): Promise<{ rows: ScoredRow[]; total: number }> => {
    const rows: ScoredRow[] = []
    let total = Number.POSITIVE_INFINITY
    while (rows.length < Math.min(total, MOST_ROWS)) {
      const page = await client.artifacts.rows.query({ run, node, port: 'rows', offset: rows.length, limit: PAGE }, { signal })
      total = page.total
      if (page.rows.length === 0) break
      for (const row of page.rows) rows.push(scoredRow(row, rows.length))
    }
    return { rows, total: Number.isFinite(total) ? total : rows.length }
  },
})
