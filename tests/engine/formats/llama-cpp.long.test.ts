/**
 * F-59: GGUF files as llama.cpp itself reads them. It comes from the npm registry (node-llama-cpp with its prebuilt library) into a folder
 * beside the engine's cache; THAW_LLAMA_CPP names a folder where it is installed already.
 */
import { execFile } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type GgufEncoding, saveGguf } from '../../../engine/formats/gguf-export'
import { generate } from '../../../engine/generate/generate'
import { type LoadedModel, loadModel } from '../../../engine/model'
import { InferenceSession } from '../../../engine/session'
import { tensorFlow } from '../support/backend'
import { GGUF_PAIRS, modelFolder } from '../support/model-folder'

const run = promisify(execFile)
const PACKAGE = 'node-llama-cpp@3.22.1'
const ROOT = path.join(import.meta.dirname, '../../..')
const TOKENS = 16
const TEXTS = ['The lighthouse keeper kept a ledger', 'Either party may terminate, upon 30 days’ notice:', '{"supplier": "']

let dir: string
let llamaCpp: string
beforeAll(async () => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'thaw-llama-cpp-'))
  llamaCpp = process.env.THAW_LLAMA_CPP ?? path.join(os.tmpdir(), 'thaw-peer-llama-cpp')
  if (!fs.existsSync(path.join(llamaCpp, 'node_modules/node-llama-cpp'))) {
    fs.mkdirSync(llamaCpp, { recursive: true })
    fs.writeFileSync(path.join(llamaCpp, 'package.json'), '{"private":true}')
    // Scripts stay off: the library for this platform is a package of its own.
    await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', PACKAGE], { cwd: llamaCpp, timeout: 300_000 })
  }
}, 330_000)
afterAll(() => fs.rmSync(dir, { recursive: true, force: true }))

type Theirs = { ids: number[][]; greedy: number[][]; template: string | null }[]
async function theirs(files: readonly string[], texts: readonly string[]): Promise<Theirs> {
  const request = path.join(dir, 'request.json')
  fs.writeFileSync(request, JSON.stringify(files.map((file) => ({ file, texts, tokens: TOKENS }))))
  const { stdout } = await run(process.execPath, [path.join(ROOT, 'tests/reference/llama_cpp.mjs'), llamaCpp, request], {
    maxBuffer: 1 << 24,
    timeout: 300_000,
  })
  return JSON.parse(stdout) as Theirs
}

async function ours(model: LoadedModel, texts: readonly string[]) {
  const session = new InferenceSession(await tensorFlow(), model)
  try {
    const ids = texts.map((text) => model.tokenizer.encode(text, { addSpecialTokens: false }).ids)
    const options = { temperature: 0, maxNewTokens: TOKENS, batch: 4, stopIds: [], padId: model.padId } as const
    return { ids, greedy: (await generate(session, ids, options)).map((one) => [...one.ids]) }
  } finally {
    session.close()
  }
}

describe('F-59: llama.cpp opens what is exported', () => {
  it.each(GGUF_PAIRS)('%s in 32 bit: the same tokens, template and greedy continuations', async (name, tokenizer) => {
    // A window is the one thing that such a file cannot say: the cases are asked within it.
    const model = loadModel(modelFolder(path.join(dir, name), name, tokenizer, { ...(name === 'mistral' && { sliding_window: null }) }))
    const file = path.join(dir, `${name}.gguf`)
    await saveGguf(model, { path: file, encoding: 'F32', name })
    const mine = await ours(model, TEXTS)
    const [other] = await theirs([file], TEXTS)
    expect(other?.ids).toEqual(mine.ids)
    expect(other?.template).toBe(model.source.text('chat_template.jinja'))
    expect(other?.greedy).toEqual(mine.greedy)
    model.close()
  })

  it('F-24: every encoding of the tiny bundled model loads and agrees with our own reader of the same file', async () => {
    const model = loadModel(path.join(ROOT, 'models/thaw-tiny'))
    const encodings: GgufEncoding[] = ['F32', 'F16', 'BF16', 'Q8_0', 'Q4_K_M', 'Q4_1', 'Q4_0']
    const files: string[] = []
    for (const encoding of encodings) {
      const file = path.join(dir, `thaw-tiny-${encoding}.gguf`)
      await saveGguf(model, { path: file, encoding, name: 'thaw-tiny' })
      files.push(file)
    }
    model.close()
    const others = await theirs(files, TEXTS)
    let same = 0
    for (const [i, file] of files.entries()) {
      const again = loadModel(file)
      const mine = await ours(again, TEXTS)
      again.close()
      expect(others[i]?.ids, file).toEqual(mine.ids)
      // For quantised weights llama.cpp rounds what is multiplied with them as well, so only unquantised ones must agree in every token.
      if (['F32', 'F16', 'BF16'].includes(encodings[i] as string)) expect(others[i]?.greedy, file).toEqual(mine.greedy)
      same += mine.greedy.filter((ids, t) => ids[0] === others[i]?.greedy[t]?.[0]).length
    }
    expect(same).toBeGreaterThanOrEqual(files.length * TEXTS.length - 3)
  })
})
