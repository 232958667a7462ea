import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { build } from 'esbuild'
import { describe, expect, test } from 'vitest'
import { openBackend } from '../../../engine/backends/choose'
import { multipliesBf16 } from '../../../engine/backends/tensorflow'
import { Builder } from '../../../engine/graph/builder'
import { adamFeeds, planWeights, trainStep, writeWeights } from '../../../engine/programs/index'
import { ensureEngine } from '../../../scripts/engine-install.mjs'
import { BACKEND_NAMES, BACKENDS, tensorFlow } from '../support/backend'
import { allLabels, randomIds, randomModel, TINY_LLAMA } from '../support/tiny'

/** counter += x; y = counter after it. */
function counter(name: string) {
  const g = new Builder()
  const variable = g.variable('counter', [2], 'f32', 'zeros')
  const before = g.read(variable)
  g.assignAdd(variable, g.feed('x', [2], 'f32'))
  return g.finish(name, { before: g.mul(before, g.fill(1, 'f32')), after: g.read(variable) })
}

describe.each(BACKEND_NAMES)('%s', (name) => {
  test('reads see the writes before them and none after', async () => {
    const executable = await (await BACKENDS[name]()).compile([counter('count')])
    const x = Float32Array.of(1, 10)
    for (let i = 0; i < 3; i++) {
      const { before, after } = await executable.run('count', { x })
      expect([...(before ?? []), ...(after ?? [])]).toEqual([i, 10 * i, i + 1, 10 * i + 10])
    }
    // Effects happen whichever fetch is asked for.
    await executable.run('count', { x }, ['before'])
    expect([...(await executable.readVariable('counter'))]).toEqual([4, 40])
    executable.close()
  })

  test('the caller keeps his arrays: neither feeds nor written variables are changed by later runs', async () => {
    const executable = await (await BACKENDS[name]()).compile([counter('count')])
    const mine = Float32Array.of(5, 6)
    await executable.writeVariable('counter', mine)
    const x = Float32Array.of(1, 1)
    await executable.run('count', { x })
    expect([...mine, ...x]).toEqual([5, 6, 1, 1])
    expect([...(await executable.readVariable('counter'))]).toEqual([6, 7])
    executable.close()
  })

  test('programs can be added later; variables keep their values', async () => {
    const executable = await (await BACKENDS[name]()).compile([counter('count')])
    const x = Float32Array.of(1, 2)
    await executable.run('count', { x })
    const g = new Builder()
    const sum = g.sum(g.read(g.variable('counter', [2], 'f32', 'zeros')), [0])
    await executable.extend([g.finish('sum', { sum })])
    expect((await executable.run('sum', {})).sum?.[0]).toBe(3)
    expect([...((await executable.run('count', { x })).after ?? [])]).toEqual([2, 4])
    executable.close()
  })

  test('a wrong feed, fetch, program or variable is refused by name, and the executable lives on', async () => {
    const executable = await (await BACKENDS[name]()).compile([counter('count')])
    const x = Float32Array.of(1, 2)
    await expect(executable.run('other', { x })).rejects.toThrowError(/no such program.*other.*count/)
    await expect(executable.run('count', {})).rejects.toThrowError(/needs the feed x.*f32\[2\]/)
    await expect(executable.run('count', { x, y: x })).rejects.toThrowError(/takes no feed y/)
    await expect(executable.run('count', { x: Float32Array.of(1) })).rejects.toThrowError(
      /feed x.*f32\[2\] \(2 elements\).*Float32Array of 1/,
    )
    await expect(executable.run('count', { x: Int32Array.of(1, 2) })).rejects.toThrowError(/feed x.*Int32Array of 2/)
    await expect(executable.run('count', { x }, ['nothing'])).rejects.toThrowError(/no fetch nothing/)
    await expect(executable.writeVariable('v', x)).rejects.toThrowError(/no such variable.*v/)
    expect(executable.variables.get('counter')).toMatchObject({ shape: [2], dtype: 'f32' })
    executable.close()
  })

  test('live tensors are constant from step 2 on, and closing frees everything', async () => {
    const backend = await BACKENDS[name]()
    const { model, read } = randomModel(TINY_LLAMA)
    const plan = planWeights(model, {
      trainable: model.parameters.filter(({ block }) => (block ?? 0) >= 3).map((parameter) => parameter.name),
      precision: 'fp32',
    })
    const ids = randomIds(2 * 8, 120)
    const labels = allLabels(ids, 8)
    const optimizer = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, maxGradNorm: 1 }
    const program = trainStep(plan, { batch: 2, length: 8, labels: labels.rows.length, optimizer })
    const start = backend.memory().liveTensors
    const executable = await backend.compile([program])
    await writeWeights(executable, plan, read)
    const counts: number[] = []
    for (let step = 1; step <= 5; step++) {
      await executable.run(program.name, {
        ids,
        ...labels,
        scale: Float32Array.of(1),
        ...adamFeeds({ learningRate: [1e-3], weightDecay: [0], step, optimizer }),
      })
      counts.push(backend.memory().liveTensors)
    }
    expect(new Set(counts.slice(1)).size).toBe(1)
    executable.close()
    expect(backend.memory().liveTensors).toBe(start)
    expect(backend.memory().variableBytes).toBe(0)
  })
})

test('bf16 crosses as raw bits in both directions, rounded to nearest even', async () => {
  const g = new Builder()
  const x = g.feed('x', [4], 'bf16')
  const variable = g.variable('v', [4], 'bf16')
  const executable = await (await tensorFlow()).compile([g.finish('p', { same: x, wide: g.cast(x, 'f32'), kept: g.read(variable) })])
  await executable.writeVariable('v', Float32Array.of(1 + 2 ** -8, 1 + 3 * 2 ** -8, -3, 0))
  const { same, wide, kept } = await executable.run('p', { x: Uint16Array.of(0x3f80, 0x4049, 0xc000, 0) })
  expect([...(same ?? [])]).toEqual([0x3f80, 0x4049, 0xc000, 0])
  expect([...(wide ?? [])]).toEqual([1, 3.140625, -2, 0])
  // 1 + 2⁻⁸ lies half-way between two bf16 numbers and goes to the even one, as does 1 + 3·2⁻⁸.
  expect([...(kept ?? [])]).toEqual([0x3f80, 0x3f82, 0xc040, 0])
  expect([...(await executable.readVariable('v'))]).toEqual([1, 1.015625, -3, 0])
  await executable.writeVariable('v', Uint16Array.of(1, 2, 3, 4))
  expect([...((await executable.run('p', { x: new Uint16Array(4) })).kept ?? [])]).toEqual([1, 2, 3, 4])
  executable.close()
})

test('a training step with frozen blocks uses no oneDNN reference kernel, in fp32 and bf16', async () => {
  const installed = await ensureEngine({ onProgress: () => {} })
  if (!installed.ok) throw new Error(installed.reason.message)
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'thaw-onednn-'))
  try {
    const script = path.join(folder, 'step.mjs')
    await build({
      entryPoints: [path.join(import.meta.dirname, 'frozen-step.ts')],
      outfile: script,
      bundle: true,
      platform: 'node',
      format: 'esm',
      logLevel: 'silent',
    })
    const executed = (...words: string[]) => {
      const { stdout, stderr, status } = spawnSync(process.execPath, [script, installed.engine.addon, ...words], {
        encoding: 'utf8',
        env: { ...process.env, ONEDNN_VERBOSE: '1' },
        maxBuffer: 1 << 28,
      })
      expect(status, stderr).toBe(0)
      return `${stdout}\n${stderr}`.split('\n').filter((line) => /^onednn_verbose.*,exec,/.test(line))
    }
    const isReference = (line: string) => /,ref[:,_]/.test(line)
    expect(executed('hazard').some(isReference), 'the detector sees the known case').toBe(true)
    const lines = executed()
    expect(lines.some((line) => /,matmul,/.test(line) && /bf16/.test(line))).toBe(true)
    expect(lines.filter(isReference)).toEqual([])
  } finally {
    fs.rmSync(folder, { recursive: true, force: true })
  }
})

describe('the fastest backend that runs here is chosen, with the reason', () => {
  test('TensorFlow where the addon is', async () => {
    const installed = await ensureEngine({ onProgress: () => {} })
    const { backend, reason } = await openBackend({ addon: installed.ok ? installed.engine.addon : null })
    expect(backend.name).toBe('tensorflow')
    expect(reason).toMatch(/^TensorFlow \(.*(CPU cores|GPU)/)
  })
  test('wasm where it is not, saying why', async () => {
    const { backend, reason } = await openBackend({ addon: null, reason: 'g++ is missing; install it' })
    expect(backend.name).toBe('wasm')
    expect(reason).toMatch(/slower.*g\+\+ is missing; install it/)
  })
  test('an addon that does not load is an obstacle, not an end', async () => {
    const file = path.join(os.tmpdir(), `thaw-broken-${process.pid}.node`)
    fs.writeFileSync(file, 'not a library')
    const { backend, reason } = await openBackend({ addon: file })
    fs.rmSync(file)
    expect(backend.name).toBe('wasm')
    expect(reason).toMatch(/TensorFlow could not be loaded/)
  })
})

test('bf16 is offered where the processor has such products, and nowhere else', () => {
  const x86 = (flags: string) => () => `processor\t: 0\nmodel name\t: some bf16 CPU\nflags\t\t: fpu sse ${flags} avx512vl\n`
  expect(multipliesBf16(x86('avx512_bf16'))).toBe(true)
  expect(multipliesBf16(x86('amx_tile amx_bf16'))).toBe(true)
  expect(multipliesBf16(x86('avx512f'))).toBe(false)
  expect(multipliesBf16(() => 'Features\t: fp asimd bf16 i8mm\n')).toBe(true)
  expect(
    multipliesBf16(() => {
      throw new Error('no such file')
    }),
  ).toBe(false)
})
