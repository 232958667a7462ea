import { execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { getInspection, insertInspection } from '../../../server/storage/inspections'
import { lockDevice } from '../../../server/workers/device-lock'
import { FromTrainer, parseMessage, ToTrainer } from '../../../server/workers/messages'
import { trainerEnv } from '../../../server/workers/trainer-process'
import { killGraph, OWNER, type TestHome, testHome, within } from '../../kit/executor'
import { processes } from '../../kit/processes'
import { until } from '../../kit/wait'

const reference = join(import.meta.dirname, '../../reference')

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 })

let home: TestHome
beforeAll(async () => {
  home = await testHome()
  await home.startWorker()
}, 120_000)
afterAll(async () => home[Symbol.asyncDispose]())

test('SEC-12, SEC-33: the trainer knows no database, token or key, gained no privileges, and has a folder of its own', async () => {
  const env = trainerEnv(
    {
      PATH: '/bin',
      DATABASE_URL: 'postgres://x',
      HF_TOKEN: 't',
      THAW_SECRET_KEY: 'k',
      S3_URL: 's3://x',
      AWS_SECRET_ACCESS_KEY: 'a',
      NODE_OPTIONS: '--inspect',
      LD_PRELOAD: 'x',
    },
    {},
  )
  expect(Object.keys(env).sort()).toEqual(['NODE_ENV', 'PATH', 'TF_CPP_MIN_LOG_LEVEL'])

  const { run } = await home.submit(killGraph(home.journal, { max_steps: 40, ms: 50 }))
  const pid = await home.trainerPid(run, 'train')
  const real = readFileSync(`/proc/${pid}/environ`, 'utf8')
  expect(real).not.toContain('DATABASE_URL')
  expect(real).toContain('THAW_HOME')
  expect(readFileSync(`/proc/${pid}/status`, 'utf8')).toMatch(/NoNewPrivs:\s*1/)
  expect(execFileSync('readlink', [`/proc/${pid}/cwd`], { encoding: 'utf8' })).toContain(join(home.home, 'tmp'))
  await home.finished(run)
})

test('R-25: the trainer stays warm between nodes', async () => {
  const { run } = await home.submit(killGraph(home.journal, { seed: 5 }))
  await home.finished(run)
  const pids = new Set(Object.values(await home.attempts(run)).flatMap((list) => list.map((attempt) => attempt.trainerPid)))
  expect(pids.size).toBe(1)
})

test('R-24: messages are checked on both ends, and a bad one is named', () => {
  expect(() => parseMessage(FromTrainer, { type: 'progress', done: 'half' }, 'trainer')).toThrow(/trainer sent a message/)
  expect(() => parseMessage(ToTrainer, { type: 'format-disk' }, 'worker')).toThrow(/worker sent a message/)
  expect(() =>
    parseMessage(FromTrainer, { type: 'checkpoint', ask: 1, step: 1, manifest: '../../etc/passwd', artifacts: [] }, 'trainer'),
  ).toThrow()
})

test('R-20: the device lock is held by one process and freed by its death, whatever it was doing', async () => {
  const name = `test-${process.pid}`
  const lock = await lockDevice(name)
  await expect(lockDevice(name, 300)).rejects.toMatchObject({ code: 'NO_ENGINE' })
  lock.release()
  await sleep(50)
  // A process that takes the lock and then blocks for ever.
  const child = spawn(
    process.execPath,
    [
      '-e',
      `require('node:net').createServer().listen('\\0thaw-${name}', () => { console.log('held'); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0) })`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  await new Promise((resolve) => child.stdout.once('data', resolve))
  const waiting = lockDevice(name, 5_000)
  await sleep(200)
  child.kill('SIGKILL')
  const from = Date.now()
  ;(await waiting).release()
  expect(Date.now() - from).toBeLessThan(within(1_000))
})

test('the token view: an inspection is answered by its own process while a training runs', async () => {
  const folder = join(home.home, '..', 'tiny')
  mkdirSync(folder)
  const tokenizer = join(reference, 'tokenizers', 'bbpe-smollm')
  for (const name of ['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'chat_template.jinja'])
    cpSync(join(tokenizer, name), join(folder, name))
  cpSync(join(reference, 'models', 'llama', 'model.safetensors'), join(folder, 'model.safetensors'))
  const config = JSON.parse(readFileSync(join(reference, 'models', 'llama', 'config.json'), 'utf8'))
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))

  const { run } = await home.submit(killGraph(home.journal, { max_steps: 1_000, ms: 60, seed: 11 }))
  await home.trainerPid(run, 'train')
  const ask = async (kind: string, request: Record<string, unknown>) => {
    const id = await home.storage.db.transaction(async (tx) => {
      const made = await insertInspection(tx, OWNER, { kind, request })
      await home.queue.send(tx, 'inspect', { id: made })
      return made
    })
    return until(`the answer to ${kind}`, async () => {
      const row = await getInspection(home.storage.db, OWNER, id)
      return row && (row.status === 'done' || row.status === 'failed') ? row : null
    })
  }
  const row = await ask('tokens', {
    model: folder,
    rows: [{ prompt: 'Who?', completion: 'Ada.' }, { text: 'plain' }],
    train_on: 'completion',
  })
  expect(row.error).toBeNull()
  const [chat] = (row.result as { rows: { tokens: { text: string; trained: boolean; special: boolean }[]; trained: number }[] }).rows
  const trained = chat?.tokens.filter((token) => token.trained).map((token) => token.text)
  expect(trained?.join('')).toContain('Ada.')
  expect(chat?.trained).toBe(trained?.length)
  expect(chat?.tokens.map((token) => token.text).join('')).toContain('Who?')
  expect((await home.nodes(run)).train?.status).toBe('running')
  expect(
    (await processes()).filter(
      (one) => one.command.includes('trainer.mjs') && one.command.includes(String(process.pid)) && !one.command.includes('worker.mjs'),
    ).length,
  ).toBe(2)

  expect((await ask('poem', {})).error).toMatchObject({ code: 'UNSUPPORTED' })
  expect((await ask('tokens', { model: folder, rows: 'all' })).error).toMatchObject({ code: 'INVALID_INPUT' })
  expect((await ask('tokens', { model: '/no/such/model', rows: [{ text: 'x' }] })).error).toMatchObject({ code: 'NOT_FOUND' })
  await home.executor.stop(OWNER, run, 'now')
})
