/** The way into the database: one lazily opened pool per process (TC-16). The code above cannot tell which PostgreSQL answers. */
import { sql } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import pg from 'pg'
import * as schema from '../../drizzle/schema'

export { LOCAL_OWNER } from '../../drizzle/schema'

export type Db = NodePgDatabase<typeof schema>
export type Tx = Parameters<Parameters<Db['transaction']>[0]>[0]
/** Storage functions take either: what is called inside a transaction takes part in it. */
export type Queryer = Db | Tx

export type Storage = {
  readonly db: Db
  readonly pool: pg.Pool
  /** For LISTEN: a direct connection even when `db` goes through a pooler. */
  readonly directUrl: string
  close(): Promise<void>
}

export type StorageOptions = { databaseUrl: string; databaseDirectUrl?: string | undefined; max?: number; applicationName?: string }

const LOOPBACK = new Set(['127.0.0.1', 'localhost', '::1', '[::1]', ''])

/** Connection settings for a URL. Another host is spoken to with verified TLS unless the URL says otherwise. */
export function connectionOf(url: string): pg.ClientConfig {
  const { hostname, searchParams } = new URL(url)
  const own = LOOPBACK.has(hostname) || searchParams.has('sslmode') || searchParams.has('host')
  return { connectionString: url, keepAlive: true, connectionTimeoutMillis: 10_000, ...(own ? {} : { ssl: { rejectUnauthorized: true } }) }
}

/** Connects on first use only. */
export function openStorage(options: StorageOptions): Storage {
  const pool = new pg.Pool({
    ...connectionOf(options.databaseUrl),
    max: options.max ?? 10,
    idleTimeoutMillis: 30_000,
    application_name: options.applicationName ?? 'thaw',
  })
  // An idle connection that breaks is replaced at the next query; without a listener it would end the process.
  pool.on('error', () => {})
  return {
    db: drizzle(pool, { schema }),
    pool,
    directUrl: options.databaseDirectUrl ?? options.databaseUrl,
    close: () => pool.end(),
  }
}

/** Rows of a raw statement, typed by the caller. Column names come back as the SQL names them. */
export async function rowsOf<Row>(db: Queryer, statement: ReturnType<typeof sql>): Promise<Row[]> {
  const result = await db.execute(statement)
  return result.rows as Row[]
}

/** A lock for the length of the transaction, named by words. */
export async function lockFor(tx: Tx, ...words: string[]): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${words.join(' ')}, 7))`)
}
