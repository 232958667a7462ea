/** A model ready for work: its description, tokenizer, chat template, stop tokens, and weights that are read when asked for. */
import { EngineError } from './errors'
import { SafetensorsFile } from './formats/safetensors'
import { type ModelSource, openModelSource, resolveNames } from './formats/source'
import { describeModel, type Model } from './models/index'
import { ChatTemplate } from './tokenizer/chat'
import { Tokenizer } from './tokenizer/tokenizer'

export interface LoadedModel {
  readonly source: ModelSource
  readonly model: Model
  readonly tokenizer: Tokenizer
  /** null for a base model without one. */
  readonly template: ChatTemplate | null
  /** Tokens that end an answer: those of generation_config.json, and the end of turn of the chat template (F-14). */
  readonly stopIds: readonly number[]
  /** Fills unused places; masked by position, so any id would do. */
  readonly padId: number
  /** Parameters whose values come from the delta. */
  readonly changed: readonly string[]
  /** float32 values of a parameter in Hugging Face layout: the delta's where it has them, else the base's. */
  read(name: string): Float32Array
  /** Values of the base, whatever the delta says. */
  readBase(name: string): Float32Array
  close(): void
}

/**
 * Opens a Hugging Face folder or a GGUF file. `delta` is a safetensors file with changed parameters, as training writes it.
 * No weights are read yet. Throws `bad_file`, `unsupported` or `mismatch` with the file and the reason.
 */
export function loadModel(location: string | ModelSource, options: { delta?: string | null } = {}): LoadedModel {
  const source = typeof location === 'string' ? openModelSource(location) : location
  let delta: SafetensorsFile | null = null
  try {
    const model = describeModel(source.config)
    const stored = resolveNames(source, model)
    if (options.delta) delta = SafetensorsFile.open(options.delta)
    const specs = new Map(model.parameters.map((spec) => [spec.name, spec]))
    for (const [name, { shape }] of delta?.tensors ?? []) {
      const expected = specs.get(name)?.shape
      if (!expected || expected.join() !== shape.join()) {
        throw new EngineError('mismatch', 'the changed weights belong to another model', {
          where: `${options.delta}, ${name}`,
          expected: expected ? `[${expected}]` : 'a parameter of this model',
          got: `[${shape}]`,
        })
      }
    }
    const tokenizerText = source.text('tokenizer.json')
    if (!tokenizerText) {
      throw new EngineError('missing', 'the model has no tokenizer.json', {
        where: source.path,
        fix: 'save it with a fast tokenizer: AutoTokenizer.from_pretrained(…).save_pretrained(folder)',
      })
    }
    const tokenizer = Tokenizer.fromTexts({
      tokenizer: tokenizerText,
      config: source.text('tokenizer_config.json'),
      specialTokens: source.text('special_tokens_map.json'),
    })
    if (tokenizer.size > model.config.vocabSize) {
      throw new EngineError('mismatch', 'the tokenizer has more tokens than the model has embeddings', {
        where: source.path,
        expected: `at most ${model.config.vocabSize}`,
        got: String(tokenizer.size),
      })
    }
    const templateText = source.text('chat_template.jinja')
    const template = templateText
      ? new ChatTemplate(templateText, {
          bos_token: tokenizer.bosToken ?? '',
          eos_token: tokenizer.eosToken ?? '',
          pad_token: tokenizer.padToken ?? '',
          unk_token: tokenizer.unkToken ?? '',
        })
      : null
    const open = delta
    const readBase = (name: string): Float32Array => {
      const from = stored.get(name)
      if (!from) throw new EngineError('missing', `the model has no parameter "${name}"`, { where: source.path })
      return checked(source.readFloat32(from), name, source.path)
    }
    return {
      source,
      model,
      tokenizer,
      template,
      stopIds: stopIdsOf(source, tokenizer, template),
      padId: (tokenizer.padToken === null ? undefined : tokenizer.idOf(tokenizer.padToken)) ?? 0,
      changed: [...(open?.tensors.keys() ?? [])],
      readBase,
      read: (name) => (open?.tensors.has(name) ? checked(open.readFloat32(name), name, open.path) : readBase(name)),
      close: () => {
        open?.close()
        source.close()
      },
    }
  } catch (error) {
    delta?.close()
    if (typeof location === 'string') source.close()
    throw error
  }
}

/** Refuses weights that are not numbers (E-20): training on them would only show as a NaN loss much later. */
function checked(values: Float32Array, name: string, where: string): Float32Array {
  // x − x is 0 for every finite x and NaN otherwise: one pass without branches.
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += (values[i] as number) - (values[i] as number)
  if (sum === 0) return values
  const at = values.findIndex((x) => !Number.isFinite(x))
  throw new EngineError('bad_file', `the weights of "${name}" are not finite`, {
    where: `${where}, element ${at}`,
    got: String(values[at]),
    fix: 'download or export the model again',
  })
}

function stopIdsOf(source: ModelSource, tokenizer: Tokenizer, template: ChatTemplate | null): number[] {
  const ids = new Set<number>()
  const add = (value: unknown) => {
    for (const id of Array.isArray(value) ? value : [value]) if (Number.isInteger(id) && (id as number) >= 0) ids.add(id as number)
  }
  const generation = source.text('generation_config.json')
  if (generation) {
    try {
      add((JSON.parse(generation) as { eos_token_id?: unknown }).eos_token_id)
    } catch (cause) {
      throw new EngineError('bad_file', 'generation_config.json is not JSON', { where: source.path, cause })
    }
  }
  if (!ids.size) add(source.config.eos_token_id)
  if (!ids.size && tokenizer.eosToken !== null) add(tokenizer.idOf(tokenizer.eosToken))
  const turnEnd = template && endOfTurn(template, tokenizer)
  if (turnEnd !== null) add(turnEnd)
  return [...ids]
}

/** The token that the chat template writes after an answer; null when it writes none, or refuses the probe. */
function endOfTurn(template: ChatTemplate, tokenizer: Tokenizer): number | null {
  const probe = 'An answer that no template holds.'
  try {
    const text = template.render([
      { role: 'user', content: 'A question.' },
      { role: 'assistant', content: probe },
    ])
    const after = text.slice(text.lastIndexOf(probe) + probe.length).trimStart()
    const first = tokenizer.encode(after, { addSpecialTokens: false }).ids[0]
    return first !== undefined && tokenizer.specialIds.has(first) ? first : null
  } catch {
    return null
  }
}
