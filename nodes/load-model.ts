import * as z from 'zod'
import { defineNode } from './_kit/define-node'
import { countAll } from './_kit/freeze'
import { byteWords, countWords } from './_kit/words'

const BUILT_IN = 'builtin:smollm2-135m-instruct'

export const loadModel = defineNode({
  type: 'load-model',
  title: 'Load model',
  summary: 'Brings a language model onto the canvas: built in, from a folder, a GGUF file or the Hugging Face Hub.',
  help: `Start here. The built-in **SmolLM2-135M-Instruct** (134.5 million parameters, Apache-2.0) is large enough to learn a real task on a laptop; **Thaw Tiny** is for a first look and for tests.

Your own model can be a folder as Hugging Face writes it (\`config.json\`, \`model.safetensors\`, \`tokenizer.json\`), a single \`.gguf\` file, or the name of a model on the Hub such as \`hub:HuggingFaceTB/SmolLM2-360M-Instruct\`.

The weights are never changed: training writes down only what differs from them. Weights from a quantised GGUF are turned back to 32 bit and stay as precise as the file was, no more.`,
  group: 'Model',
  icon: 'load-model',
  tags: ['base', 'checkpoint', 'weights', 'gguf', 'safetensors', 'hugging face', 'hub', 'smollm', 'llama', 'gpt2', 'pretrained'],
  params: z.strictObject({
    model: z
      .string()
      .min(1)
      .max(4096)
      .default(BUILT_IN)
      .meta({
        title: 'Model',
        description:
          'A built-in model, hub:owner/name (with @revision if you want an exact one), or the path of a model folder or .gguf file.',
        widget: 'model',
        examples: [BUILT_IN, 'builtin:thaw-tiny', 'hub:HuggingFaceTB/SmolLM2-360M-Instruct'],
      }),
  }),
  inputs: {},
  outputs: {
    model: {
      kind: 'model',
      title: 'Model',
      description: 'The model as it was loaded, with its tokenizer and chat template. Nothing is frozen yet.',
    },
  },
  purity: 'deterministic',
  resource: 'light',
  facts: (params) => ({ kind: 'model', source: params.model }),
  infer({ fact }) {
    if (fact?.kind === 'error')
      return {
        problems: [
          {
            severity: 'error',
            code: fact.code,
            param: 'model',
            message: fact.message,
            fix: { label: 'Use the built-in model', params: { model: BUILT_IN } },
          },
        ],
      }
    if (fact?.kind !== 'model') return {}
    const { header } = fact
    return {
      outputs: { model: { kind: 'model', facts: { ...header, trainable: null, trainedOn: [] } } },
      // Reading and hashing, at the speed of a slow disk; a download is the worker's and is shown there.
      estimate: { seconds: 1 + header.sizeBytes / 150e6, memoryBytes: header.sizeBytes, diskBytes: header.sizeBytes },
      card: [
        { label: 'Model', value: header.name },
        { label: 'Parameters', value: countWords(countAll(header.parameters)) },
        { label: header.downloaded ? 'Size' : 'Download', value: byteWords(header.sizeBytes) },
      ],
      problems: header.hasChatTemplate
        ? []
        : [
            {
              severity: 'warning',
              code: 'no_chat_template',
              param: 'model',
              message: `${header.name} has no chat template: data in the form of conversations cannot be used with it, prompt and completion can.`,
            },
          ],
    }
  },
  async run({ params, ctx }) {
    const { path, name, license } = await ctx.fetchModel(params.model)
    ctx.signal.throwIfAborted()
    const model = await ctx.engine.importModel({ path, name, source: params.model, license })
    ctx.log(
      `${name}: ${countWords(model.parameters)} parameters in ${model.blocks} blocks, stored as ${model.dtype}, context ${model.contextLength} tokens${license ? `, licence ${license}` : ''}`,
    )
    return { model }
  },
})
