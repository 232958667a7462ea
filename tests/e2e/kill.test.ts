/** kill -9 of web server, worker and trainer in turn during a training: the run completes with the weights of an undisturbed one. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { type Client, clientOf, openTemplate, waitForEnd, waitForRun } from '../kit/client'
import { type Product, startProduct } from '../kit/product'
import { tempFolder } from '../kit/temp'
import { until } from '../kit/wait'

/** Long enough to be killed three times, and in the middle of a step each time. */
const TRAINING = { 'train.num_train_epochs': 40, 'validate.generate': false, 'validate.compare_base': false }

type Result = { delta: string; evalLoss: number }

async function submit(client: Client, params: Record<string, unknown>): Promise<string> {
  const { id, document } = await openTemplate(client, 'first-look', params)
  const { run } = await client.runs.submit.mutate({ pipelineId: id, document, idempotencyKey: crypto.randomUUID() })
  return run
}

async function resultOf(client: Client, run: string): Promise<Result> {
  const { run: row, nodes } = await waitForEnd(client, run, 240_000)
  expect(
    nodes
      .map((node) => `${node.nodeId} ${node.status} ${node.error ? JSON.stringify(node.error) : ''}`)
      .filter((line) => !/ (done|reused) $/.test(line)),
  ).toEqual([])
  expect(row.status).toBe('succeeded')
  const outputs = (name: string): Record<string, unknown> =>
    (nodes.find((node) => node.nodeId === name)?.outputs ?? {}) as Record<string, unknown>
  return {
    delta: (outputs('train').model as { delta: string }).delta,
    evalLoss: (outputs('validate').metrics as { eval_loss: number }).eval_loss,
  }
}

/** Waits until the training has passed a step. */
async function atStep(client: Client, run: string, step: number): Promise<void> {
  await until(
    `step ${step}`,
    async () => {
      const { points } = await client.runs.series
        .query({ id: run, node: 'train', points: 5_000 })
        .catch(() => ({ points: [] as { step: number }[] }))
      return (points.at(-1)?.step ?? 0) >= step
    },
    { timeoutMs: 120_000, everyMs: 200 },
  )
}

test('T-1, T-2, T-3, T-10: kill -9 of trainer, worker and web server during a training changes nothing in its result', async () => {
  await using home = await tempFolder()
  await using product = await startProduct({ home: home.path, timeoutMs: 280_000 })
  const client = clientOf(product)
  const undisturbed = await resultOf(client, await submit(client, TRAINING))

  // Same training under another key: where points of the curve are logged is no part of the arithmetic.
  const run = await submit(client, { ...TRAINING, 'train.logging_steps': 2 })
  await atStep(client, run, 60)
  await product.kill('trainer')
  await atStep(client, run, 200)
  await product.kill('worker')
  await atStep(client, run, 340)
  await product.kill('web')
  const disturbed = await resultOf(client, run)
  expect(disturbed).toEqual(undisturbed)

  // what was finished before the kills ran once.
  const { attempts } = await client.runs.get.query({ id: run })
  const of = (node: string): number => attempts[node]?.length ?? 0
  expect(of('train')).toBeGreaterThanOrEqual(2)
  expect(of('freeze')).toBeLessThanOrEqual(1)
  // no number is missing and none came twice, whatever was killed.
  const events = await eventsOf(product, run)
  expect(events).toEqual(Array.from({ length: events.length }, (_, i) => i + 1))
}, 600_000)

test('T-4, T-7: kill -9 of everything at once; the next start goes on by itself from the last checkpoint', async () => {
  await using home = await tempFolder()
  const first = await startProduct({ home: home.path, timeoutMs: 280_000 })
  let run: string
  let undisturbed: Result
  try {
    const client = clientOf(first)
    undisturbed = await resultOf(client, await submit(client, TRAINING))
    run = await submit(client, { ...TRAINING, 'train.logging_steps': 2 })
    await atStep(client, run, 150)
    const family = [...(await first.part('web')), ...(await first.part('worker')), ...(await first.part('trainer'))]
    await first.crash()
    // T-4: children die with their parent.
    await until(
      'its children to end',
      async () =>
        (await Promise.all(family.map(async ({ pid }) => (await import('../kit/processes')).isAlive(pid)))).every((alive) => !alive),
      { timeoutMs: 5_000 },
    )
  } catch (error) {
    await first.stop().catch(() => undefined)
    throw error
  }
  await sleep(500)
  await using second = await startProduct({ home: home.path, timeoutMs: 60_000 })
  console.log(`Second start: ${(second.startMs / 1000).toFixed(1)} s to the printed URL.`)
  const client = clientOf(second)
  await waitForRun(client, run, ({ run: row }) => row.status !== 'queued', 'going on')
  expect(await resultOf(client, run)).toEqual(undisturbed)
}, 600_000)

/** Sequence numbers of all events of a run, as the stream replays them. */
async function eventsOf(product: Product, run: string): Promise<number[]> {
  const input = encodeURIComponent(JSON.stringify({ json: { cursors: { [run]: 0 } } }))
  const abort = new AbortController()
  const answer = await product.fetch(`/api/trpc/runs.events?input=${input}`, {
    headers: { accept: 'text/event-stream', origin: product.origin },
    signal: abort.signal,
  })
  const seen: number[] = []
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  const end = Date.now() + 20_000
  while (reader && Date.now() < end) {
    const chunk = await Promise.race([reader.read(), sleep(3_000, { done: true, value: '' } as const)])
    if (chunk.done) break
    text += chunk.value
    for (let cut = text.indexOf('\n\n'); cut >= 0; cut = text.indexOf('\n\n')) {
      const data = /^data: (.*)$/m.exec(text.slice(0, cut))?.[1]
      text = text.slice(cut + 2)
      if (!data) continue
      const parsed = JSON.parse(data) as { json?: unknown }
      if (Array.isArray(parsed.json)) seen.push(...(parsed.json as { seq: number }[]).map(({ seq }) => seq))
    }
  }
  abort.abort()
  return seen
}
