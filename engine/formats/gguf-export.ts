/** A model as a GGUF file (F-24 … F-28): which type each tensor gets, its layout in the file, and the keys that describe it. */
import { EngineError } from '../errors'
import type { LoadedModel } from '../model'
import type { GgufEntry } from './gguf'
import { blockFormat } from './gguf-blocks'
import { hyperparametersOf, ROPE_FACTORS } from './gguf-config'
import { permuteRows, transpose } from './gguf-model'
import { quantize, type WrittenType } from './gguf-quantize'
import { vocabularyOf } from './gguf-vocabulary'
import { GGUF_ALIGNMENT, type GgufTensorToWrite, ggufCount, ggufList, ggufTensorBytes, ggufText, writeGguf } from './gguf-write'

/** What a person chooses, with `general.file_type` as llama.cpp counts them. */
export const GGUF_ENCODINGS = { F32: 0, F16: 1, BF16: 32, Q8_0: 7, Q4_K_M: 15, Q4_1: 3, Q4_0: 2 } as const
export type GgufEncoding = keyof typeof GGUF_ENCODINGS

type Tensor = { readonly name: string; readonly shape: readonly number[]; readonly block: number | null }

/** The type that fits where the one wanted does not: K blocks hold 256 values, the others 32. */
const FALLBACK: Partial<Record<WrittenType, WrittenType>> = {
  Q4_K: 'Q5_0',
  Q6_K: 'Q8_0',
  Q5_0: 'F16',
  Q8_0: 'F16',
  Q4_0: 'F16',
  Q4_1: 'F16',
}

function fitting(type: WrittenType, columns: number): WrittenType {
  let chosen = type
  while (columns % blockFormat(chosen).values) chosen = FALLBACK[chosen] ?? 'F32'
  return chosen
}

/** Norms, biases and positions stay F32 (F-24). The head is kept finer than the rest, and so are, in the mixed type, the values most read. */
function typeOf({ name, shape, block }: Tensor, encoding: GgufEncoding, blocks: number, head: string): WrittenType {
  if (encoding === 'F32' || shape.length < 2 || name === 'position_embd.weight' || name === ROPE_FACTORS) return 'F32'
  if (encoding === 'F16' || encoding === 'BF16') return encoding
  const columns = shape.at(-1) as number
  if (name === head) return fitting(encoding === 'Q8_0' ? 'Q8_0' : 'Q6_K', columns)
  if (encoding !== 'Q4_K_M') return fitting(encoding, columns)
  const fine =
    block !== null &&
    /\.(attn_v|attn_qkv|ffn_down)\.weight$/.test(name) &&
    (block < blocks / 8 || block >= (7 * blocks) / 8 || Math.floor(block - blocks / 8) % 3 === 2)
  return fitting(fine ? 'Q6_K' : 'Q4_K', columns)
}

export type GgufExport = {
  readonly path: string
  readonly encoding: GgufEncoding
  /** `general.name` and the parts of the file name (F-27). */
  readonly name: string
  /** `thaw.*` keys (F-54). */
  readonly metadata?: Readonly<Record<string, string>>
  readonly license?: string | null
  readonly base?: { readonly name: string; readonly repo: string | null }
}

/** Elements of a size as names have it: 135M, 1.7B. */
export function sizeLabel(parameters: number): string {
  const [value, unit] = parameters >= 1e9 ? [parameters / 1e9, 'B'] : parameters >= 1e6 ? [parameters / 1e6, 'M'] : [parameters / 1e3, 'K']
  return `${value >= 10 ? Math.round(value) : Math.round(value * 10) / 10}${unit}`
}

/** `<Name>-<Size>-v1.0-<Encoding>.gguf`, without what would break the parts (F-27). A size that the name says already is not said twice. */
export function ggufFileName(name: string, parameters: number, encoding: GgufEncoding): string {
  const size = sizeLabel(parameters)
  const base = name.replace(/[^A-Za-z0-9._-]+/g, '-') || 'model'
  return `${base}${base.toUpperCase().includes(size.toUpperCase()) ? '' : `-${size}`}-v1.0-${encoding}.gguf`
}

/** Names, types and sizes, without reading a weight. */
export function planGguf(model: LoadedModel, encoding: GgufEncoding) {
  const hyper = hyperparametersOf(model.model)
  const { config } = model.model
  const places = model.model.architecture.gguf?.tensors(config) ?? new Map()
  const specs = new Map(model.model.parameters.map((spec) => [spec.name, spec]))
  const head = config.tiedEmbeddings ? 'token_embd.weight' : 'output.weight'
  const list: (GgufTensorToWrite & { type: WrittenType })[] = []
  const used = new Set<string>()
  const tensor = (name: string, shape: readonly number[], block: number | null, values: () => Float32Array) => {
    const type = typeOf({ name, shape, block }, encoding, config.blocks, head)
    list.push({ name, type, shape, bytes: () => quantize(values(), type) })
  }
  if (hyper.ropeFactors) {
    const { ropeFactors } = hyper
    tensor(ROPE_FACTORS, [ropeFactors.length], null, () => ropeFactors)
  }
  for (const [name, place] of places) {
    const spec = specs.get(place.parameter)
    if (!spec) continue
    used.add(spec.name)
    const turned = spec.role === 'matrix' && spec.outputAxis === 1
    const [rows = 1, columns = 1] = spec.shape
    tensor(name, turned ? [columns, rows] : spec.shape, spec.block, () => {
      const values = model.read(spec.name)
      if (turned) return transpose(values, rows, columns)
      if (place.permutedHeads) return permuteRows(values, place.permutedHeads, rows)
      return place.plusOne ? values.map((value) => value + 1) : values
    })
  }
  const lost = [...specs.keys()].filter((name) => !used.has(name))
  if (lost.length)
    throw new EngineError('unsupported', `${lost.length} tensors have no place in a GGUF file of ${hyper.architecture}`, {
      got: lost[0] as string,
    })
  return {
    hyper,
    tensors: list,
    bytes: list.reduce((sum, one) => sum + Math.ceil(ggufTensorBytes(one) / GGUF_ALIGNMENT) * GGUF_ALIGNMENT, 0),
  }
}

/** Writes the file; it appears under its name only when whole. `note`: what readers of the file will not do as the model does. */
export async function saveGguf(
  model: LoadedModel,
  { path, encoding, name, metadata, license, base }: GgufExport,
): Promise<{ note: string | null }> {
  const { hyper, tensors } = planGguf(model, encoding)
  const { parameters, config } = model.model
  const keys = new Map<string, GgufEntry>([
    ['general.architecture', ggufText(hyper.architecture)],
    ['general.type', ggufText('model')],
    ['general.name', ggufText(name)],
    ['general.version', ggufText('v1.0')],
    ['general.finetune', ggufText('thaw')],
    ['general.size_label', ggufText(sizeLabel(parameters.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)))],
    ['general.alignment', ggufCount(GGUF_ALIGNMENT)],
    ['general.file_type', ggufCount(GGUF_ENCODINGS[encoding])],
  ])
  if (encoding.startsWith('Q')) keys.set('general.quantization_version', ggufCount(2))
  if (license) keys.set('general.license', ggufText(license))
  if (base) {
    keys.set('general.base_model.count', ggufCount(1))
    keys.set('general.base_model.0.name', ggufText(base.name))
    if (base.repo) {
      keys.set('general.base_model.0.organization', ggufText(base.repo.split('/')[0] as string))
      keys.set('general.base_model.0.repo_url', ggufText(`https://huggingface.co/${base.repo}`))
    }
  }
  keys.set('general.tags', ggufList('STRING', ['thaw', 'fine-tuned', 'text-generation']))
  for (const [key, entry] of hyper.entries) keys.set(key, entry)
  for (const [key, entry] of vocabularyOf(model, config.vocabSize)) keys.set(key, entry)
  for (const [key, value] of Object.entries(metadata ?? {})) keys.set(key, ggufText(value))
  await writeGguf(path, keys, tensors)
  return { note: hyper.note }
}
