/**
 * Brings the database to the schema of this Thaw: our migrations and pg-boss's own, forward only, under one advisory lock. Called once by
 * the supervisor (or the CLI when there is none) before anything else connects; every other process only checks.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import pg from 'pg'
import { AppError } from '../errors'
import { connectionOf } from './db'

/** "thaw" in hexadecimal ASCII; any fixed number that nobody else uses does. */
const LOCK = 0x74686177

type Entry = { when: number; tag: string }

const migrationsOf = (root: string) => join(root, 'drizzle', 'migrations')

function journal(root: string): Entry[] {
  const { entries } = JSON.parse(readFileSync(join(migrationsOf(root), 'meta', '_journal.json'), 'utf8')) as { entries: Entry[] }
  return [...entries].sort((a, b) => a.when - b.when)
}

async function appliedUpTo(client: pg.ClientBase): Promise<number | null> {
  const { rows: tables } = await client.query("select to_regclass('drizzle.__drizzle_migrations') is not null as present")
  if (!tables[0].present) return null
  const { rows } = await client.query('select max(created_at)::float8 as last from drizzle.__drizzle_migrations')
  return rows[0].last
}

const named = (entries: Entry[], when: number | null) =>
  when === null ? 'empty' : (entries.find((entry) => entry.when === when)?.tag ?? `unknown (${new Date(when).toISOString()})`)

/** @throws AppError SCHEMA_UNKNOWN when the database was made by a newer Thaw. */
export async function migrateDatabase(options: { databaseUrl: string; root: string }): Promise<{ from: string; to: string }> {
  const entries = journal(options.root)
  const newest = entries.at(-1)
  if (!newest) throw new AppError('INTERNAL', { message: 'There are no migrations.', where: migrationsOf(options.root) })
  const client = new pg.Client(connectionOf(options.databaseUrl))
  client.on('error', () => {})
  await client.connect()
  try {
    const { rows } = await client.query('show server_version_num')
    if (Number(rows[0].server_version_num) < 160_000) {
      throw new AppError('POSTGRES_UNAVAILABLE', {
        message: 'The PostgreSQL behind DATABASE_URL is too old.',
        expected: '16 or newer',
        got: String(rows[0].server_version_num),
        fix: 'Upgrade it, or unset DATABASE_URL to use the one that Thaw brings.',
      })
    }
    await client.query('select pg_advisory_lock($1)', [LOCK])
    const before = await appliedUpTo(client)
    if (before !== null && before > newest.when) {
      throw new AppError('SCHEMA_UNKNOWN', {
        message: 'This database was last used by a newer Thaw.',
        expected: newest.tag,
        got: named(entries, before),
        fix: 'Update Thaw, or use another THAW_HOME (or DATABASE_URL).',
      })
    }
    if (before !== newest.when) await migrate(drizzle(client), { migrationsFolder: migrationsOf(options.root) })
    await migrateQueue(client, options.root)
    return { from: named(entries, before), to: newest.tag }
  } finally {
    // Ends the session, and with it the lock.
    await client.end()
  }
}

/**
 * Makes or raises pg-boss's schema, over our connection. Which pg-boss did that last is noted on the schema: loading the library only to learn that
 * there is nothing to do costs a tenth of a second at every start.
 */
async function migrateQueue(client: pg.ClientBase, root: string): Promise<void> {
  const made = `pg-boss ${JSON.parse(readFileSync(join(root, 'node_modules', 'pg-boss', 'package.json'), 'utf8')).version}`
  const { rows } = await client.query("select obj_description(to_regnamespace('pgboss')::oid, 'pg_namespace') as made")
  if (rows[0].made === made) return
  const { PgBoss } = await import('pg-boss')
  const boss = new PgBoss({
    db: { executeSql: (text, values) => client.query(text, values) },
    migrate: true,
    createSchema: true,
    supervise: false,
    schedule: false,
  })
  boss.on('error', () => {})
  await boss.start()
  await boss.stop({ graceful: false, close: false })
  await client.query(`comment on schema pgboss is '${made.replaceAll("'", "''")}'`)
}

/** For every process but the one that migrates. @throws AppError SCHEMA_UNKNOWN naming both versions. */
export async function assertSchema(storage: { pool: pg.Pool }, root: string): Promise<void> {
  const entries = journal(root)
  const client = await storage.pool.connect()
  try {
    const applied = await appliedUpTo(client)
    const newest = entries.at(-1)
    if (applied !== newest?.when) {
      throw new AppError('SCHEMA_UNKNOWN', {
        message: 'The database has another schema than this Thaw.',
        expected: newest?.tag,
        got: named(entries, applied),
        fix: 'Start Thaw with npm start, which brings the database up to date.',
      })
    }
  } finally {
    client.release()
  }
}
