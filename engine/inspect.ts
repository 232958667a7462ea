/** What can be said of a model from its configuration and headers alone. Reads no weights and loads no TensorFlow. */
import { dominantDtype, openModelSource, resolveNames } from './formats/source'
import { describeModel, type Part } from './models/index'

export type ModelHeader = {
  name: string | null
  modelType: string
  /** 'F32', 'F16', 'BF16' or a GGUF type such as 'Q4_1'. */
  dtype: string
  sizeBytes: number
  blocks: number
  hiddenSize: number
  intermediateSize: number
  attentionHeads: number
  keyValueHeads: number
  headDim: number
  vocabSize: number
  contextLength: number
  tiedEmbeddings: boolean
  hasChatTemplate: boolean
  license: string | null
  parameters: { name: string; shape: readonly number[]; block: number | null; part: Part }[]
}

/** Reads a Hugging Face folder or a GGUF file. Throws as `loadModel` does. */
export function readModelHeader(location: string): ModelHeader {
  const source = openModelSource(location)
  try {
    const model = describeModel(source.config)
    resolveNames(source, model)
    const { config } = model
    return {
      name: source.name,
      modelType: model.modelType,
      dtype: dominantDtype(source),
      sizeBytes: source.sizeBytes,
      blocks: config.blocks,
      hiddenSize: config.hiddenSize,
      intermediateSize: config.intermediateSize,
      attentionHeads: config.heads,
      keyValueHeads: config.kvHeads,
      headDim: config.headDim,
      vocabSize: config.vocabSize,
      contextLength: config.contextLength,
      tiedEmbeddings: config.tiedEmbeddings,
      hasChatTemplate: source.text('chat_template.jinja') !== null,
      license: source.license,
      parameters: model.parameters.map(({ name, shape, block, part }) => ({ name, shape, block, part })),
    }
  } finally {
    source.close()
  }
}
