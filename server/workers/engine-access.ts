/**
 * The engine as a trainer offers it to nodes: EngineAccess (nodes/_kit/context.ts) over engine/, for one EngineHost (server/executor/context.ts).
 * `openEngine` is called once per trainer, before its first node; the factory it gives, once per attempt. Warmth is only speed: models
 * are kept open and one set of weights stays loaded between nodes, and every job works in a fresh trainer as well.
 */
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Backend } from '../../engine/backends/backend'
import { openBackend } from '../../engine/backends/choose'
import { type EncodedSet, encodeRow, encodeRows, promptOf, type Row } from '../../engine/data/encode'
import { EngineError } from '../../engine/errors'
import { evaluate } from '../../engine/evaluate/evaluate'
import { type Scored, score } from '../../engine/evaluate/score'
import type { GenerateOptions } from '../../engine/generate/generate'
import { readModelHeader } from '../../engine/inspect'
import { type LoadedModel, loadModel } from '../../engine/model'
import type { Model } from '../../engine/models/index'
import { planSides, planWeights } from '../../engine/programs/index'
import { saveDelta } from '../../engine/save'
import { breathe, InferenceSession } from '../../engine/session'
import type { Objective } from '../../engine/train/objective'
import { type TrainedWeights, train } from '../../engine/train/train'
import type {
  ArtifactAccess,
  EngineAccess,
  GenerateOptions as NodeGenerateOptions,
  RowTokens,
  Score,
  TrainEvent,
} from '../../nodes/_kit/context'
import { baseOf, type DatasetHandle, type Digest, type ModelHandle } from '../../nodes/_kit/ports'
import type { EngineFactory, EngineHost } from '../executor/context'
import { adapterFor, exportAdapter, foldedIn, storeAdapter } from './adapters'
import { writeAnswers } from './answers'
import { writeAndCompare } from './export-model'
import { preparePreferences } from './preferences'
import { shortJobs } from './short-jobs'
import { readManifest, type StoredFile, store } from './stored-files'

/** Models kept open: headers, tokenizer and file handles, no weights. */
const OPEN_MODELS = 4
/** Sets of weights kept on the backend: a model and its base, which are scored in turn. */
const LOADED_MODELS = 2

/**
 * @param options.root the checkout, where the install script lies
 * @throws EngineError `backend` when not even the fallback runs
 */
export async function openEngine({ cache, root }: { cache: string; root: string }): Promise<EngineFactory> {
  // By path, not bundled: the script looks for its packages beside itself.
  const install = await import(pathToFileURL(path.join(root, 'scripts', 'engine-install.mjs')).href)
  const installed = install.installedEngine({ cache }) as { addon: string } | null
  const choice = await openBackend({
    addon: installed?.addon ?? null,
    reason: 'TensorFlow is not installed; npm start says what is missing and how to get it',
  })
  const engine = new WarmEngine(choice.backend, choice.reason)
  return (host) => engine.access(host)
}

/** What a trainer keeps between attempts. */
class WarmEngine {
  readonly #backend: Backend
  readonly #reason: string
  /** By base and delta; oldest first. */
  readonly #models = new Map<string, LoadedModel>()
  /** By model and precision; oldest first. */
  readonly #sessions = new Map<string, { model: string; session: InferenceSession }>()

  constructor(backend: Backend, reason: string) {
    this.#backend = backend
    this.#reason = reason
  }

  access(host: EngineHost): EngineAccess {
    return {
      backend: { name: this.#backend.name, device: this.#backend.device, reason: this.#reason, bf16: this.#backend.bf16 },
      importModel: (source) => importModel(host, source),
      header: async (handle) => ({
        ...readModelHeader(await locate(host, handle)),
        name: handle.base.name,
        license: handle.base.license,
        downloaded: true,
      }),
      train: (job) => this.#train(host, job),
      evaluate: async (job) => {
        const { model, session } = await this.#loaded(host, job.model, job.bf16)
        const { set, rows } = await this.#encode(host, model, job.data, job.max_length, job.train_on)
        const batching = { batch: job.batch_size, padId: model.padId, signal: host.signal }
        const { loss, perplexity, tokens, rowLosses } = await evaluate(session, set, rows, {
          ...batching,
          ...(job.onProgress && { onProgress: job.onProgress }),
        })
        return { loss, perplexity, tokens, rowLosses: [...rowLosses] }
      },
      score: (job) => this.#score(host, job),
      tokens: async (job) => {
        const { tokenizer, template } = await this.#open(host, job.model)
        const rows = await readRows(host.artifacts, job.data)
        const list: RowTokens[] = []
        for (const [i, row] of rows.entries()) {
          if (i % 200 === 0) {
            await breathe()
            host.signal.throwIfAborted()
            job.onProgress?.(i, rows.length)
          }
          try {
            const { ids, labels, endTrained } = encodeRow({ tokenizer, template, trainOn: job.train_on }, row)
            const doubleStart = ids.length > 1 && ids[0] === ids[1] && tokenizer.specialIds.has(ids[0] as number)
            list.push({ length: ids.length, trained: labels, endTrained, doubleStart, error: null })
          } catch (error) {
            if (!(error instanceof EngineError)) throw error
            list.push({ length: 0, trained: 0, endTrained: false, doubleStart: false, error: error.message })
          }
        }
        return list
      },
      generate: async (job) => {
        const { model, session } = await this.#loaded(host, job.model, job.bf16)
        const prompts = await promptsOf(host, model, job.data)
        return {
          prompts: prompts.map(({ text }) => text),
          ...(await writeAnswers(
            session,
            model,
            prompts.map(({ ids }) => ids),
            job.options,
            { ...generation(host, model, job.options), ...(job.onProgress && { onProgress: job.onProgress }) },
          )),
        }
      },
      ...shortJobs(host, {
        backend: this.#backend,
        open: (handle) => this.#open(host, handle),
        loaded: (handle) => this.#loaded(host, handle),
        unload: () => this.#unload(),
        encode: (model, data, maxLength, trainOn) => this.#encode(host, model, data, maxLength, trainOn),
        delta: (model, values) => this.#delta(host, model, values),
        precision: (bf16) => this.#precision(bf16),
      }),
      exportFolder: async (job) => {
        const { model, session } = await this.#loaded(host, job.model)
        return writeAndCompare({ host, backend: this.#backend, model, session, unload: () => this.#unload() }, job)
      },
      exportAdapter: ({ model, name, card }) => exportAdapter(host, model, name, card),
    }
  }

  /** The model, opened; without weights on the backend. */
  async #open(host: EngineHost, handle: ModelHandle): Promise<LoadedModel> {
    const key = keyOf(handle)
    const known = this.#models.get(key)
    if (known) {
      this.#models.delete(key)
      this.#models.set(key, known)
      return known
    }
    const plain = loadModel(await locate(host, handle), { delta: handle.delta && (await host.artifacts.path(handle.delta)) })
    const model = await foldedIn(host, plain, handle)
    this.#models.set(key, model)
    for (const [old, oldest] of this.#models) {
      if (this.#models.size <= OPEN_MODELS) break
      if ([...this.#sessions.values()].some(({ model: used }) => used === old)) continue
      oldest.close()
      this.#models.delete(old)
    }
    return model
  }

  /** The model with its weights on the backend: in fp32 unless asked otherwise, so that what is compared with others is not rounded. */
  async #loaded(host: EngineHost, handle: ModelHandle, bf16 = false): Promise<{ model: LoadedModel; session: InferenceSession }> {
    const model = await this.#open(host, handle)
    const precision = this.#precision(bf16)
    return { model, session: await this.#session(handle, precision, () => new InferenceSession(this.#backend, model, precision)) }
  }

  /** The session of this model and kind, kept or made. */
  async #session(handle: ModelHandle, kind: string, make: () => InferenceSession): Promise<InferenceSession> {
    const key = `${keyOf(handle)} ${kind}`
    const known = this.#sessions.get(key)
    const session = known?.session ?? make()
    this.#sessions.delete(key)
    this.#sessions.set(key, { model: keyOf(handle), session })
    for (const old of this.#sessions.keys()) {
      if (this.#sessions.size <= this.#room(session.plan.model)) break
      this.#unload(old)
    }
    return session
  }

  /** Loss and answers of a model and, if asked, of its base: side by side where training left the lowest blocks alone, else in turn. */
  async #score(host: EngineHost, job: Parameters<EngineAccess['score']>[0]): ReturnType<EngineAccess['score']> {
    const model = await this.#open(host, job.model)
    const { set, rows } = await this.#encode(host, model, job.data, job.max_length, job.train_on)
    const prompts = job.answers && (await promptsOf(host, model, job.data)).map(({ ids }) => ids)
    const options = {
      ...generation(host, model, job.answers ?? LOSS_ONLY),
      batch: job.answers?.batch_size ?? job.batch_size,
    }
    const base = job.base ? await this.#open(host, baseOf(job.model)) : null
    const listed = ({ model: { parameters } }: LoadedModel) => parameters.map(({ name }) => name).join()
    const precision = this.#precision(job.bf16 ?? false)
    const beside = base && listed(base) === listed(model) && sharedBlocks(model) > 0
    const sessions = beside
      ? [
          () =>
            this.#session(
              job.model,
              `${precision} beside its base`,
              () => new InferenceSession(this.#backend, model, precision, { changed: model.changed, read: model.readBase }),
            ),
        ]
      : [
          async () => (await this.#loaded(host, job.model, job.bf16)).session,
          ...(base ? [async () => (await this.#loaded(host, baseOf(job.model), job.bf16)).session] : []),
        ]
    const results: Scored[] = []
    for (const [i, open] of sessions.entries()) {
      const session = await open()
      const onProgress = (done: number, total: number) => job.onProgress?.(i * total + done, sessions.length * total)
      results.push(...(await score(session, set, prompts, rows, { ...options, onProgress })))
    }
    const told = ({ evaluation, answers }: Scored): Score => ({
      loss: evaluation.loss,
      perplexity: evaluation.perplexity,
      tokens: evaluation.tokens,
      rowLosses: [...evaluation.rowLosses],
      texts: answers?.map(({ ids }) => model.tokenizer.decode(ids, { skipSpecialTokens: true })) ?? null,
      truncated: answers?.map(({ stop }) => stop === null) ?? null,
    })
    const [own, before] = results
    return { model: told(own as Scored), base: before ? told(before) : null }
  }

  /** How many sets of weights may stay: one, unless a second of this size leaves half of the free memory alone. */
  #room(model: Model): number {
    const parameters = model.parameters.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
    return this.#backend.name === 'tensorflow' && parameters * 4 < os.freemem() / 4 ? LOADED_MODELS : 1
  }

  #unload(...keys: string[]): void {
    for (const key of keys.length ? keys : [...this.#sessions.keys()]) {
      this.#sessions.get(key)?.session.close()
      this.#sessions.delete(key)
    }
  }

  async #encode(
    host: EngineHost,
    model: LoadedModel,
    data: DatasetHandle,
    maxLength: number,
    trainOn: 'completion' | 'assistant' | 'last_turn' | 'all',
  ): Promise<{ set: EncodedSet; rows: number }> {
    const rows = await readRows(host.artifacts, data)
    const { tokenizer, template } = model
    const set = await encodeRows({ tokenizer, template, trainOn }, rows, { maxLength, yieldNow: breathe })
    if (set.dropped.length)
      host.log(
        `${set.dropped.length} of ${rows.length} rows of ${data.name} are longer than ${maxLength} tokens and were left out.`,
        'warn',
      )
    return { set, rows: rows.length }
  }

  async #rows(
    host: EngineHost,
    model: LoadedModel,
    { data, validation, args }: Parameters<EngineAccess['train']>[0],
  ): Promise<{ set: EncodedSet; validation?: EncodedSet | undefined; objective?: Objective }> {
    const { set } = await this.#encode(host, model, data, args.max_length, args.train_on)
    return { set, validation: validation && (await this.#encode(host, model, validation, args.max_length, args.train_on)).set }
  }

  async *#train(host: EngineHost, job: Parameters<EngineAccess['train']>[0]): AsyncGenerator<TrainEvent, void, undefined> {
    const { args } = job
    const model = await this.#open(host, job.model)
    // Two sets of weights at once would be memory for nothing.
    this.#unload()
    const { set, validation, objective } = job.preference
      ? yield* preparePreferences(host, this.#backend, model, { ...job, preference: job.preference })
      : await this.#rows(host, model, job)
    if (!set.rows.length)
      throw new EngineError('bad_argument', 'no row is left to train on', {
        where: 'max_length',
        got: String(args.max_length),
        fix: 'raise max_length',
      })
    if (!job.preference && set.endTrained < set.rows.length)
      host.log(
        `The end of the answer trains in ${set.endTrained} of ${set.rows.length} rows: the model may not learn when to stop.`,
        'warn',
      )

    const saved = await host.checkpoint.latest()
    const files = saved && new Map((await readManifest(host.artifacts, saved.manifest)).map((file) => [file.path, file.digest]))
    const located = new Map<string, string>()
    for (const [name, digest] of files ?? []) located.set(name, await host.artifacts.path(digest))

    const adapted = job.adapter && adapterFor(model, job.model, job.adapter, args.seed)
    const loop = train({
      backend: this.#backend,
      weights: adapted ?? model,
      data: set,
      ...(validation && { validation }),
      ...(objective && { objective }),
      trainable: adapted?.trainable ?? job.trainable?.names ?? model.model.parameters.map(({ name }) => name),
      args,
      scratch: host.tmp,
      padId: model.padId,
      identity: {
        base: job.model.base.manifest,
        delta: job.model.delta,
        ...(job.model.adapter && { before: job.model.adapter.manifest }),
        ...(job.adapter && { adapter: job.adapter }),
      },
      ...(files && { resume: (name: string) => located.get(name) ?? null }),
      onCheckpoint: async (folder, names, at) => {
        const stored: StoredFile[] = []
        for (const name of names) stored.push(await store(host.artifacts, path.join(folder, name), name))
        await host.checkpoint.save({ ...at, files: stored })
      },
      signal: host.signal,
      stop: host.stop,
      takeCheckpointRequest: () => host.takeCheckpointRequest(),
    })
    for await (const event of loop) {
      if (event.type === 'done') {
        const { weights, ...rest } = event
        if (!adapted || !job.adapter) yield { ...rest, delta: await this.#delta(host, model, weights) }
        else {
          // What an earlier adapter changed is part of the weights now.
          const delta = job.model.adapter
            ? await this.#delta(host, model, { names: [], read: async (name) => model.read(name) })
            : job.model.delta
          yield { ...rest, delta, adapter: await storeAdapter(host, adapted, weights, job.adapter.method) }
        }
      } else if (event.type === 'stopped') yield { type: 'stopped', step: event.step }
      else yield event
    }
  }

  #precision(bf16: boolean): 'bf16' | 'fp32' {
    return bf16 && this.#backend.bf16 ? 'bf16' : 'fp32'
  }

  /** Stores every parameter that differs from the base: what this training changed, and what an earlier one did. */
  async #delta(host: EngineHost, model: LoadedModel, weights: TrainedWeights): Promise<Digest> {
    const file = path.join(host.tmp, 'delta.safetensors')
    await saveDelta(file, model, weights)
    return host.artifacts.putFile(file)
  }
}

/** Where no answers are wanted, these are not looked at. */
const LOSS_ONLY = { max_new_tokens: 1, temperature: 0, top_k: 0, top_p: 1, repetition_penalty: 1, seed: 0, batch_size: 1 } as const

/** How many blocks from the bottom training left alone. */
const sharedBlocks = ({ model, changed }: LoadedModel): number =>
  planSides(planWeights(model, { trainable: [], precision: 'fp32' }), new Set(changed)).shared

/** Options of a node as the engine has them. */
const generation = (host: EngineHost, model: LoadedModel, options: NodeGenerateOptions): GenerateOptions => ({
  temperature: options.temperature,
  topK: options.top_k,
  topP: options.top_p,
  repetitionPenalty: options.repetition_penalty,
  maxNewTokens: options.max_new_tokens,
  batch: options.batch_size,
  seed: options.seed,
  stopIds: model.stopIds,
  usableIds: model.tokenizer.size,
  padId: model.padId,
  signal: host.signal,
})

/** What the model is asked in each row. */
async function promptsOf(host: EngineHost, model: LoadedModel, data: DatasetHandle) {
  return (await readRows(host.artifacts, data)).map((row, i) => {
    const prompt = promptOf(model, row)
    if (prompt) return prompt
    throw new EngineError('bad_argument', 'raw text asks the model nothing', {
      where: `row ${i + 1}`,
      expected: 'messages, or a prompt and a completion',
    })
  })
}

const keyOf = (handle: ModelHandle): string => `${handle.base.manifest}/${handle.delta ?? 'base'}/${handle.adapter?.manifest ?? ''}`

/** Rows as nodes wrote them (ports.ts: DatasetHandle.artifact). */
async function readRows(artifacts: ArtifactAccess, data: DatasetHandle): Promise<Row[]> {
  if (data.format !== 'messages' && data.format !== 'prompt_completion' && data.format !== 'text') {
    throw new EngineError('bad_argument', `${data.format} rows are not for training`, {
      where: data.name,
      expected: 'messages, prompt and completion, or text',
    })
  }
  const text = await artifacts.readText(data.artifact)
  // Not a splitter for all line ends: U+2028 may stand inside a row.
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Row)
}

/** Where the base can be opened: a GGUF as it lies in the store, a folder as links to its files. */
async function locate(host: EngineHost, handle: ModelHandle): Promise<string> {
  const files = await readManifest(host.artifacts, handle.base.manifest)
  const [only] = files
  if (files.length === 1 && only?.path.toLowerCase().endsWith('.gguf')) return host.artifacts.path(only.digest)
  // Beside the attempt's own folder, because a model stays open longer than an attempt lasts.
  const folder = path.join(path.dirname(host.tmp), 'models', handle.base.manifest)
  fs.mkdirSync(folder, { recursive: true })
  for (const file of files) {
    const link = path.join(folder, file.path)
    fs.mkdirSync(path.dirname(link), { recursive: true })
    if (!fs.existsSync(link)) fs.symlinkSync(await host.artifacts.path(file.digest), link)
  }
  return folder
}

/** What is kept of a Hugging Face folder: never pickle files, never anything that is no part of a model (SEC-9). */
const MODEL_FILE = /^(?:[\w.-]+\.(?:safetensors|json|jinja)|readme\.md|licen[cs]e(?:\.\w+)?|notice(?:\.\w+)?)$/i

async function importModel(
  host: EngineHost,
  { path: location, name, source, license }: Parameters<EngineAccess['importModel']>[0],
): Promise<ModelHandle> {
  const header = readModelHeader(location)
  const loaded = loadModel(location)
  try {
    const file = loaded.source.container === 'gguf' ? loaded.source.path : null
    const folder = file === null ? loaded.source.path : path.dirname(file)
    const names =
      file === null
        ? fs.readdirSync(folder).filter((entry) => MODEL_FILE.test(entry) && fs.statSync(path.join(folder, entry)).isFile())
        : [path.basename(file)]
    const files: StoredFile[] = []
    for (const entry of names) files.push(await store(host.artifacts, path.join(folder, entry), entry))
    const { manifest } = await host.artifacts.putManifest(name, files)
    const template = loaded.source.text('chat_template.jinja')
    return {
      base: { manifest, name, source, license: license ?? header.license },
      delta: null,
      modelType: header.modelType,
      dtype: header.dtype,
      parameters: header.parameters.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
      blocks: header.blocks,
      vocabSize: header.vocabSize,
      contextLength: header.contextLength,
      tiedEmbeddings: header.tiedEmbeddings,
      tokenizer: await host.artifacts.put(loaded.source.text('tokenizer.json') ?? ''),
      chatTemplate: template === null ? null : await host.artifacts.put(template),
      trainable: null,
      lineage: [],
    }
  } finally {
    loaded.close()
  }
}
