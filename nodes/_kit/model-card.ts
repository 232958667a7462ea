/** README.md of an exported model (F-53). Nothing is invented: what is unknown is left out. */
import type { RunContext } from './context'
import type { ModelHeader } from './facts'
import type { Metrics, ModelHandle } from './ports'
import { countWords, percentWords, plural, rateWords } from './words'

type CardFacts = {
  name: string
  model: ModelHandle
  header: ModelHeader
  dtype: string
  format: 'folder' | 'gguf'
  metrics: Metrics | null
  provenance: RunContext['provenance']
}

/** Licences under which a derived model may be passed on freely; others are named so that the user looks. */
const PERMISSIVE = new Set(['apache-2.0', 'mit', 'bsd-2-clause', 'bsd-3-clause', 'cc0-1.0', 'cc-by-4.0', 'unlicense', 'isc', 'mpl-2.0'])

export function licenceOf(license: string | null): { id: string | null; warning: string | null } {
  if (!license) return { id: null, warning: 'The base model names no licence. Find out under which terms you may pass the result on.' }
  const id = license.toLowerCase()
  if (PERMISSIVE.has(id)) return { id, warning: null }
  if (id.includes('-nc') || id.includes('non-commercial') || id.includes('noncommercial'))
    return { id, warning: `The base model's licence (${license}) forbids commercial use of the result.` }
  return { id, warning: `The base model's licence (${license}) has conditions of its own; read it before you pass the result on.` }
}

/** Card of one export, as Markdown with the front matter that the Hub reads. */
export function modelCard({ name, model, header, dtype, format, metrics, provenance }: CardFacts): string {
  const licence = licenceOf(model.base.license ?? header.license)
  const hub = /^hub:([^@]+)/.exec(model.base.source)?.[1]
  const front = [
    '---',
    `base_model: ${JSON.stringify(hub ?? model.base.name)}`,
    ...(licence.id ? [`license: ${JSON.stringify(licence.id)}`] : []),
    `library_name: ${format === 'gguf' ? 'gguf' : 'transformers'}`,
    'pipeline_tag: text-generation',
    'tags:',
    '- thaw',
    '- fine-tuned',
    `- ${model.modelType}`,
    '---',
  ]
  const trained = model.lineage.at(-1)
  const body: string[] = [`# ${name}`, '']
  body.push(
    trained
      ? `${model.base.name}, fine-tuned with Thaw ${provenance.thawVersion}.`
      : `${model.base.name}, written by Thaw ${provenance.thawVersion} without training.`,
    '',
    '## What was trained',
    '',
  )
  if (model.lineage.length === 0) body.push('Nothing: the weights are those of the base model.')
  for (const [i, entry] of model.lineage.entries()) {
    const share = entry.parameters / model.parameters
    const what = share < 1 ? `${model.trainable ? `: ${model.trainable.summary}` : ''}; all others are bit for bit those of the base` : ''
    if (model.lineage.length > 1) body.push(...(i > 0 ? [''] : []), `${i + 1}. training, node \`${entry.node}\``, '')
    body.push(
      `- ${countWords(entry.parameters)} of ${countWords(model.parameters)} parameters (${percentWords(share)})${what}.`,
      `- ${plural(entry.steps, 'optimizer step')}, ${plural(Math.round(entry.epochs * 100) / 100, 'epoch')}, seed ${entry.seed}.`,
      `- Training rows: sha256 \`${entry.data}\`, from a file with sha256 \`${entry.source}\`.`,
    )
  }
  const settings = trainSettings(provenance.graph, trained?.node)
  if (settings.length)
    body.push('', '## Settings', '', '| setting | value |', '|---|---|', ...settings.map(([k, v]) => `| \`${k}\` | ${v} |`))
  if (metrics) body.push('', '## Scores', '', ...scoreTable(metrics))
  body.push(
    '',
    '## Known limits',
    '',
    ...(/^I?Q\d/i.test(model.dtype)
      ? [`- The base was a ${model.dtype} file, turned back to 32 bit (“dequantised”): its weights are as precise as that file was.`]
      : []),
    ...(metrics && 'exact_match' in metrics
      ? ['- The scores hold for rows like those scored. Other wordings, layouts or languages can be much worse.']
      : ['- No scores were wired to this export.']),
    '- What else the model knew before may have changed; that was not measured here.',
    '',
    '## How to repeat',
    '',
    `- Base weights: sha256 of the file list \`${model.base.manifest}\` (${model.base.source.startsWith('/') ? 'a local file' : model.base.source}).`,
    `- Pipeline: sha256 \`${provenance.graphDigest}\`. Where the pipeline itself is included it is in the ${format === 'gguf' ? 'keys of the GGUF file' : 'metadata of the weights files'} as \`thaw.graph\`: drop the file on Thaw’s canvas to open it.`,
    `- Written as ${dtype}.`,
    ...(licence.warning ? ['', '## Licence', '', licence.warning] : []),
    '',
  )
  return [...front, '', ...body].join('\n')
}

const SETTINGS = [
  'learning_rate',
  'num_train_epochs',
  'max_steps',
  'per_device_train_batch_size',
  'gradient_accumulation_steps',
  'lr_scheduler_type',
  'warmup_steps',
  'weight_decay',
  'max_length',
  'seed',
]

function trainSettings(graph: string, node: string | undefined): [string, string][] {
  const params = node === undefined ? undefined : parseGraph(graph)?.nodes?.[node]?.params
  if (!params) return []
  return SETTINGS.flatMap((name): [string, string][] => {
    const value = params[name]
    return typeof value === 'number' ? [[name, rateWords(value)]] : typeof value === 'string' ? [[name, value]] : []
  })
}

function scoreTable(metrics: Metrics): string[] {
  const names = Object.keys(metrics).filter((n) => !n.startsWith('base_') && `base_${n}` in metrics)
  const others = Object.keys(metrics).filter((n) => !n.startsWith('base_') && !names.includes(n))
  const say = (v: number | undefined) =>
    v === undefined ? '' : Math.abs(v) >= 1e6 ? v.toExponential(2) : String(Math.round(v * 1e4) / 1e4)
  return [
    ...(names.length
      ? [
          '| score | before training | after |',
          '|---|---|---|',
          ...names.map((n) => `| ${n} | ${say(metrics[`base_${n}`])} | ${say(metrics[n])} |`),
        ]
      : []),
    ...(others.length ? ['', others.map((n) => `${n} ${say(metrics[n])}`).join(', ')] : []),
  ]
}

type GraphJson = { nodes?: Record<string, { params?: Record<string, unknown> }> }
const parseGraph = (graph: string): GraphJson | null => {
  try {
    return JSON.parse(graph) as GraphJson
  } catch {
    return null
  }
}
