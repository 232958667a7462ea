/**
 * Adapters beside the linear layers (LoRA, rsLoRA, DoRA): which layers get one, what they hold, and what is wrong with a choice. Pure: form,
 * estimate and run share it, and the engine is given the exact list.
 */
import * as z from 'zod'
import type { AdapterSettings } from './context'
import type { NodeProblem, ParameterFact } from './facts'
import type { AdapterHandle, TrainablePlan } from './ports'
import { plural } from './words'

export const ADAPTER_METHODS = ['lora', 'rslora', 'dora'] as const
export type AdapterMethod = (typeof ADAPTER_METHODS)[number]
export const METHOD_NAMES = { full: 'Open layers', lora: 'LoRA', rslora: 'rsLoRA', dora: 'DoRA' } as const
const adapted = { method: [...ADAPTER_METHODS] }

/** Form fields of every node that can train an adapter. Names are PEFT's. */
export const adapterParams = {
  method: z
    .enum(['full', ...ADAPTER_METHODS])
    .default('full')
    .meta({
      title: 'Method',
      description:
        'Change the open layers themselves, or keep all of the model and train small matrices beside its linear layers. rsLoRA holds high ranks steady; DoRA trains lengths and directions apart.',
      labels: METHOD_NAMES,
    }),
  r: z
    .int()
    .min(1)
    .max(1024)
    .default(16)
    .meta({ title: 'Rank', description: 'Width of the adapter: more rank holds more, and costs more.', showIf: adapted }),
  lora_alpha: z.number().min(0.01).max(8192).default(32).meta({
    title: 'Alpha',
    description: 'The change is scaled by alpha / rank, or alpha / √rank with rsLoRA. Twice the rank is usual.',
    showIf: adapted,
    advanced: true,
  }),
  target_modules: z
    .enum(['all-linear', 'attention', 'mlp', 'names'])
    .default('all-linear')
    .meta({
      title: 'Adapted layers',
      description: 'Linear layers that get an adapter; behind Freeze layers, only those it leaves open.',
      labels: { 'all-linear': 'All linear layers', attention: 'Attention', mlp: 'MLP', names: 'By name' },
      showIf: adapted,
      advanced: true,
    }),
  target_names: z
    .array(z.string().min(1).max(200))
    .max(200)
    .default([])
    .meta({
      title: 'Names',
      description: 'Ends of module paths, as PEFT takes them: q_proj, v_proj, layers.3.mlp.up_proj.',
      showIf: { ...adapted, target_modules: ['names'] },
      advanced: true,
    }),
  init_lora_weights: z
    .enum(['default', 'gaussian'])
    .default('default')
    .meta({
      title: 'Start values',
      description: 'How the first matrix begins; the second begins at zero, so an untrained adapter changes nothing.',
      labels: { default: 'Uniform (Kaiming)', gaussian: 'Normal' },
      showIf: adapted,
      advanced: true,
    }),
}

export type AdapterChoice = {
  method: 'full' | AdapterMethod
  r: number
  lora_alpha: number
  target_modules: 'all-linear' | 'attention' | 'mlp' | 'names'
  target_names: readonly string[]
}

export type AdapterParams = AdapterChoice & { init_lora_weights: 'default' | 'gaussian' }

type AdaptableModel = { name: string; modelType: string; parameters: readonly ParameterFact[] }

/** What an adapter will be: the layers it stands beside, and what it holds. */
export type AdapterPlan = {
  method: AdapterMethod
  r: number
  targets: readonly ParameterFact[]
  modules: readonly string[]
  parameters: number
  lowestBlock: number
}

export const moduleOf = (parameter: string): string => parameter.slice(0, parameter.lastIndexOf('.'))
const isLinear = (p: ParameterFact) => p.shape.length === 2 && p.block !== null && (p.part === 'attention' || p.part === 'mlp')
const endsWith = (module: string, name: string) => module === name || module.endsWith(`.${name}`)

/** Resolves a choice against a model. `adapter` is null for the method `full`, and exactly when `problems` holds an error. */
export function resolveAdapter(
  choice: AdapterChoice,
  model: AdaptableModel,
  plan: TrainablePlan | null,
): { adapter: AdapterPlan | null; problems: NodeProblem[] } {
  if (choice.method === 'full') return { adapter: null, problems: [] }
  const problems: NodeProblem[] = []
  const linear = model.parameters.filter(isLinear)
  if (choice.target_modules === 'names') {
    const last = [...new Set(linear.map((p) => moduleOf(p.name).split('.').at(-1) as string))]
    for (const name of choice.target_names)
      if (!linear.some((p) => endsWith(moduleOf(p.name), name)))
        problems.push({
          severity: 'error',
          code: 'no_such_module',
          param: 'target_names',
          message: `No linear layer of ${model.name} is called “${name}”.`,
          expected: last.join(', '),
          got: name,
          fix: { label: 'Remove it', params: { target_names: choice.target_names.filter((other) => other !== name) } },
        })
    if (choice.target_names.length === 0)
      problems.push({
        severity: 'error',
        code: 'no_target_names',
        param: 'target_names',
        message: 'No layer is named, so nothing would get an adapter.',
        expected: last.join(', '),
        got: 'none',
        fix: { label: 'Adapt all linear layers', params: { target_modules: 'all-linear' } },
      })
    if (problems.length) return { adapter: null, problems }
  }
  const wanted = (p: ParameterFact) =>
    choice.target_modules === 'names'
      ? choice.target_names.some((name) => endsWith(moduleOf(p.name), name))
      : choice.target_modules === 'all-linear' || p.part === choice.target_modules
  const open = plan && new Set(plan.names)
  const targets = linear.filter((p) => wanted(p) && (!open || open.has(p.name)))
  if (targets.length === 0) {
    problems.push({
      severity: 'error',
      code: 'nothing_adapted',
      param: 'method',
      message: 'Freeze layers leaves none of these linear layers open, so no layer would get an adapter.',
      expected: 'an open attention or MLP layer',
      got: plan?.summary ?? 'none',
      fix: { label: 'Train the open layers themselves', params: { method: 'full' } },
    })
    return { adapter: null, problems }
  }
  if (plan && (plan.embeddings > 0 || plan.head > 0))
    problems.push({
      severity: 'warning',
      code: 'adapter_leaves_frozen',
      param: 'method',
      message: 'Adapters change linear layers of the blocks only: embeddings and head stay frozen with this method.',
    })
  const largest = Math.min(...targets.map((p) => Math.min(...p.shape)))
  if (choice.r > largest)
    problems.push({
      severity: 'warning',
      code: 'rank_above_layer',
      param: 'r',
      message: `The smallest adapted layer has only ${plural(largest, 'dimension')}; a higher rank than that adds cost and nothing else.`,
      fix: { label: `Use ${largest}`, params: { r: largest } },
    })
  // GPT-2 stores its matrices as [in, out].
  const outputs = (p: ParameterFact) => p.shape[model.modelType === 'gpt2' ? 1 : 0] as number
  const parameters = targets.reduce(
    (sum, p) => sum + choice.r * ((p.shape[0] as number) + (p.shape[1] as number)) + (choice.method === 'dora' ? outputs(p) : 0),
    0,
  )
  return {
    adapter: {
      method: choice.method,
      r: choice.r,
      targets,
      modules: targets.map((p) => moduleOf(p.name)),
      parameters,
      lowestBlock: Math.min(...targets.map((p) => p.block as number)),
    },
    problems,
  }
}

/** What the engine is given, and null for a training of the weights themselves. */
export const adapterSettings = (adapter: AdapterPlan | null, params: AdapterParams): AdapterSettings | null =>
  adapter && {
    method: adapter.method,
    r: adapter.r,
    lora_alpha: params.lora_alpha,
    lora_dropout: 0,
    init_lora_weights: params.init_lora_weights,
    modules: adapter.modules,
  }

/** "LoRA, rank 16" */
export const adapterWords = (adapter: Pick<AdapterHandle, 'method' | 'r'>): string => `${METHOD_NAMES[adapter.method]}, rank ${adapter.r}`
