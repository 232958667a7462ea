import * as z from 'zod'
import { defineNode } from './_kit/define-node'
import { optimizerBytes } from './_kit/estimate'
import { BLOCK_PARTS, checkPlan, countAll, resolveFreeze, trainableWords } from './_kit/freeze'
import { throwProblem } from './_kit/node-error'
import type { TrainablePlan } from './_kit/ports'
import { byteWords, countWords, percentWords } from './_kit/words'

export const freezeLayers = defineNode({
  type: 'freeze-layers',
  title: 'Freeze layers',
  summary: 'Chooses which layers training may change; all others stay exactly as they are.',
  help: `A model keeps most of what it knows when most of it cannot change, and training gets faster and smaller: frozen layers need no gradients and no optimizer memory.

Choose the **last** or **first** blocks, **exact** blocks, or **patterns** over parameter names. A pattern must match the whole name: \`model.layers.1.*\` is block 1 only. Within the blocks choose attention, MLP and norms. Embeddings, head and all norms have their own switches; where head and embeddings are one matrix, they are one switch.

“The last blocks” is a good start, not a law: which layers matter depends on the task. Settings that would freeze nothing or everything are refused.

Wire a **layer plan** in (from a probe, or from another Freeze layers) to use it instead of these settings.`,
  group: 'Model',
  icon: 'freeze-layers',
  tags: ['layers', 'blocks', 'trainable', 'unfreeze', 'thaw', 'pattern', 'attention', 'mlp', 'norm', 'embeddings', 'head', 'selective'],
  params: z.strictObject({
    mode: z
      .enum(['last', 'first', 'blocks', 'patterns'])
      .default('last')
      .meta({
        title: 'Train',
        description: 'How the blocks that may change are chosen.',
        labels: { last: 'Last blocks', first: 'First blocks', blocks: 'Exact blocks', patterns: 'Patterns' },
      }),
    count: z
      .int()
      .min(1)
      .max(1000)
      .default(4)
      .meta({
        title: 'Blocks',
        description: 'How many blocks train, counted from the end or the start.',
        unit: 'blocks',
        showIf: { mode: ['last', 'first'] },
      }),
    blocks: z
      .array(z.int().min(0).max(999))
      .max(1000)
      .default([])
      .meta({
        title: 'Blocks that train',
        description: 'Numbers of the blocks, starting at 0 next to the embeddings.',
        widget: 'layers',
        showIf: { mode: ['blocks'] },
      }),
    patterns: z
      .array(z.string().min(1).max(200))
      .max(200)
      .default([])
      .meta({
        title: 'Patterns',
        description: 'Whole parameter names, with * for any characters, ? for one, {a,b} or {20..29} for a choice.',
        widget: 'patterns',
        showIf: { mode: ['patterns'] },
      }),
    parts: z
      .array(z.enum(BLOCK_PARTS))
      .max(3)
      .default([...BLOCK_PARTS])
      .meta({
        title: 'Parts',
        description: 'Which parts of the chosen blocks train.',
        widget: 'parts',
        showIf: { mode: ['last', 'first', 'blocks'] },
      }),
    train_embeddings: z
      .boolean()
      .default(false)
      .meta({ title: 'Train embeddings', description: 'Also change the token embeddings. Large, and rarely needed for a new task.' }),
    train_head: z
      .boolean()
      .default(false)
      .meta({ title: 'Train head', description: 'Also change the output layer. Where it is tied to the embeddings, both train.' }),
    train_norms: z.boolean().default(false).meta({
      title: 'Train all norms',
      description:
        'Also change the norms of every block and the final norm. Few numbers; on their own they neither learned nor preserved well.',
      advanced: true,
    }),
  }),
  inputs: {
    model: { kind: 'model', title: 'Model', description: 'The model to freeze, before any training.' },
    plan: {
      kind: 'plan',
      title: 'Layer plan',
      description: 'Which parameters train, if another node decides. Replaces the settings here.',
      optional: true,
    },
  },
  outputs: {
    model: { kind: 'model', title: 'Model', description: 'The same weights, with the list of parameters that may change.' },
    plan: { kind: 'plan', title: 'Layer plan', description: 'That list on its own, to use on another copy of the same model.' },
  },
  purity: 'deterministic',
  resource: 'light',
  infer({ params, inputs }) {
    const model = inputs.model?.kind === 'model' ? inputs.model.facts : null
    if (!model) return {}
    const given = inputs.plan?.kind === 'plan' ? inputs.plan.facts : null
    const { plan, problems } = given ? { plan: given, problems: checkPlan(given, model) } : resolveFreeze(params, model)
    if (!plan || problems.some((p) => p.severity === 'error')) return { problems }
    return {
      outputs: { model: { kind: 'model', facts: { ...model, trainable: plan } }, plan: { kind: 'plan', facts: plan } },
      estimate: { seconds: 1, memoryBytes: 0, diskBytes: 0 },
      card: [
        { label: 'Train', value: plan.summary },
        { label: 'Trainable', value: `${countWords(plan.parameters)} (${percentWords(plan.parameters / countAll(model.parameters))})` },
        { label: 'Optimizer memory', value: byteWords(optimizerBytes(plan.parameters)) },
      ],
      problems,
    }
  },
  async run({ params, inputs, ctx }) {
    const header = await ctx.engine.header(inputs.model)
    let plan: TrainablePlan | null
    if (inputs.plan) {
      throwProblem(checkPlan(inputs.plan, header))
      plan = inputs.plan
    } else {
      const resolved = resolveFreeze(params, header)
      throwProblem(resolved.problems)
      plan = resolved.plan
    }
    if (!plan) throw new Error('resolveFreeze gave neither a plan nor a problem')
    ctx.log(`Trainable: ${trainableWords(plan, header)} parameters, ${plan.summary}. The rest stays frozen.`)
    return { model: { ...inputs.model, trainable: plan }, plan }
  },
})
