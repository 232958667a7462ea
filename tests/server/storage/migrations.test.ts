import { execFile } from 'node:child_process'
import { cp, readdir } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { assertSchema } from '../../../server/storage/migrate'
import { ROOT, testDatabase } from '../../kit/postgres'
import { tempFolder } from '../../kit/temp'

test('R-2: the migrations make exactly the tables of the schema: generating again finds nothing to add', async () => {
  await using folder = await tempFolder('thaw-migrations-')
  const out = join(folder.path, 'migrations')
  await cp(join(ROOT, 'drizzle/migrations'), out, { recursive: true })
  const before = (await readdir(out)).sort()
  // drizzle-kit takes its folder relative to where it runs.
  const args = ['generate', '--dialect=postgresql', `--schema=${join(ROOT, 'drizzle/schema.ts')}`, `--out=${relative(ROOT, out)}`]
  const { stdout } = await promisify(execFile)(process.execPath, [join(ROOT, 'node_modules/drizzle-kit/bin.cjs'), ...args], { cwd: ROOT })
  expect(stdout).toContain('No schema changes')
  expect((await readdir(out)).sort()).toEqual(before)
})

test('R-80, R-90: documents are json, and the counter keeps room on its page', async () => {
  await using database = await testDatabase()
  const { rows } = await database.storage.pool.query(
    "select table_name, column_name from information_schema.columns where data_type = 'jsonb' and table_schema = 'public'",
  )
  expect(rows).toEqual([])
  const counter = await database.storage.pool.query("select reloptions from pg_class where relname = 'run_seq'")
  expect(counter.rows[0].reloptions).toEqual(['fillfactor=50'])
})

test('R-91: every table with user data says whose it is', async () => {
  await using database = await testDatabase()
  const { rows } = await database.storage.pool.query(
    "select t.table_name from information_schema.tables t where t.table_schema = 'public' and not exists (select 1 from information_schema.columns c where c.table_schema = 'public' and c.table_name = t.table_name and c.column_name = 'owner_id' and c.is_nullable = 'NO') order by 1",
  )
  // Bytes are shared and reached through artifact_refs; workers belong to the installation.
  expect(rows.map((row) => row.table_name)).toEqual(['artifacts', 'workers'])
})

test('R-3: a process that does not migrate accepts the schema it knows and refuses another, naming both', async () => {
  await using database = await testDatabase()
  await assertSchema(database.storage, ROOT)
  await database.storage.pool.query('delete from drizzle.__drizzle_migrations')
  await expect(assertSchema(database.storage, ROOT)).rejects.toMatchObject({
    code: 'SCHEMA_UNKNOWN',
    expected: expect.stringMatching(/^\d{4}_/),
    got: 'empty',
  })
})
