import * as z from 'zod'
import { adapterWords } from './_kit/adapters'
import type { ExportGate } from './_kit/context'
import { defineNode } from './_kit/define-node'
import type { NodeProblem } from './_kit/facts'
import { countAll } from './_kit/freeze'
import { licenceOf, modelCard } from './_kit/model-card'
import { throwProblem } from './_kit/node-error'
import { portableGraph } from './_kit/portable'
import { type FileHandle, isTrained, type ModelHandle } from './_kit/ports'
import { putReport, type Report } from './_kit/report'
import { byteWords, plural } from './_kit/words'

const BYTES = { F32: 4, BF16: 2, F16: 2 } as const
/** Bytes of a weight in each GGUF type, blocks' scales included. */
const GGUF_BYTES = { F32: 4, F16: 2, BF16: 2, Q8_0: 34 / 32, Q4_K_M: 0.6, Q4_1: 20 / 32, Q4_0: 18 / 32 } as const
const WHOLE: readonly string[] = ['F32', 'BF16', 'F16']
/** Quantised weights were turned back to 32 bit; writing fewer bits would round them a second time. */
const dtypeOf = (stored: string): keyof typeof BYTES => (WHOLE.includes(stored) ? (stored as keyof typeof BYTES) : 'F32')

export const exportModel = defineNode({
  type: 'export',
  title: 'Export',
  summary: 'Writes the trained model as a Hugging Face folder, or as one GGUF file for llama.cpp, Ollama and LM Studio.',
  help: `Out comes a folder with \`config.json\`, \`model.safetensors\`, tokenizer, chat template, generation settings and a model card that says what was trained, on what and how well. transformers, vLLM, llama.cpp's converter and many others read it.

Or one **GGUF** file, with a Modelfile for Ollama beside it. Fewer bits make it smaller and coarser: Q8_0 is nearly the same model in a quarter of the size, Q4_K_M about an eighth and visibly another.

A model that was trained with LoRA, rsLoRA or DoRA is written with its **adapter** folded in, or the adapter alone as a PEFT folder, to be loaded beside the base.

What was written is read back and compared with the model in memory on fixed prompts before this node turns green; the **gate** report says by how much it differs. A file that differs more than its precision explains is refused.

Unless you choose otherwise the weights keep the precision of the base; a base that came from a quantised GGUF is written in 32 bit, since fewer bits would round it a second time.

With **Include the pipeline** the file carries the graph that made it, without your paths: drop it on the canvas to open it again. Wire Validate's **metrics** in to have the scores on the card.`,
  group: 'Output',
  icon: 'export',
  tags: [
    'save',
    'download',
    'gguf',
    'ollama',
    'llama.cpp',
    'quantise',
    'safetensors',
    'hugging face',
    'transformers',
    'folder',
    'model card',
    'deploy',
    'write',
  ],
  params: z.strictObject({
    name: z
      .string()
      .regex(/^(?:[A-Za-z0-9][A-Za-z0-9._-]{0,95})?$/, 'letters, digits, dot, dash and underscore only, starting with a letter or digit')
      .default('')
      .meta({ title: 'Name', description: 'Name of the folder and of the model on its card. Empty: the base model’s name with “-thaw”.' }),
    format: z
      .enum(['folder', 'gguf', 'adapter'])
      .default('folder')
      .meta({
        title: 'Format',
        description:
          'A Hugging Face folder for transformers and vLLM, one GGUF file for llama.cpp, Ollama and LM Studio, or only the adapter for PEFT.',
        labels: { folder: 'Hugging Face folder', gguf: 'GGUF file', adapter: 'Adapter only' },
      }),
    gguf_type: z
      .enum(['Q8_0', 'Q4_K_M', 'Q4_1', 'Q4_0', 'F16', 'BF16', 'F32'])
      .default('Q8_0')
      .meta({
        title: 'GGUF type',
        description: 'Bits of each weight in the file: Q8_0 about 8.5, the Q4 types 4.5 to 5, F16 and BF16 16.',
        labels: {
          Q8_0: 'Q8_0, 8 bit',
          Q4_K_M: 'Q4_K_M, 4 bit mixed',
          Q4_1: 'Q4_1',
          Q4_0: 'Q4_0',
          F16: '16 bit',
          BF16: 'bfloat16',
          F32: '32 bit',
        },
        showIf: { format: ['gguf'] },
      }),
    dtype: z
      .enum(['auto', 'F32', 'BF16', 'F16'])
      .default('auto')
      .meta({
        title: 'Precision',
        description: 'Bits of each weight in the file. Automatic: as in the base, 32 bit where the base was quantised.',
        labels: { auto: 'Automatic', F32: '32 bit', BF16: 'bfloat16', F16: '16 bit' },
        showIf: { format: ['folder'] },
      }),
    max_shard_size: z
      .int()
      .min(10)
      .max(100_000)
      .default(5000)
      .meta({
        title: 'Largest file',
        description: 'Weights beyond this size are spread over several files with an index, as the Hub wants it.',
        unit: 'MB',
        showIf: { format: ['folder'] },
        advanced: true,
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
  outputs: {
    file: { kind: 'file', title: 'File', description: 'The model folder or file, to download or to use elsewhere.' },
    report: { kind: 'report', title: 'Gate', description: 'How far the written model is from the one in memory.' },
  },
  purity: 'deterministic',
  resource: 'engine',
  infer({ params, inputs }) {
    const model = inputs.model?.kind === 'model' ? inputs.model.facts : null
    if (!model) return {}
    if (params.format === 'adapter') {
      if (!model.adapter) return { problems: [noAdapter] }
      const size = 4 * model.adapter.parameters
      return {
        outputs: { file: { kind: 'file', facts: { name: params.name || folderName(model.name) } } },
        estimate: { seconds: 2, memoryBytes: size, diskBytes: size },
        card: [
          { label: 'Format', value: 'PEFT adapter' },
          { label: 'Adapter', value: adapterWords(model.adapter) },
          { label: 'Size', value: byteWords(size) },
        ],
      }
    }
    const gguf = params.format === 'gguf'
    const dtype = gguf ? params.gguf_type : params.dtype === 'auto' ? dtypeOf(model.dtype) : params.dtype
    const bytes = Math.round(countAll(model.parameters) * (gguf ? GGUF_BYTES[params.gguf_type] : BYTES[dtype as keyof typeof BYTES]))
    const licence = licenceOf(model.license)
    return {
      outputs: { file: { kind: 'file', facts: { name: params.name || folderName(model.name) } } },
      resolved: !gguf && params.dtype === 'auto' ? { dtype } : {},
      // Written, read back, and compared on fixed prompts.
      estimate: { seconds: Math.round(6 + bytes / 100e6), memoryBytes: 2 * bytes, diskBytes: bytes },
      card: [
        { label: 'Format', value: gguf ? 'GGUF' : 'Hugging Face' },
        { label: 'Precision', value: `${dtype}${!gguf && params.dtype === 'auto' ? ', auto' : ''}` },
        { label: 'Size', value: byteWords(bytes) },
      ],
      problems: licence.warning ? [{ severity: 'warning' as const, code: 'licence', message: licence.warning }] : [],
    }
  },
  async run({ params, inputs, ctx }) {
    const { model } = inputs
    const name = params.name || folderName(model.base.name)
    const gguf = params.format === 'gguf'
    const dtype = gguf ? params.gguf_type : params.dtype === 'auto' ? dtypeOf(model.dtype) : params.dtype
    const header = await ctx.engine.header(model)
    const graph = params.include_graph ? portableGraph(ctx.provenance.graph) : null
    const card = modelCard({
      name,
      model,
      header,
      dtype,
      format: gguf ? 'gguf' : 'folder',
      metrics: inputs.metrics ?? null,
      provenance: ctx.provenance,
    })
    const last = model.lineage.at(-1)
    const metadata: Record<string, string> = {
      'thaw.version': ctx.provenance.thawVersion,
      'thaw.graph_sha256': ctx.provenance.graphDigest,
      'thaw.base_sha256': model.base.manifest,
      ...(last && { 'thaw.dataset_sha256': last.data, 'thaw.seed': String(last.seed) }),
      ...(inputs.metrics && { 'thaw.metrics': JSON.stringify(inputs.metrics) }),
      ...(graph && { 'thaw.graph': graph }),
    }
    if (!isTrained(model)) ctx.log('This model was not trained: the folder holds the base model.', 'warn')
    if (params.format === 'adapter') {
      throwProblem(model.adapter ? [] : [noAdapter])
      const file = await ctx.engine.exportAdapter({ model, name, card })
      ctx.progress(1, 1, 'folders')
      return { file, report: await putReport(ctx, adapterReport(name, file, model)) }
    }
    const repo = /^hub:([^@]+)/.exec(model.base.source)?.[1] ?? null
    const { file, gate } = await ctx.engine.exportFolder({
      model,
      name,
      format: params.format,
      dtype,
      card,
      metadata,
      ...(gguf ? { license: model.base.license, base: { name: model.base.name, repo } } : { shardBytes: params.max_shard_size * 1e6 }),
    })
    ctx.progress(1, 1, gguf ? 'files' : 'folders')
    ctx.log(`${name}: ${plural(file.files.length, 'file')}, ${byteWords(file.bytes)}, ${dtype}.`)
    for (const note of gate.notes) ctx.log(note, 'warn')
    return { file, report: await putReport(ctx, gateReport(name, dtype, file, gate)) }
  },
})

const noAdapter: NodeProblem = {
  severity: 'error',
  code: 'no_adapter',
  param: 'format',
  message: 'This model carries no adapter: it was not trained, or its own weights were.',
  expected: 'a model from Train with LoRA, rsLoRA or DoRA',
  got: 'a model without an adapter',
  fix: { label: 'Write the whole model', params: { format: 'folder' } },
}

/** The adapter is the file that scoring and answers read, so there is nothing to compare it with. */
function adapterReport(name: string, file: FileHandle, { adapter, base }: ModelHandle): Omit<Report, 'version'> {
  return {
    title: `Export of ${name}`,
    verdict: {
      tone: 'good',
      text: `The adapter that was trained and scored, to be loaded beside ${base.name}.`,
      action: `PeftModel.from_pretrained(model, '${name}')`,
    },
    facts: [
      ...(adapter ? [{ label: 'Adapter', value: adapterWords(adapter) }] : []),
      { label: 'Base', value: base.source },
      { label: 'Size', value: byteWords(file.bytes) },
    ],
    sections: [
      {
        title: 'Files',
        table: { columns: ['File', 'Size', 'sha256'], rows: file.files.map((one) => [one.path, byteWords(one.size), one.digest]) },
      },
    ],
  }
}

/** What the gate found, as people read it (F-58). */
function gateReport(name: string, dtype: string, file: FileHandle, gate: ExportGate): Omit<Report, 'version'> {
  const far = gate.sameTop < 0.95
  const percent = (share: number) => `${(share * 100).toFixed(share === 1 ? 0 : 1)} %`
  return {
    title: `Export of ${name}`,
    verdict: {
      tone: far ? 'look' : 'good',
      text: `Read back: logits differ by at most ${gate.largest.toExponential(1)}; the next word is the same in ${percent(gate.sameTop)} of places.`,
      action: far ? 'Validate what you pass on, or write it with more bits.' : (gate.notes[0] ?? null),
    },
    facts: [
      { label: 'Precision', value: dtype },
      { label: 'Size', value: byteWords(file.bytes) },
      { label: 'Prompts compared', value: String(gate.prompts) },
      { label: 'Largest difference of a logit', value: gate.largest.toExponential(2) },
      { label: 'Mean divergence', value: `${gate.divergence.toExponential(2)} nats per token` },
      { label: 'Same next word', value: percent(gate.sameTop) },
      { label: 'Same greedy text', value: `${percent(gate.sameGreedy)} of prompts` },
      { label: 'Tokenizer, chat template, stop tokens', value: 'the same' },
    ],
    sections: [
      {
        title: 'Files',
        table: { columns: ['File', 'Size', 'sha256'], rows: file.files.map((one) => [one.path, byteWords(one.size), one.digest]) },
      },
      ...(gate.notes.length ? [{ title: 'What readers of the file do otherwise', text: gate.notes.join(' ') }] : []),
    ],
  }
}

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
