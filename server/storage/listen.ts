/** Notifications for one process over one connection of its own, taken up again after an outage. They only wake; the tables say what is. */
import pg from 'pg'
import { connectionOf, type Storage } from './db'

const RECONNECT_MS = 300

/**
 * @param handlers by channel; called with the payload, and with '' for every channel after a reconnect, since something may have been missed.
 */
export async function listen(
  storage: Storage,
  handlers: Readonly<Record<string, (payload: string) => void>>,
): Promise<{ close(): Promise<void> }> {
  let client: pg.Client | null = null
  let closed = false

  async function connect(): Promise<void> {
    const next = new pg.Client(connectionOf(storage.directUrl))
    let gone = false
    const again = () => {
      if (gone || closed) return
      gone = true
      client = null
      next.end().catch(() => {})
      setTimeout(() => void retry(), RECONNECT_MS).unref()
    }
    next.on('error', again)
    next.on('end', again)
    next.on('notification', ({ channel, payload }) => handlers[channel]?.(payload ?? ''))
    await next.connect()
    for (const channel of Object.keys(handlers)) await next.query(`listen ${pg.escapeIdentifier(channel)}`)
    client = next
  }

  async function retry(): Promise<void> {
    if (closed) return
    try {
      await connect()
      for (const handler of Object.values(handlers)) handler('')
    } catch {
      // `connect` has arranged for the next try if it got as far as a client that ended; else it is arranged here.
      if (client === null) setTimeout(() => void retry(), RECONNECT_MS).unref()
    }
  }

  await connect()
  return {
    async close() {
      closed = true
      await client?.end().catch(() => {})
    },
  }
}
