/** Whole model folders for tests: a reference model's weights with a reference tokenizer that fits its vocabulary. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { REFERENCE } from './fixtures'

/** Architectures that a GGUF file can hold, each with a tokenizer of its kind. Gemma 3's reference case has too few blocks for its pattern. */
export const GGUF_PAIRS = [
  ['llama', 'bbpe-smollm'],
  ['gpt2', 'bbpe-gpt2'],
  ['qwen2', 'bbpe-qwen2'],
  ['qwen3', 'bbpe-qwen2'],
  ['mistral', 'spm-bpe-llama2'],
  ['phi3', 'spm-bpe-llama2'],
  ['gemma2', 'spm-bpe-llama2'],
] as const

type Json = Record<string, unknown>

/** Makes `folder` and returns it. `config` changes config.json, `change` the parsed tokenizer.json. */
export function modelFolder(
  folder: string,
  model: string,
  tokenizer: string,
  config: Json = {},
  change?: (tokenizer: Json) => void,
): string {
  fs.mkdirSync(folder, { recursive: true })
  const from = path.join(REFERENCE, 'models', model)
  fs.copyFileSync(path.join(from, 'model.safetensors'), path.join(folder, 'model.safetensors'))
  const own = JSON.parse(fs.readFileSync(path.join(from, 'config.json'), 'utf8')) as Json
  fs.writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ ...own, ...config }))
  const words = path.join(REFERENCE, 'tokenizers', tokenizer)
  for (const name of ['tokenizer_config.json', 'special_tokens_map.json', 'chat_template.jinja'])
    if (fs.existsSync(path.join(words, name))) fs.copyFileSync(path.join(words, name), path.join(folder, name))
  const parsed = JSON.parse(fs.readFileSync(path.join(words, 'tokenizer.json'), 'utf8')) as Json
  change?.(parsed)
  fs.writeFileSync(path.join(folder, 'tokenizer.json'), JSON.stringify(parsed))
  return folder
}
