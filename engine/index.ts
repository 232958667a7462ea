/**
 * The training engine: fine-tunes, evaluates and runs language models on TensorFlow, from Hugging Face folders and GGUF files. A library of its
 * own: it knows no database, no queue, no canvas.
 *
 *   const { backend } = await openBackend({ addon })
 *   const model = loadModel('models/SmolLM2-135M-Instruct')
 *   const data = await encodeRows({ ...model, trainOn: 'assistant' }, rows, { maxLength: 512 })
 *   for await (const event of train({ backend, weights: model, data, trainable, args: TRAINING_DEFAULTS, scratch: '/tmp/run' })) {
 *     if (event.type === 'step') console.log(event.step, event.loss)
 *     if (event.type === 'done') await saveModel('out', model, { values: event.weights })
 *   }
 *
 * Leaving the loop stops the training and frees everything. Every failure is an EngineError with a code, a place and a fix.
 * docs/engine.md walks through all of it with programs that the test suite runs.
 */
export type { Backend, BackendName, Memory } from './backends/backend'
export { type Choice, openBackend } from './backends/choose'
export {
  type EncodedRow,
  type EncodedSet,
  type ExcessStrategy,
  encodeRow,
  encodeRows,
  promptOf,
  type Row,
  type TrainOn,
} from './data/encode'
export { encodePairs, encodeRated, type PairRow, type PreferenceSet, type RatedRow } from './data/preferences'
export { EngineError, type EngineErrorCode } from './errors'
export { type Evaluation, evaluate } from './evaluate/evaluate'
export { type Scored, score } from './evaluate/score'
export { GgufFile } from './formats/gguf'
export { SafetensorsFile, writeSafetensors } from './formats/safetensors'
export { type ModelSource, openModelSource } from './formats/source'
export { type Generated, type GenerateOptions, generate } from './generate/generate'
export { type Grammar, jsonGrammar } from './generate/grammar'
export type { SamplingOptions } from './generate/processors'
export { type ModelHeader, readModelHeader as inspect } from './inspect'
export { type Adapted, createAdapter, withValues } from './lora/adapter'
export { ADAPTER_DEFAULTS, type AdapterConfig, parseAdapterConfig } from './lora/config'
export { loadAdapter, saveAdapter } from './lora/files'
export { mergeAdapter } from './lora/merge'
export { type LoadedModel, loadModel } from './model'
export { describeModel, MODEL_TYPES, type Model, type ParameterSpec } from './models/index'
export { type SaveOptions, saveModel } from './save'
export { breathe, InferenceSession, type WeightSource } from './session'
export { ChatTemplate } from './tokenizer/chat'
export { type Encoding, Tokenizer } from './tokenizer/tokenizer'
export { OPTIMIZERS, type OptimizerName } from './train/arguments'
export { checkpointFolder } from './train/checkpoint'
export { TRAINING_DEFAULTS } from './train/defaults'
export { type PreferenceOptions, preferenceObjective, referenceLogProbs } from './train/preference'
export { SCHEDULES, type ScheduleName } from './train/schedules'
export { type TrainedWeights, type TrainingArguments, type TrainingEvent, type TrainJob, train } from './train/train'
