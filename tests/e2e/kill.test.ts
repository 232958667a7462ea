/** kill -9 of each process in turn during one training, and of all at once: it ends with the weights and the loss of an undisturbed one. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { type Client, clientOf, openTemplate, waitForEnd, waitForRun } from '../kit/client'
import { isAlive } from '../kit/processes'
import { type Product, startProduct } from '../kit/product'
import { tempFolder } from '../kit/temp'
import { until } from '../kit/wait'

/** Steps enough to be killed six times. Answers are left out: two forward passes over the test rows say as much about equal weights. */
const TRAINING = { 'train.num_train_epochs': 30, 'validate.generate': false, 'validate.compare_base': false }

type Result = { delta: string; evalLoss: number }

async function submit(client: Client, params: Record<string, unknown>): Promise<string> {
  const { id, document } = await openTemplate(client, 'first-look', params)
  const { run } = await client.runs.submit.mutate({ pipelineId: id, document, idempotencyKey: crypto.randomUUID() })
  return run
}

async function resultOf(client: Client, run: string): Promise<Result> {
  const { run: row, nodes } = await waitForEnd(client, run, 400_000)
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

const attemptsOf = async (client: Client, run: string) =>
  ((await client.runs.get.query({ id: run }).catch(() => null))?.attempts.train ?? []).toSorted((a, b) => a.attempt - b.attempt)

/** Points of the curve recorded so far; what two attempts both computed counts twice. */
const pointsOf = async (client: Client, run: string): Promise<number> =>
  (await client.runs.series.query({ id: run, node: 'train', points: 10 }).catch(() => null))?.total ?? 0

/** Waits until the given attempt at the training has computed steps of its own; resolves to the step it began at. */
async function inAttempt(client: Client, run: string, attempt: number): Promise<number> {
  let seen = ''
  let before: number | null = null
  const at = await until(
    `attempt ${attempt} to compute a step`,
    async () => {
      const all = await attemptsOf(client, run)
      seen = JSON.stringify(all.map(({ attempt: n, fromStep, toStep, outcome }) => ({ n, fromStep, toStep, outcome })))
      const now = all.find((one) => one.attempt === attempt)
      if (now?.outcome) throw new Error(`Attempt ${attempt} ended before it could be disturbed: ${seen}`)
      if (!now) return null
      const points = await pointsOf(client, run)
      before ??= points || null
      return (before !== null && points > before) || (attempt === 1 && points > 1) ? { from: now.fromStep ?? 0 } : null
    },
    { timeoutMs: 120_000, everyMs: 100 },
  ).catch((error: Error) => {
    throw new Error(`${error.message} (${seen})`, { cause: error })
  })
  return at.from
}

/** Pauses the given attempt and goes on: a checkpoint in the middle, whatever the machine's speed; those that come by themselves are 15 s apart. */
async function checkpointIn(client: Client, run: string, attempt: number): Promise<number> {
  await inAttempt(client, run, attempt)
  await client.runs.stop.mutate({ id: run, how: 'pause' })
  const { nodes } = await waitForRun(
    client,
    run,
    (snapshot) => snapshot.nodes.some((node) => node.nodeId === 'train' && node.status === 'paused'),
    'the training to pause',
  )
  await client.runs.resume.mutate({ id: run })
  return nodes.find((node) => node.nodeId === 'train')?.step ?? 0
}

test('T-1 … T-5, T-7, T-10: kill -9 of trainer, worker, supervisor, everything, PostgreSQL and web server during a training changes nothing in its result', async () => {
  await using home = await tempFolder()
  let product = await startProduct({ home: home.path })
  try {
    let client = clientOf(product)
    const undisturbed = await resultOf(client, await submit(client, TRAINING))

    // Same training under another key: where points of the curve are logged is no part of the arithmetic.
    const run = await submit(client, { ...TRAINING, 'train.logging_steps': 2 })
    const first = await checkpointIn(client, run, 1)
    expect(first).toBeGreaterThan(0)
    expect(await inAttempt(client, run, 2)).toBe(first)
    await product.kill('trainer')
    expect(await inAttempt(client, run, 3)).toBeGreaterThanOrEqual(first)
    await product.kill('worker')

    // a third loss without a checkpoint in between would fail the node.
    const second = await checkpointIn(client, run, 4)
    expect(second).toBeGreaterThan(first)
    expect(await inAttempt(client, run, 5)).toBe(second)
    // T-4: its children die with the supervisor, the database lives on and is adopted by the next.
    const family = [...(await product.part('web')), ...(await product.part('worker')), ...(await product.part('trainer'))]
    expect(family.length).toBeGreaterThanOrEqual(3)
    await product.crash()
    await until('its children to end', async () => (await Promise.all(family.map(({ pid }) => isAlive(pid)))).every((alive) => !alive), {
      timeoutMs: 15_000,
    })
    product = await startProduct({ home: home.path })
    client = clientOf(product)
    expect(await inAttempt(client, run, 6)).toBeGreaterThanOrEqual(second)

    // T-7: a machine that lost its power. The next start goes on by itself.
    await product.crashAll()
    product = await startProduct({ home: home.path })
    client = clientOf(product)
    expect(await inAttempt(client, run, 7)).toBeGreaterThanOrEqual(second)

    // T-5, T-3: the training goes on while database and web server are away.
    await product.kill('postgres')
    const before = await until('the database to be back', async () => (await pointsOf(client, run)) || null, { timeoutMs: 60_000 })
    await until('points after it', async () => (await pointsOf(client, run)) > before, { timeoutMs: 60_000, everyMs: 100 })
    await product.kill('web')
    const disturbed = await resultOf(client, run)
    expect(disturbed).toEqual(undisturbed)

    const attempts = await attemptsOf(client, run)
    expect(attempts.map(({ outcome }) => outcome)).toEqual(['stopped', 'lost', 'lost', 'stopped', 'lost', 'lost', 'done'])
    // what was finished before the kills ran once.
    const { attempts: all } = await client.runs.get.query({ id: run })
    for (const node of ['model', 'freeze', 'data', 'split']) expect([node, all[node]?.length ?? 0].join()).toMatch(/,[01]$/)
    // no number is missing and none came twice, whatever was killed.
    const events = await eventsOf(product, run)
    expect(events).toEqual(Array.from({ length: events.length }, (_, i) => i + 1))
  } finally {
    await product.stop().catch(() => undefined)
  }
}, 1_200_000)

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
