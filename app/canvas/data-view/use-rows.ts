'use client'
/** The rows of a dataset by number, read in pages as they are needed: the whole set never travels (UX-83). */
import { useQueries } from '@tanstack/react-query'
import { useCallback, useState } from 'react'
import { useTRPC } from '../../trpc'

const PAGE = 100

export type Row = Record<string, unknown>

export function useRows(of: { run: string; node: string; port: string }) {
  const trpc = useTRPC()
  const [pages, setPages] = useState<readonly number[]>([0])
  const found = useQueries({
    queries: pages.map((page) => ({
      ...trpc.artifacts.rows.queryOptions({ ...of, offset: page * PAGE, limit: PAGE }),
      // Outputs never change.
      staleTime: Number.POSITIVE_INFINITY,
    })),
  })
  const need = useCallback((index: number) => {
    const page = Math.floor(index / PAGE)
    setPages((old) => (old.includes(page) ? old : [...old, page]))
  }, [])
  const at = (index: number): Row | undefined => found[pages.indexOf(Math.floor(index / PAGE))]?.data?.rows[index % PAGE]
  const failed = found.find((query) => query.error)
  return {
    /** Not known before the first page is there. */
    total: found[0]?.data?.total,
    at,
    need,
    error: failed?.error ?? null,
    again: () => void failed?.refetch(),
  }
}
