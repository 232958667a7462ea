/** The zip of an exported model as a person gets it: which files are in it, and whether the weights file says of itself what is true. */
import { readFile } from 'node:fs/promises'
import { unzipSync } from 'fflate'

export type Exported = {
  /** File names without their folder. */
  readonly names: readonly string[]
  readonly config: Record<string, unknown>
  /** Tensor name → dtype and shape, from the safetensors header. */
  readonly tensors: Readonly<Record<string, { dtype: string; shape: readonly number[] }>>
}

const BYTES: Record<string, number> = { F32: 4, F16: 2, BF16: 2 }

/** Reads a zip. Throws unless the tensors of its header fill `model.safetensors` from end to end, each as long as dtype and shape say. */
export async function readExported(path: string): Promise<Exported> {
  const files = new Map(
    Object.entries(unzipSync(new Uint8Array(await readFile(path)))).map(([name, bytes]) => [name.split('/').at(-1), bytes]),
  )
  const file = (name: string): Uint8Array => {
    const bytes = files.get(name)
    if (!bytes) throw new Error(`No ${name} in the zip, only ${[...files.keys()].join(', ')}.`)
    return bytes
  }
  const weights = file('model.safetensors')
  const length = Number(new DataView(weights.buffer, weights.byteOffset).getBigUint64(0, true))
  const { __metadata__: _, ...tensors } = JSON.parse(new TextDecoder().decode(weights.subarray(8, 8 + length))) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >
  let at = 0
  for (const [name, { dtype, shape, data_offsets: offsets }] of Object.entries(tensors).toSorted(
    ([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0],
  )) {
    const end = at + shape.reduce((a, b) => a * b, 1) * (BYTES[dtype] ?? Number.NaN)
    if (offsets[0] !== at || offsets[1] !== end)
      throw new Error(`${name} ${dtype} [${shape}] should lie at ${at}–${end}, lies at ${offsets}.`)
    at = end
  }
  if (8 + length + at !== weights.length) throw new Error(`The weights end at byte ${8 + length + at}, the file at ${weights.length}.`)
  return {
    names: [...files.keys()].filter((name) => name !== undefined),
    config: JSON.parse(new TextDecoder().decode(file('config.json'))) as Record<string, unknown>,
    tensors,
  }
}

/** What belongs to a Hugging Face folder. */
export const EXPORTED_FILES = [
  'README.md',
  'chat_template.jinja',
  'config.json',
  'generation_config.json',
  'model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
] as const
