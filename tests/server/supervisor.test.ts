import { spawn } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { isAlive, processStart, takeLock, thisProcess } from '../../server/lock-file'
import { freePort } from '../../server/supervisor'
import { Child } from '../../server/supervisor-children'
import { clearSupervisor, readSupervisor, writeSupervisor } from '../../server/supervisor-state'
import { ensureToken } from '../../server/web/guard'
import { tempFolder } from '../kit/temp'
import { until } from '../kit/wait'

const NONE = { env: process.env, cwd: process.cwd(), graceMs: 2_000, onChange() {} }

test('R-18: a child that ends is started again, later each time; five ends within a minute make it degraded, with its last lines', async () => {
  await using folder = await tempFolder()
  const program = join(folder.path, 'crash.mjs')
  const journal = join(folder.path, 'journal')
  await writeFile(
    program,
    `import { appendFileSync } from 'node:fs'; appendFileSync(${JSON.stringify(journal)}, Date.now() + '\\n'); console.error('no luck today'); process.exit(3)`,
  )
  const child = new Child({ ...NONE, name: 'crasher', args: [program], logFile: join(folder.path, 'logs/crasher.log') })
  child.start()
  await until('degraded', () => child.state.state === 'degraded', { timeoutMs: 30_000 })
  expect(child.state.lines).toContain('no luck today')
  await child.stop()
  child.close()
  const starts = (await readFile(journal, 'utf8')).trim().split('\n').map(Number)
  const gaps = starts.slice(1).map((at, i) => at - (starts[i] ?? 0))
  expect(gaps[0]).toBeGreaterThanOrEqual(190)
  expect(gaps[1]).toBeGreaterThanOrEqual(390)
  expect(gaps[2]).toBeGreaterThanOrEqual(790)
  expect(await readFile(join(folder.path, 'logs/crasher.log'), 'utf8')).toContain('exit code 3')
})

test('R-22: a child is asked to end and killed when it does not; a second signal skips the wait', async () => {
  await using folder = await tempFolder()
  const program = join(folder.path, 'stubborn.mjs')
  await writeFile(program, "process.on('SIGTERM', () => console.log('heard')); console.log('up'); setInterval(() => {}, 1000)")
  const start = async (graceMs: number) => {
    const child = new Child({ ...NONE, graceMs, name: 'stubborn', args: [program], logFile: join(folder.path, 'log') })
    child.start()
    await until('up', () => child.lines.includes('up'))
    return { child, pid: child.state.pid ?? 0 }
  }
  const slow = await start(600)
  const from = performance.now()
  await slow.child.stop()
  expect(performance.now() - from).toBeGreaterThan(550)
  expect(isAlive({ pid: slow.pid, started: null })).toBe(false)
  const quick = await start(60_000)
  await quick.child.stop(Promise.resolve())
  expect(isAlive({ pid: quick.pid, started: null })).toBe(false)
})

test('R-17: one lock for one THAW_HOME; a dead owner, also one whose number was given to another process, loses it', async () => {
  await using folder = await tempFolder()
  const path = join(folder.path, 'a', 'lock')
  const mine = takeLock(path)
  expect(mine.taken).toBe(true)
  expect(takeLock(path)).toMatchObject({ taken: false, owner: { pid: process.pid } })
  if (mine.taken) mine.release()

  const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
  await until('it to live', () => other.pid !== undefined && processStart(other.pid) !== null)
  const owner = { pid: other.pid ?? 0, started: processStart(other.pid ?? 0) }
  await writeFile(path, JSON.stringify(owner))
  expect(takeLock(path)).toMatchObject({ taken: false, owner })
  // The same number, started at another time: not the owner.
  await writeFile(path, JSON.stringify({ ...owner, started: '1' }))
  const taken = takeLock(path)
  expect(taken.taken).toBe(true)
  if (taken.taken) taken.release()
  await writeFile(path, JSON.stringify(owner))
  other.kill('SIGKILL')
  await until('its end', () => !isAlive(owner))
  expect(takeLock(path).taken).toBe(true)
})

test('R-17: of ten processes that want the lock at the same moment one gets it', async () => {
  await using folder = await tempFolder()
  const path = join(folder.path, 'lock')
  await writeFile(path, JSON.stringify({ pid: 999_999_999, started: '1' }))
  const { bundleProgram } = await import('../kit/bundle')
  const program = await bundleProgram('tests/kit/lock-taker.ts', 'lock-taker')
  const takers = Array.from({ length: 10 }, () => {
    const child = spawn(process.execPath, [program, path], { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.on('data', (chunk) => {
      text += chunk
    })
    const answer = new Promise<string>((resolve) => child.on('close', () => resolve(text.split('\n')[1] ?? '')))
    return { ready: () => text.startsWith('ready'), answer }
  })
  await until('all to be ready', () => takers.every((taker) => taker.ready()))
  await writeFile(`${path}.go`, '')
  const results = await Promise.all(takers.map((taker) => taker.answer))
  expect(results.filter((one) => one === 'taken')).toHaveLength(1)
  expect(results.filter((one) => one === 'refused')).toHaveLength(9)
})

test('R-17: a taken port gives the next free one', async () => {
  const blocker = createServer()
  await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve))
  const { port } = blocker.address() as { port: number }
  try {
    expect(await freePort(port)).toBeGreaterThan(port)
  } finally {
    blocker.close()
  }
})

test('What a supervisor says is believed only while it lives, and only its own account may read it', async () => {
  await using folder = await tempFolder()
  const home = join(folder.path, 'home')
  expect(readSupervisor(home)).toBeNull()
  writeSupervisor(home, { origin: 'http://127.0.0.1:1', databaseUrl: 'postgres://x', children: [] })
  expect(readSupervisor(home)).toMatchObject({ ...thisProcess(), origin: 'http://127.0.0.1:1' })
  const { stat } = await import('node:fs/promises')
  expect((await stat(join(home, 'supervisor.json'))).mode & 0o777).toBe(0o600)
  clearSupervisor(home)
  expect(readSupervisor(home)).toBeNull()
  await writeFile(join(home, 'supervisor.json'), JSON.stringify({ pid: 999_999_999, started: '1', origin: 'x' }))
  expect(readSupervisor(home)).toBeNull()
})

test('SEC-20: the token has 256 bits, lies in a 0600 file, and stays the same', async () => {
  await using folder = await tempFolder()
  const home = join(folder.path, 'home')
  await mkdir(home)
  const token = ensureToken(home)
  expect(Buffer.from(token, 'base64url')).toHaveLength(32)
  expect(ensureToken(home)).toBe(token)
  const { stat } = await import('node:fs/promises')
  expect((await stat(join(home, 'token'))).mode & 0o777).toBe(0o600)
})
