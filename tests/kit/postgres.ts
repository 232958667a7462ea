/**
 * A database of its own for each test, on a real PostgreSQL: one server per machine for all test files that run at the same time (each joins
 * it, the last to leave stops it), and a migrated template that is cloned, which takes a few hundredths of a second. With DATABASE_URL set the
 * databases are made there (T-22).
 */
import { createHash, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { findRoot } from '../../server/env'
import { type RunningPostgres, startPostgres } from '../../server/postgres'
import { openStorage, type Storage } from '../../server/storage/db'
import { migrateDatabase } from '../../server/storage/migrate'

export const ROOT = findRoot([import.meta.dirname])

let shared: Promise<{ url: string; release(): Promise<void> }> | undefined
let users = 0

/** The server, joined once per test process. */
async function server() {
  shared ??= (async () => {
    const own = process.env.DATABASE_URL
    const running: Pick<RunningPostgres, 'url' | 'release'> = own
      ? { url: own, release: async () => {} }
      : await startPostgres({ home: join(tmpdir(), 'thaw-test-postgres'), cache: join(tmpdir(), 'thaw-test-cache'), root: ROOT })
    return { url: running.url, release: () => running.release() }
  })()
  return shared
}

const withDatabase = (url: string, name: string) => {
  const changed = new URL(url)
  changed.pathname = `/${name}`
  return changed.href
}

async function admin<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** Name of the migrated template; it changes with the migrations, so an old one is never cloned. */
function templateName(): string {
  const folder = join(ROOT, 'drizzle/migrations')
  const { entries } = JSON.parse(readFileSync(join(folder, 'meta/_journal.json'), 'utf8')) as { entries: { tag: string }[] }
  const hash = createHash('sha256')
  for (const { tag } of entries) hash.update(readFileSync(join(folder, `${tag}.sql`)))
  return `thaw_template_${hash.digest('hex').slice(0, 12)}`
}

let template: Promise<string> | undefined

export interface TestDatabase extends AsyncDisposable {
  readonly url: string
  readonly storage: Storage
}

/** An empty, migrated database; `await using` drops it. */
export async function testDatabase(): Promise<TestDatabase> {
  users += 1
  const { url } = await server()
  template ??= admin(url, async (client) => {
    const name = templateName()
    await client.query('select pg_advisory_lock(7411)')
    const { rows } = await client.query('select 1 from pg_database where datname = $1', [name])
    if (rows.length === 0) {
      const half = `${name}_${process.pid}`
      await client.query(`create database ${half}`)
      await migrateDatabase({ databaseUrl: withDatabase(url, half), root: ROOT })
      await client.query(`alter database ${half} rename to ${name}`)
    }
    return name
  })
  const name = `thaw_test_${randomUUID().replaceAll('-', '')}`
  const from = await template
  await admin(url, (client) => client.query(`create database ${name} template ${from}`))
  const databaseUrl = withDatabase(url, name)
  const storage = openStorage({ databaseUrl, applicationName: 'thaw test' })
  return {
    url: databaseUrl,
    storage,
    async [Symbol.asyncDispose]() {
      await storage.close()
      await admin(url, (client) => client.query(`drop database ${name} with (force)`))
      users -= 1
      if (users === 0) {
        const leaving = shared
        shared = undefined
        template = undefined
        await (await leaving)?.release()
      }
    },
  }
}
