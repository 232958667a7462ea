/** The architectures, by Hugging Face `model_type`. One more is one more file and one line here. Loads no TensorFlow. */
import * as z from 'zod'
import { EngineError } from '../errors'
import type { Architecture, CommonConfig, Model } from './architecture'
import { refuseForeign } from './config'
import { gemma2 } from './gemma2'
import { gemma3_text } from './gemma3_text'
import { gpt2 } from './gpt2'
import { llama } from './llama'
import { mistral } from './mistral'
import { phi3 } from './phi3'
import { qwen2 } from './qwen2'
import { qwen3 } from './qwen3'

// Each architecture takes its own configuration; the registry gives it back only what its own schema made.
const ARCHITECTURES = [llama, gpt2, qwen2, qwen3, mistral, gemma2, gemma3_text, phi3] as unknown as readonly Architecture[]

export const MODEL_TYPES: readonly string[] = ARCHITECTURES.map(({ modelType }) => modelType)

/**
 * Reads config.json's contents (either spelling). Throws EngineError `unsupported` for an architecture or a setting that is not built,
 * `bad_file` for a field that is missing or wrong; both name the field.
 */
export function describeModel(configJson: unknown): Model {
  refuseForeign(configJson)
  const modelType = typeof configJson === 'object' && configJson !== null && 'model_type' in configJson ? configJson.model_type : undefined
  const architecture = ARCHITECTURES.find((known) => known.modelType === modelType)
  if (!architecture)
    throw new EngineError('unsupported', `the architecture ${JSON.stringify(modelType ?? null)} is not built`, {
      where: 'config.json, model_type',
      expected: MODEL_TYPES.join(' or '),
      fix: 'choose a model of one of these architectures',
    })
  const parsed = architecture.config.safeParse(configJson)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw new EngineError('bad_file', `the model's configuration is not valid: ${z.prettifyError(parsed.error)}`, {
      where: `config.json, ${issue?.path.join('.') ?? ''}`,
    })
  }
  const config: CommonConfig = parsed.data
  return { modelType: architecture.modelType, config, parameters: architecture.parameters(config), architecture }
}

/** Name of a stored tensor as the model lists it; null for entries that are no parameters. */
export const canonicalName = (model: Model, stored: string): string | null => (model.architecture.canonicalName ?? ((name) => name))(stored)

export type { Architecture, CommonConfig, LowRank, Model, ParameterSpec, Part } from './architecture'
