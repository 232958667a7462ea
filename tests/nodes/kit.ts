/** A run context over memory, for nodes that need no engine: real bytes, real digests, the real file of a template. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import type { RunContext } from '../../nodes/_kit/context'
import type { ModelHeader, ParameterFact } from '../../nodes/_kit/facts'
import type { DatasetHandle, ModelHandle } from '../../nodes/_kit/ports'

export const digestOf = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex')

export function memoryContext(engine: Partial<RunContext['engine']> = {}) {
  const stored = new Map<string, Uint8Array>()
  const logs: { text: string; level: string }[] = []
  const points: Record<string, number>[] = []
  const ctx: RunContext = {
    signal: new AbortController().signal,
    seed: 42,
    node: 'node',
    log: (text, level = 'info') => void logs.push({ text, level }),
    progress: () => undefined,
    metrics: (point) => void points.push(point),
    artifacts: {
      async put(bytes) {
        const data = typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes
        const digest = digestOf(data)
        stored.set(digest, data)
        return digest
      },
      putFile: () => Promise.reject(new Error('not used here')),
      path: () => Promise.reject(new Error('not used here')),
      async read(digest) {
        const bytes = stored.get(digest)
        if (!bytes) throw new Error(`no artifact ${digest}`)
        return bytes
      },
      async readText(digest) {
        return new TextDecoder().decode(await ctx.artifacts.read(digest))
      },
      putManifest: () => Promise.reject(new Error('not used here')),
    },
    checkpoint: { latest: async () => null, save: async () => undefined },
    engine: new Proxy(engine, {
      get(target, name) {
        const value = target[name as keyof typeof target]
        if (value === undefined) throw new Error(`this test has no engine.${String(name)}`)
        return value
      },
    }) as RunContext['engine'],
    secrets: () => Promise.reject(new Error('no secrets here')),
    curves: async () => [],
    fetchModel: () => Promise.reject(new Error('not used here')),
    async readFile(file) {
      const bytes = new Uint8Array(readFileSync(file))
      return { bytes, name: basename(file), digest: digestOf(bytes) }
    },
    tmp: '/nonexistent',
    provenance: { thawVersion: '0.1.0', graph: '{}', graphDigest: digestOf('{}'), lineage: () => [] },
  }
  return {
    ctx,
    stored,
    logs,
    points,
    rowsOf: async (data: DatasetHandle) =>
      (await ctx.artifacts.readText(data.artifact))
        .trimEnd()
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  }
}

/** Header of a llama- or gpt2-shaped model, listed as the architectures do. */
export function headerOf(kind: 'smollm2' | 'gpt2' | 'tiny', blocks?: number): ModelHeader {
  if (kind === 'smollm2') {
    const catalog = JSON.parse(readFileSync(new URL('../../models/catalog.json', import.meta.url), 'utf8')) as {
      models: { id: string; header: ModelHeader | null }[]
    }
    const found = catalog.models.find((m) => m.id === 'smollm2-135m-instruct')?.header
    if (!found) throw new Error('the catalogue lacks SmolLM2')
    return found
  }
  const gpt2 = kind === 'gpt2'
  const [h, f, v, n] = gpt2 ? [768, 3072, 50257, blocks ?? 12] : [64, 128, 512, blocks ?? 4]
  const parameters: ParameterFact[] = []
  const add = (name: string, shape: number[], block: number | null, part: ParameterFact['part']) =>
    void parameters.push({ name, shape, block, part })
  if (gpt2) {
    add('transformer.wte.weight', [v, h], null, 'embedding')
    add('transformer.wpe.weight', [1024, h], null, 'embedding')
    for (let i = 0; i < n; i++) {
      const b = `transformer.h.${i}.`
      for (const ln of ['ln_1', 'ln_2']) for (const w of ['weight', 'bias']) add(`${b}${ln}.${w}`, [h], i, 'norm')
      add(`${b}attn.c_attn.weight`, [h, 3 * h], i, 'attention')
      add(`${b}attn.c_attn.bias`, [3 * h], i, 'attention')
      add(`${b}attn.c_proj.weight`, [h, h], i, 'attention')
      add(`${b}attn.c_proj.bias`, [h], i, 'attention')
      add(`${b}mlp.c_fc.weight`, [h, f], i, 'mlp')
      add(`${b}mlp.c_fc.bias`, [f], i, 'mlp')
      add(`${b}mlp.c_proj.weight`, [f, h], i, 'mlp')
      add(`${b}mlp.c_proj.bias`, [h], i, 'mlp')
    }
    add('transformer.ln_f.weight', [h], null, 'norm')
    add('transformer.ln_f.bias', [h], null, 'norm')
  } else {
    add('model.embed_tokens.weight', [v, h], null, 'embedding')
    for (let i = 0; i < n; i++) {
      const b = `model.layers.${i}.`
      for (const p of ['q_proj', 'k_proj', 'v_proj', 'o_proj']) add(`${b}self_attn.${p}.weight`, [h, h], i, 'attention')
      for (const p of ['gate_proj', 'up_proj']) add(`${b}mlp.${p}.weight`, [f, h], i, 'mlp')
      add(`${b}mlp.down_proj.weight`, [h, f], i, 'mlp')
      for (const p of ['input_layernorm', 'post_attention_layernorm']) add(`${b}${p}.weight`, [h], i, 'norm')
    }
    add('model.norm.weight', [h], null, 'norm')
    add('lm_head.weight', [v, h], null, 'head')
  }
  return {
    name: kind,
    modelType: gpt2 ? 'gpt2' : 'llama',
    dtype: 'F32',
    sizeBytes: 1000,
    blocks: n,
    hiddenSize: h,
    intermediateSize: f,
    attentionHeads: gpt2 ? 12 : 4,
    keyValueHeads: gpt2 ? 12 : 4,
    headDim: gpt2 ? 64 : 16,
    vocabSize: v,
    contextLength: 1024,
    tiedEmbeddings: gpt2,
    hasChatTemplate: !gpt2,
    license: 'mit',
    parameters,
    downloaded: true,
  }
}

export function handleOf(header: ModelHeader): ModelHandle {
  const digest = digestOf(header.name)
  return {
    base: { manifest: digest, name: header.name, source: `hub:someone/${header.name}`, license: header.license },
    delta: null,
    modelType: header.modelType,
    dtype: header.dtype,
    parameters: header.parameters.reduce((n, p) => n + p.shape.reduce((a, b) => a * b, 1), 0),
    blocks: header.blocks,
    vocabSize: header.vocabSize,
    contextLength: header.contextLength,
    tiedEmbeddings: header.tiedEmbeddings,
    tokenizer: digest,
    chatTemplate: header.hasChatTemplate ? digest : null,
    trainable: null,
    lineage: [],
  }
}
