/** An adapter folder as PEFT reads and writes it (F-18 … F-22): adapter_config.json and adapter_model.safetensors. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { EngineError } from '../errors'
import { hfJson, readJsonObject } from './hf-folder'
import { floatTensor, SafetensorsFile, writeSafetensors } from './safetensors'

const CONFIG = 'adapter_config.json'
const WEIGHTS = 'adapter_model.safetensors'
/** What PEFT puts before the path of every module. */
const PREFIX = 'base_model.model.'

export interface AdapterFiles {
  /** Contents of adapter_config.json. */
  readonly config: Readonly<Record<string, unknown>>
  /** Values by parameter name, without PEFT's prefix; shapes as stored. */
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[]; readonly values: Float32Array }>
}

/** Reads a folder. Adapters are small: all values are read at once. Throws `missing` or `bad_file` with the file and the reason. */
export function readAdapterFolder(folder: string): AdapterFiles {
  if (!fs.existsSync(path.join(folder, CONFIG)))
    throw new EngineError('missing', `the folder is no adapter: it has no ${CONFIG}`, { where: folder })
  if (!fs.existsSync(path.join(folder, WEIGHTS))) {
    const pickle = fs.existsSync(path.join(folder, 'adapter_model.bin'))
    throw new EngineError('missing', `the adapter has no ${WEIGHTS}`, {
      where: folder,
      got: pickle ? 'adapter_model.bin, a pickle file: Thaw never reads those' : 'no weights',
      fix: pickle ? 'save it again with PEFT: model.save_pretrained(folder)' : 'download the folder again',
    })
  }
  const config = readJsonObject(path.join(folder, CONFIG))
  const file = SafetensorsFile.open(path.join(folder, WEIGHTS))
  try {
    const tensors = new Map<string, { shape: readonly number[]; values: Float32Array }>()
    for (const [key, { shape }] of file.tensors) {
      if (!key.startsWith(PREFIX))
        throw new EngineError('bad_file', 'a tensor of the adapter does not have the name that PEFT gives', {
          where: `${file.path}, ${key}`,
          expected: `${PREFIX}…`,
        })
      tensors.set(key.slice(PREFIX.length), { shape, values: file.readFloat32(key) })
    }
    return { config, tensors }
  } finally {
    file.close()
  }
}

/** Writes the two files; the folder may exist, and each file appears under its name only when whole. Returns their names. */
export async function writeAdapterFolder(
  folder: string,
  adapter: {
    config: Readonly<Record<string, unknown>>
    tensors: readonly { name: string; shape: readonly number[]; values: Float32Array }[]
    metadata?: Record<string, string>
  },
): Promise<string[]> {
  fs.mkdirSync(folder, { recursive: true })
  await writeSafetensors(
    path.join(folder, WEIGHTS),
    adapter.tensors.map(({ name, shape, values }) => floatTensor(PREFIX + name, shape, 'F32', () => values)),
    adapter.metadata,
  )
  const partial = path.join(folder, `${CONFIG}.partial`)
  fs.writeFileSync(partial, hfJson(adapter.config), { flush: true })
  fs.renameSync(partial, path.join(folder, CONFIG))
  return [CONFIG, WEIGHTS]
}
