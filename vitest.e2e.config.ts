import { defineConfig } from 'vitest/config'

/** Browser tests: the real product in a real Chromium. One file at a time, because each starts database, server and trainer. */
export default defineConfig({
  test: {
    include: ['tests/e2e/**/*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    pool: 'forks',
    fileParallelism: false,
    maxWorkers: 1,
    bail: 0,
    // A browser on a shared machine may stall for half a minute. What passes only at the second attempt is named in the summary.
    retry: 1,
  },
})
