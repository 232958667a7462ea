import * as z from 'zod'
import { defineNode } from './_kit/define-node'
import { countAll } from './_kit/freeze'
import { licenceOf, modelCard, portableGraph } from './_kit/model-card'
import { byteWords, plural } from './_kit/words'

const BYTES = { F32: 4, BF16: 2, F16: 2 } as const
const WHOLE: readonly string[] = ['F32', 'BF16', 'F16']
/** Quantised weights were turned back to 32 bit; writing fewer bits would round them a second time. */
const dtypeOf = (stored: string): keyof typeof BYTES => (WHOLE.includes(stored) ? (stored as keyof typeof BYTES) : 'F32')

export const exportModel = defineNode({
  type: 'export',
  title: 'Export',
  summary: 'Writes the trained model as a folder that Hugging Face transformers loads.',
  help: `Out comes a folder with \`config.json\`, \`model.safetensors\`, tokenizer, chat template, generation settings and a model card that says what was trained, on what and how well. transformers, vLLM, llama.cpp's converter and many others read it.

The folder is read back and compared with the model in memory before this node turns green; the largest difference is in the log.

Unless you choose otherwise the weights keep the precision of the base; a base that came from a quantised GGUF is written in 32 bit, since fewer bits would round it a second time.

With **Include the pipeline** the file carries the graph that made it, without your paths: drop it on the canvas to open it again. Wire Validate's **metrics** in to have the scores on the card.`,
  group: 'Output',
  icon: 'export',
  tags: ['save', 'download', 'safetensors', 'hugging face', 'transformers', 'folder', 'model card', 'deploy', 'write'],
  params: z.strictObject({
    name: z
      .string()
      .regex(/^(?:[A-Za-z0-9][A-Za-z0-9._-]{0,95})?$/, 'letters, digits, dot, dash and underscore only, starting with a letter or digit')
      .default('')
      .meta({ title: 'Name', description: 'Name of the folder and of the model on its card. Empty: the base model’s name with “-thaw”.' }),
    dtype: z
      .enum(['auto', 'F32', 'BF16', 'F16'])
      .default('auto')
      .meta({
        title: 'Precision',
        description: 'Bits of each weight in the file. Automatic: as in the base, 32 bit where the base was quantised.',
        labels: { auto: 'Automatic', F32: '32 bit', BF16: 'bfloat16', F16: '16 bit' },
      }),
    include_graph: z.boolean().default(true).meta({
      title: 'Include the pipeline',
      description: 'Write the pipeline into the file, without local paths. The data itself is never written.',
      advanced: true,
    }),
  }),
  inputs: {
    model: { kind: 'model', title: 'Model', description: 'The model to write.' },
    metrics: { kind: 'metrics', title: 'Metrics', description: 'Scores for the model card.', optional: true },
  },
  outputs: { file: { kind: 'file', title: 'File', description: 'The model folder, to download or to use elsewhere.' } },
  purity: 'deterministic',
  resource: 'engine',
  infer({ params, inputs }) {
    const model = inputs.model?.kind === 'model' ? inputs.model.facts : null
    if (!model) return {}
    const dtype = params.dtype === 'auto' ? dtypeOf(model.dtype) : params.dtype
    const bytes = countAll(model.parameters) * BYTES[dtype]
    const licence = licenceOf(model.license)
    return {
      outputs: { file: { kind: 'file', facts: { name: params.name || folderName(model.name) } } },
      resolved: params.dtype === 'auto' ? { dtype } : {},
      // Written, read back, and compared on fixed prompts.
      estimate: { seconds: Math.round(6 + bytes / 100e6), memoryBytes: 2 * bytes, diskBytes: bytes },
      card: [
        { label: 'Format', value: 'Hugging Face' },
        { label: 'Precision', value: `${dtype}${params.dtype === 'auto' ? ', auto' : ''}` },
        { label: 'Size', value: byteWords(bytes) },
      ],
      problems: licence.warning ? [{ severity: 'warning' as const, code: 'licence', message: licence.warning }] : [],
    }
  },
  async run({ params, inputs, ctx }) {
    const { model } = inputs
    const name = params.name || folderName(model.base.name)
    const dtype = params.dtype === 'auto' ? dtypeOf(model.dtype) : params.dtype
    const header = await ctx.engine.header(model)
    const graph = params.include_graph ? portableGraph(ctx.provenance.graph) : null
    const card = modelCard({ name, model, header, dtype, metrics: inputs.metrics ?? null, provenance: ctx.provenance })
    const last = model.lineage.at(-1)
    const metadata: Record<string, string> = {
      'thaw.version': ctx.provenance.thawVersion,
      'thaw.graph_sha256': ctx.provenance.graphDigest,
      'thaw.base_sha256': model.base.manifest,
      ...(last && { 'thaw.dataset_sha256': last.data, 'thaw.seed': String(last.seed) }),
      ...(inputs.metrics && { 'thaw.metrics': JSON.stringify(inputs.metrics) }),
      ...(graph && { 'thaw.graph': graph }),
    }
    if (model.delta === null) ctx.log('This model was not trained: the folder holds the base model.', 'warn')
    const { file, maxLogitDifference } = await ctx.engine.exportFolder({ model, name, dtype, card, metadata })
    ctx.progress(1, 1, 'folders')
    ctx.log(
      `${name}: ${plural(file.files.length, 'file')}, ${byteWords(file.bytes)}, ${dtype}. Read back: logits differ by at most ${maxLogitDifference.toExponential(1)}.`,
    )
    return { file }
  },
})

const folderName = (base: string): string => {
  const plain = base
    .split('/')
    .at(-1)
    ?.replace(/\.(gguf|safetensors)$/i, '')
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 80)
  return `${plain || 'model'}-thaw`
}
