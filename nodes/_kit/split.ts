/** How many rows go where: shared by what the card says and what the node does. */

export type SplitCounts = { train: number; validation: number; test: number }

/**
 * Below 1 a share of all rows, from 1 on a number of rows; the rest is for training. Null when nothing would be left to train on.
 * Shares are rounded to the nearest row, but a share above 0 gives at least one row where there are three or more.
 */
export function splitCounts(rows: number, want: { validation: number; test: number }): SplitCounts | null {
  const take = (size: number) => (size >= 1 ? Math.floor(size) : size > 0 && rows >= 3 ? Math.max(1, Math.round(size * rows)) : 0)
  const validation = take(want.validation)
  const test = take(want.test)
  const train = rows - validation - test
  return train >= 1 ? { train, validation, test } : null
}
