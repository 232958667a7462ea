/** Many readers of one run, through the real client and `next start` (T-12). Long: a product of its own, half a minute of events. */
import { connect, createServer, type Socket } from 'node:net'
import { createTRPCClient, httpSubscriptionLink } from '@trpc/client'
import superjson from 'superjson'
import { expect, test } from 'vitest'
import { openStorage } from '../../../server/storage/db'
import { appendEvents } from '../../../server/storage/events'
import { readSupervisor } from '../../../server/supervisor-state'
import type { AppRouter } from '../../../server/trpc/router'
import { TestEventSource } from '../../kit/event-source'
import { startProduct } from '../../kit/product'
import { madeRun } from '../../kit/rows'
import { tempFolder } from '../../kit/temp'
import { until } from '../../kit/wait'

const READERS = 200
const PER_SECOND = 20
const SECONDS = 20
const TOTAL = PER_SECOND * SECONDS

test('T-12: 200 readers × 20 events/s for 20 s, with 500 connections cut: nothing missing, nothing twice, and no reader is left', async () => {
  await using folder = await tempFolder()
  // A proxy whose connections can be cut without either side's consent.
  let target = 0
  const sockets = new Set<Socket>()
  const proxy = createServer((near) => {
    const far = connect(target, '127.0.0.1')
    sockets.add(near)
    near.pipe(far)
    far.pipe(near)
    const end = () => {
      near.destroy()
      far.destroy()
      sockets.delete(near)
    }
    for (const socket of [near, far]) socket.on('error', end).on('close', end)
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const { port } = proxy.address() as { port: number }

  // Thaw behind the proxy is reached by the proxy's address, so that is its origin.
  await using product = await startProduct({ home: folder.path, env: { THAW_WORKERS: '0', THAW_ORIGIN: `http://127.0.0.1:${port}` } })
  target = Number(new URL(product.origin).port)
  const databaseUrl = readSupervisor(product.home)?.databaseUrl ?? ''
  const storage = openStorage({ databaseUrl, applicationName: 'publisher' })
  const { run } = await madeRun(storage.db)
  const cookie = (await fetch(product.url, { redirect: 'manual' })).headers.getSetCookie()[0]?.split(';')[0] ?? ''

  class Source extends TestEventSource {
    protected override headers() {
      return { ...super.headers(), cookie }
    }
  }
  const seen = Array.from({ length: READERS }, () => [] as number[])
  const delays: number[] = []
  const client = createTRPCClient<AppRouter>({
    links: [httpSubscriptionLink({ url: `http://127.0.0.1:${port}/api/trpc`, transformer: superjson, EventSource: Source as never })],
  })
  const open = (reader: number[]) =>
    client.runs.events.subscribe(
      { cursors: { [run]: 0 } },
      {
        onData({ data }) {
          for (const event of data) {
            reader.push(event.seq)
            delays.push(Date.now() - (event.data as { lines: [{ at: number }] }).lines[0].at)
          }
        },
      },
    )
  try {
    const streams = seen.map(open)
    const status = async () =>
      ((await (await product.fetch('/api/trpc/system.status')).json()) as { result: { data: { json: { streams: number } } } }).result.data
        .json.streams
    await until('all readers', async () => (await status()) >= READERS, { timeoutMs: 60_000 })
    let cuts = 0
    const cutter = setInterval(() => {
      for (const socket of [...sockets].sort(() => Math.random() - 0.5).slice(0, 7)) {
        if (cuts >= 500) return
        cuts += 1
        socket.destroy()
      }
    }, 250)
    const from = performance.now()
    for (let i = 0; i < TOTAL; i++) {
      await appendEvents(storage.db, run, [
        { nodeId: 'data', kind: 'log', data: { lines: [{ at: Date.now(), level: 'info', text: `${i}` }] } },
      ])
      const ahead = ((i + 1) * 1_000) / PER_SECOND - (performance.now() - from)
      if (ahead > 0) await new Promise((resolve) => setTimeout(resolve, ahead))
    }
    await until('every reader to have the last event', () => seen.every((reader) => reader.at(-1) === TOTAL), { timeoutMs: 60_000 })
    clearInterval(cutter)
    const whole = Array.from({ length: TOTAL }, (_, i) => i + 1)
    for (const reader of seen) expect(reader).toEqual(whole)
    expect(cuts).toBeGreaterThan(400)
    delays.sort((a, b) => a - b)
    console.log(`median ${delays[delays.length >> 1]} ms, p99 ${delays[Math.floor(delays.length * 0.99)]} ms, ${cuts} connections cut`)
    expect(delays[Math.floor(delays.length * 0.99)]).toBeLessThan(3_000)
    for (const stream of streams) stream.unsubscribe()
    await until('no reader to be left', async () => (await status()) === 0, { timeoutMs: 30_000 })
  } finally {
    proxy.close()
    for (const socket of sockets) socket.destroy()
    await storage.close()
  }
}, 400_000)
