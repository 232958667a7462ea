/**
 * Load on queue, tables and settling (issue "runs you can trust"): chains of nodes that do nothing, worked on by claimers in this process on a real
 * PostgreSQL of its own. Without trainers the numbers are what a run costs besides its work.
 *
 *   node_modules/.bin/tsx bench/runs.ts [node runs: 10000] [claimers: 4]
 *   node_modules/.bin/tsx bench/runs.ts parallel [runs: 50]
 *
 * Prints one JSON object per stretch: throughput, median and 95 % time from the end of a node to the start of the next, bytes of the database per run.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as z from 'zod'
import { defineNode, type Registry } from '../nodes/_kit/define-node'
import type { Pipeline } from '../nodes/_kit/graph'
import { findRoot } from '../server/env'
import { createAttempts } from '../server/executor/attempts'
import { openQueue } from '../server/executor/queue'
import { createExecutor } from '../server/executor/run'
import { startPostgres } from '../server/postgres'
import { LOCAL_OWNER, openStorage } from '../server/storage/db'
import { newId } from '../server/storage/ids'
import { migrateDatabase } from '../server/storage/migrate'
import { createPipeline } from '../server/storage/pipelines'

const LENGTH = 10
const step = defineNode({
  type: 'bench-step',
  title: 'Step',
  summary: 'Does nothing.',
  help: '',
  group: 'Model',
  icon: 'train',
  params: z.strictObject({ mark: z.string().default('') }),
  inputs: { before: { kind: 'metrics', title: 'Before', description: '', optional: true } },
  outputs: { metrics: { kind: 'metrics', title: 'Metrics', description: '' } },
  purity: 'deterministic',
  resource: 'light',
  infer: () => ({}),
  run: async () => ({ metrics: { n: 1 } }),
})
const registry: Registry = { 'bench-step': step }
const implDigests = { 'bench-step': 'bench' }

/** A chain of ten; `mark` keeps every run from reusing another. */
function chain(mark: string): Pipeline {
  const id = (i: number) => `n${i}`
  return {
    schemaVersion: 1,
    nodes: Object.fromEntries(
      Array.from({ length: LENGTH }, (_, i) => [id(i), { type: 'bench-step', version: 1, params: { mark: `${mark}.${i}` } }]),
    ),
    edges: Array.from({ length: LENGTH - 1 }, (_, i) => ({
      from: { node: id(i), port: 'metrics' },
      to: { node: id(i + 1), port: 'before' },
    })),
    inputs: [],
    notes: [],
    layout: { nodes: {}, groups: [] },
  }
}

const quantile = (sorted: readonly number[], share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
const [mode = '10000', more] = process.argv.slice(2)
const parallel = mode === 'parallel'
const total = parallel ? Number(more ?? 50) * LENGTH : Number(mode)
const claimers = parallel ? 2 : Number(more ?? 4)
const stretch = parallel ? total : Math.max(LENGTH, Math.floor(total / 5))

const folder = mkdtempSync(join(tmpdir(), 'thaw-bench-'))
const root = findRoot([import.meta.dirname])
const postgres = await startPostgres({ home: join(folder, 'home'), cache: join(folder, 'cache'), root })
try {
  await migrateDatabase({ databaseUrl: postgres.url, root })
  const storage = openStorage({ databaseUrl: postgres.url, applicationName: 'thaw bench', max: claimers + 4 })
  const queue = await openQueue(storage, { maintain: false })
  const deps = { storage, queue, registry, implDigests, digestOf: async () => null }
  const executor = createExecutor({ ...deps, lookAt: async () => ({}), present: async () => true })
  const attempts = createAttempts({ ...deps, verify: async () => true, bytes: { has: async () => 0 } })
  const pipeline = (await createPipeline(storage.db, LOCAL_OWNER, { name: 'Bench', document: chain('0') })).id
  const size = async () => Number((await storage.pool.query('select pg_database_size(current_database()) as bytes')).rows[0].bytes)

  for (let done = 0; done < total; ) {
    const now = Math.min(stretch, total - done)
    const before = await size()
    const submitStarted = performance.now()
    for (let i = 0; i < now / LENGTH; i++) {
      const mark = `${done}.${i}`
      await executor.submit(LOCAL_OWNER, {
        pipelineId: pipeline,
        document: chain(mark),
        target: null,
        inputs: {},
        idempotencyKey: `bench-${mark}`,
      })
    }
    const submitMs = performance.now() - submitStarted
    const started = performance.now()
    const ended = new Map<string, number>()
    const gaps: number[] = []
    let left = now
    const work = async () => {
      const worker = newId()
      while (left > 0) {
        const lease = await queue.fetch(['cpu'])
        if (!lease) {
          await sleep(5)
          continue
        }
        const claimed = await attempts.claim(lease, worker)
        if (claimed.kind !== 'work') {
          if (claimed.kind === 'settled') left -= 1
          continue
        }
        const { attempt } = claimed
        const previous = ended.get(attempt.held.runId)
        if (previous !== undefined) gaps.push(performance.now() - previous)
        await attempts.done(attempt, { outputs: { metrics: { n: 1 } }, artifacts: [], provenance: {}, step: null })
        ended.set(attempt.held.runId, performance.now())
        left -= 1
      }
    }
    await Promise.all(Array.from({ length: claimers }, work))
    const seconds = (performance.now() - started) / 1_000
    done += now
    gaps.sort((a, b) => a - b)
    console.log(
      JSON.stringify({
        nodeRuns: done,
        submitMsPerRun: Number((submitMs / (now / LENGTH)).toFixed(1)),
        nodeRunsPerSecond: Number((now / seconds).toFixed(1)),
        // With all runs queued at once a node waits for its turn: this is the length of the queue as well. One run at a time would wait for nobody.
        nextNodeMs: { median: Math.round(quantile(gaps, 0.5)), p95: Math.round(quantile(gaps, 0.95)) },
        databaseBytesPerRun: Math.round(((await size()) - before) / (now / LENGTH)),
      }),
    )
  }
  // A run with the machine to itself: from the end of a node to the start of the next.
  if (!parallel) {
    await executor.submit(LOCAL_OWNER, {
      pipelineId: pipeline,
      document: chain('alone'),
      target: null,
      inputs: {},
      idempotencyKey: 'bench-alone',
    })
    const gaps: number[] = []
    let last: number | null = null
    for (let left = LENGTH; left > 0; ) {
      const lease = await queue.fetch(['cpu'])
      if (!lease) {
        await sleep(5)
        continue
      }
      const claimed = await attempts.claim(lease, newId())
      if (claimed.kind !== 'work') continue
      if (last !== null) gaps.push(performance.now() - last)
      await attempts.done(claimed.attempt, { outputs: { metrics: { n: 1 } }, artifacts: [], provenance: {}, step: null })
      last = performance.now()
      left -= 1
    }
    gaps.sort((a, b) => a - b)
    console.log(
      JSON.stringify({ alone: true, nextNodeMs: { median: Math.round(quantile(gaps, 0.5)), p95: Math.round(quantile(gaps, 0.95)) } }),
    )
  }
  await queue.close()
  await storage.close()
} finally {
  await postgres.release()
  rmSync(folder, { recursive: true, force: true })
}
process.exit()
