import { defineConfig } from 'vitest/config'

/** `npm test -- --long` sets it; the long tests train real models and take minutes each. */
const long = process.env.THAW_TEST_LONG === '1'

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts', 'tests/**/*.test.tsx'],
    exclude: ['**/node_modules/**', 'tests/e2e/**', ...(long ? [] : ['tests/**/*.long.test.ts'])],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
  },
})
