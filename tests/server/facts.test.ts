import { createHash } from 'node:crypto'
import { mkdir, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readModelHeader } from '../../engine/inspect'
import { type Facts, openFacts } from '../../server/facts'
import { ArtifactStore } from '../../server/storage/artifact-store'
import { ROOT } from '../kit/postgres'
import { tempFolder } from '../kit/temp'

async function facts(): Promise<AsyncDisposable & { facts: Facts; folder: string; cache: string; looks: string[] }> {
  const made = await tempFolder()
  const home = join(made.path, 'home')
  const cache = join(made.path, 'cache')
  await mkdir(home)
  const looks: string[] = []
  return {
    facts: openFacts({
      files: { root: ROOT, home, artifacts: new ArtifactStore(join(home, 'artifacts')) },
      cache,
      inspectModel: async (path) => {
        looks.push(path)
        return readModelHeader(path)
      },
    }),
    folder: made.path,
    cache,
    looks,
    [Symbol.asyncDispose]: () => Promise.resolve(made[Symbol.asyncDispose]()),
  }
}

/** A llama-style model of two blocks in the layout of Hugging Face. */
async function tinyModel(folder: string): Promise<string> {
  const path = join(folder, 'tiny model')
  await mkdir(path)
  const config = {
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    hidden_size: 8,
    intermediate_size: 16,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    num_hidden_layers: 2,
    vocab_size: 32,
    max_position_embeddings: 64,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: true,
    torch_dtype: 'float32',
    hidden_act: 'silu',
  }
  await writeFile(join(path, 'config.json'), JSON.stringify(config))
  const shapes: Record<string, number[]> = { 'model.embed_tokens.weight': [32, 8], 'model.norm.weight': [8] }
  for (const block of [0, 1]) {
    const at = `model.layers.${block}`
    Object.assign(shapes, {
      [`${at}.input_layernorm.weight`]: [8],
      [`${at}.post_attention_layernorm.weight`]: [8],
      [`${at}.self_attn.q_proj.weight`]: [8, 8],
      [`${at}.self_attn.k_proj.weight`]: [4, 8],
      [`${at}.self_attn.v_proj.weight`]: [4, 8],
      [`${at}.self_attn.o_proj.weight`]: [8, 8],
      [`${at}.mlp.gate_proj.weight`]: [16, 8],
      [`${at}.mlp.up_proj.weight`]: [16, 8],
      [`${at}.mlp.down_proj.weight`]: [8, 16],
    })
  }
  let offset = 0
  const header: Record<string, unknown> = {}
  for (const [name, shape] of Object.entries(shapes)) {
    const bytes = shape.reduce((a, b) => a * b, 1) * 4
    header[name] = { dtype: 'F32', shape, data_offsets: [offset, offset + bytes] }
    offset += bytes
  }
  const json = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  await writeFile(join(path, 'model.safetensors'), Buffer.concat([length, json, Buffer.alloc(offset)]))
  return path
}

test('UX-21: a data file is described from its first rows, again only after it changed', async () => {
  await using here = await facts()
  const file = join(here.folder, 'rows.csv')
  await writeFile(file, 'prompt,completion\na,b\nc,d\n')
  const first = await here.facts.resolve({ kind: 'data', file })
  expect(first).toMatchObject({ kind: 'data', header: { name: 'rows.csv', container: 'csv', rows: 2, columns: ['prompt', 'completion'] } })
  expect(await here.facts.resolve({ kind: 'data', file })).toBe(first)
  await writeFile(file, 'prompt,completion\na,b\nc,d\ne,f\n')
  expect(await here.facts.resolve({ kind: 'data', file })).toMatchObject({ header: { rows: 3 } })
  await rm(file)
  expect(await here.facts.resolve({ kind: 'data', file })).toMatchObject({ kind: 'error', code: 'NOT_FOUND', fix: expect.any(String) })
  expect(await here.facts.digestOf({ kind: 'data', file })).toBeNull()
})

test('R-61: the digest is of the content: equal for a touched, copied or uploaded file, another for a changed one of the same size', async () => {
  await using here = await facts()
  const file = join(here.folder, 'a.txt')
  const sha = createHash('sha256').update('first text').digest('hex')
  await writeFile(file, 'first text')
  expect(await here.facts.digestOf({ kind: 'data', file })).toEqual({ digest: sha, name: 'a.txt' })
  await utimes(file, new Date(), new Date(Date.now() + 5_000))
  expect((await here.facts.digestOf({ kind: 'data', file }))?.digest).toBe(sha)
  await writeFile(file, 'other text')
  expect((await here.facts.digestOf({ kind: 'data', file }))?.digest).toBe(createHash('sha256').update('other text').digest('hex'))
})

test('UX-21: a local model is described from its headers, once while it does not change', async () => {
  await using here = await facts()
  const source = await tinyModel(here.folder)
  const fact = await here.facts.resolve({ kind: 'model', source })
  expect(fact).toMatchObject({
    kind: 'model',
    header: { modelType: 'llama', blocks: 2, hiddenSize: 8, tiedEmbeddings: true, dtype: 'F32', downloaded: true },
  })
  if (fact.kind !== 'model') throw new Error('no model')
  expect(fact.header.parameters).toHaveLength(20)
  await here.facts.resolve({ kind: 'model', source })
  expect(here.looks).toHaveLength(1)
  const before = await here.facts.digestOf({ kind: 'model', source })
  await writeFile(join(source, 'chat_template.jinja'), '{{ messages }}')
  expect(await here.facts.resolve({ kind: 'model', source })).toMatchObject({ header: { hasChatTemplate: true } })
  expect(here.looks).toHaveLength(2)
  expect((await here.facts.digestOf({ kind: 'model', source }))?.digest).not.toBe(before?.digest)
})

test('A built-in model is known from the catalogue before it was fetched; its key is pinned by the hash of its file', async () => {
  await using here = await facts()
  const source = 'builtin:smollm2-135m-instruct'
  const fact = await here.facts.resolve({ kind: 'model', source })
  expect(fact).toMatchObject({ kind: 'model', header: { blocks: 30, downloaded: false, license: 'apache-2.0' } })
  if (fact.kind !== 'model') throw new Error('no model')
  expect(fact.header.parameters.reduce((sum, one) => sum + one.shape.reduce((a, b) => a * b, 1), 0)).toBe(134_515_008)
  expect((await here.facts.digestOf({ kind: 'model', source }))?.digest).toMatch(/^b179c952/)
  expect(here.looks).toEqual([])
})

test('SEC-9: a model file that is something else is refused by content, whatever its name', async () => {
  await using here = await facts()
  const source = await tinyModel(here.folder)
  const weights = join(source, 'model.safetensors')
  const hostile: Record<string, Buffer> = {
    'a pickle': Buffer.from('80049550', 'hex'),
    'a zip of pickles': Buffer.concat([Buffer.from('PK\u0003\u0004'), Buffer.alloc(64)]),
    'a header of 2^63 bytes': Buffer.from('00000000000000800000000000000000', 'hex'),
    nothing: Buffer.alloc(0),
  }
  for (const [name, bytes] of Object.entries(hostile)) {
    await writeFile(weights, bytes)
    expect(await here.facts.resolve({ kind: 'model', source }), name).toMatchObject({
      kind: 'error',
      code: expect.stringMatching(/BAD_MODEL|UNSUPPORTED/),
    })
  }
})

test('SEC-6: names of models cannot climb out of where models lie', async () => {
  await using here = await facts()
  await mkdir(join(here.cache, 'models/hub'), { recursive: true })
  await symlink(here.folder, join(here.cache, 'models/hub/a--b'))
  for (const source of [
    'builtin:../server',
    'builtin:nope',
    'hub:../../etc/passwd',
    'hub:a',
    'hub:a/b/c',
    'hub:..%2f/x',
    'relative/folder',
    '',
    'x\0y',
    `/${'x'.repeat(5_000)}`,
  ]) {
    expect(await here.facts.resolve({ kind: 'model', source }), source).toMatchObject({
      kind: 'error',
      code: expect.stringMatching(/PATH_REFUSED|NOT_FOUND|INVALID_PARAM/),
    })
  }
  expect(await here.facts.resolve({ kind: 'model', source: 'hub:some/model' })).toMatchObject({ kind: 'error', code: 'NOT_DOWNLOADED' })
})
