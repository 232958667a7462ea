/** Notifications for one process over one connection of its own, taken up again after an outage. They only wake; the tables say what is. */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { connectionOf, type Storage } from './db'

const RECONNECT_MS = 300

/**
 * @param handlers by channel; called with the payload, and with '' for every channel after a reconnect, since something may have been missed.
 * @throws what the first connection throws.
 */
export async function listen(
  storage: Storage,
  handlers: Readonly<Record<string, (payload: string) => void>>,
): Promise<{ close(): Promise<void> }> {
  let client: pg.Client | null = null
  let closed = false

  /** Connects and listens. `gone` resolves when the connection has ended, by whoever's hand. */
  async function open(): Promise<{ gone: Promise<void> }> {
    const next = new pg.Client(connectionOf(storage.directUrl))
    const gone = new Promise<void>((resolve) => {
      next.on('error', () => resolve())
      next.on('end', () => resolve())
    })
    next.on('notification', ({ channel, payload }) => handlers[channel]?.(payload ?? ''))
    try {
      await next.connect()
      for (const channel of Object.keys(handlers)) await next.query(`listen ${pg.escapeIdentifier(channel)}`)
    } catch (error) {
      next.end().catch(() => {})
      throw error
    }
    client = next
    return { gone }
  }

  /** One connection at a time, however it ends: two ways to arrange the next try would double the tries with every failure. */
  async function follow(first: Promise<void>): Promise<void> {
    let gone = first
    while (!closed) {
      await gone
      await client?.end().catch(() => {})
      client = null
      for (; !closed && client === null; ) {
        await sleep(RECONNECT_MS, undefined, { ref: false })
        if (closed) return
        try {
          gone = (await open()).gone
          for (const handler of Object.values(handlers)) handler('')
        } catch {
          // Still away.
        }
      }
    }
  }

  void follow((await open()).gone)
  return {
    async close() {
      closed = true
      await client?.end().catch(() => {})
    },
  }
}
