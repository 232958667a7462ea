/**
 * From settings to the exact names of the parameters that may change (SCI-24, SCI-25, SCI-26). Pure: the form, the check and the run
 * share it, so that what is drawn is what is trained.
 */
import type { NodeProblem, ParameterFact } from './facts'
import { matchesPattern } from './patterns'
import type { TrainablePlan } from './ports'
import { countWords, plural, rangeWords } from './words'

export const BLOCK_PARTS = ['attention', 'mlp', 'norm'] as const
export type BlockPart = (typeof BLOCK_PARTS)[number]

export type FreezeChoice = {
  mode: 'last' | 'first' | 'blocks' | 'patterns'
  count: number
  blocks: readonly number[]
  patterns: readonly string[]
  parts: readonly BlockPart[]
  train_embeddings: boolean
  train_head: boolean
  train_norms: boolean
}

/** The part of a model that a freeze needs to know: both a header and the facts of a wire fit. */
export type FreezableModel = { name: string; blocks: number; tiedEmbeddings: boolean; parameters: readonly ParameterFact[] }

export const sizeOf = (p: ParameterFact): number => p.shape.reduce((a, b) => a * b, 1)
export const countAll = (parameters: readonly ParameterFact[]): number => parameters.reduce((sum, p) => sum + sizeOf(p), 0)

/**
 * Resolves a choice against a model. `plan` is null exactly when `problems` holds an error.
 * Refused: a pattern or block that matches nothing, a plan without parameters, and a plan that opens everything (E-2).
 */
export function resolveFreeze(choice: FreezeChoice, model: FreezableModel): { plan: TrainablePlan | null; problems: NodeProblem[] } {
  const problems: NodeProblem[] = []
  const open = new Set<string>()
  const blocks = chosenBlocks(choice, model, problems)
  if (blocks) {
    if (choice.parts.length === 0)
      problems.push({
        severity: 'error',
        code: 'no_parts',
        param: 'parts',
        message: 'Choose at least one part of the blocks.',
        expected: 'attention, mlp or norm',
        got: 'none',
        fix: { label: 'Train all parts', params: { parts: [...BLOCK_PARTS] } },
      })
    const chosen = new Set(blocks)
    const parts = new Set<string>(choice.parts)
    for (const p of model.parameters) if (p.block !== null && chosen.has(p.block) && parts.has(p.part)) open.add(p.name)
  } else if (choice.mode === 'patterns') {
    for (const pattern of choice.patterns) {
      const hits = model.parameters.filter((p) => matchesPattern(pattern, p.name))
      for (const p of hits) open.add(p.name)
      if (hits.length === 0) problems.push(patternProblem(pattern, choice, model))
    }
    if (choice.patterns.length === 0 && !choice.train_embeddings && !choice.train_head && !choice.train_norms)
      problems.push({
        severity: 'error',
        code: 'no_patterns',
        param: 'patterns',
        message: 'No pattern is given, so nothing would train.',
        expected: 'a pattern such as model.layers.{20..29}.*',
        got: 'an empty list',
        fix: { label: `Train the last ${defaultCount(model)} blocks`, params: { mode: 'last', count: defaultCount(model) } },
      })
  }
  // A tied head is the embedding matrix itself, so one switch opens it and the other cannot keep it shut (SCI-26).
  const embeddings = choice.train_embeddings || (choice.train_head && model.tiedEmbeddings)
  for (const p of model.parameters) {
    if (p.part === 'embedding' && embeddings) open.add(p.name)
    if (p.part === 'head' && choice.train_head) open.add(p.name)
    if (p.part === 'norm' && choice.train_norms) open.add(p.name)
  }
  if (choice.train_head && !choice.train_embeddings && model.tiedEmbeddings)
    problems.push({
      severity: 'warning',
      code: 'tied_head',
      param: 'train_head',
      message: `${model.name} uses one matrix as embeddings and head, so both train.`,
      fix: { label: 'Keep both frozen', params: { train_head: false } },
    })

  if (problems.some((p) => p.severity === 'error')) return { plan: null, problems }
  if (open.size === 0) {
    problems.push({
      severity: 'error',
      code: 'nothing_trains',
      message: 'Nothing would train with these settings.',
      expected: 'at least one parameter',
      got: 'none',
      fix: {
        label: `Train the last ${defaultCount(model)} blocks`,
        params: { mode: 'last', count: defaultCount(model), parts: [...BLOCK_PARTS] },
      },
    })
    return { plan: null, problems }
  }
  if (open.size === model.parameters.length) {
    problems.push({
      severity: 'error',
      code: 'nothing_frozen',
      message: 'These settings freeze nothing. Wire the model to Train directly to train all of it.',
      expected: 'some parameters frozen',
      got: `all ${plural(model.parameters.length, 'tensor')} open`,
      fix: {
        label: `Train the last ${defaultCount(model)} blocks`,
        params: { mode: 'last', count: defaultCount(model), train_embeddings: false, train_head: false, train_norms: false },
      },
    })
    return { plan: null, problems }
  }
  const names = model.parameters.filter((p) => open.has(p.name)).map((p) => p.name)
  return { plan: planOf(names, model, summaryOf(choice, model, blocks)), problems }
}

/** A plan from exact names. Names the model lacks are the caller's fault and are refused by `checkPlan`. */
export function planOf(names: readonly string[], model: FreezableModel, summary: string): TrainablePlan {
  const open = new Set(names)
  const share = (belongs: (p: ParameterFact) => boolean): number => {
    let total = 0
    let trained = 0
    for (const p of model.parameters) {
      if (!belongs(p)) continue
      total += sizeOf(p)
      if (open.has(p.name)) trained += sizeOf(p)
    }
    return total === 0 ? 0 : trained / total
  }
  const embeddings = share((p) => p.part === 'embedding')
  return {
    names: [...names],
    parameters: countAll(model.parameters.filter((p) => open.has(p.name))),
    blocks: Array.from({ length: model.blocks }, (_, block) => share((p) => p.block === block)),
    embeddings,
    head: model.tiedEmbeddings ? embeddings : share((p) => p.part === 'head'),
    summary,
  }
}

/** A plan made for another model is refused (SCI-25). */
export function checkPlan(plan: TrainablePlan, model: FreezableModel): NodeProblem[] {
  const known = new Set(model.parameters.map((p) => p.name))
  const missing = plan.names.filter((n) => !known.has(n))
  if (missing.length === 0) return []
  return [
    {
      severity: 'error',
      code: 'plan_of_other_model',
      message: `The layer plan was made for another model: ${model.name} has no parameter “${missing[0]}”${missing.length > 1 ? ` (and ${missing.length - 1} more)` : ''}.`,
      expected: `names of ${model.name}`,
      got: missing.slice(0, 3).join(', '),
    },
  ]
}

/** A third of the blocks, at least one: the share the shipped template was measured with. */
export const defaultCount = (model: { blocks: number }): number => Math.max(1, Math.round(model.blocks / 3))

function chosenBlocks(choice: FreezeChoice, model: FreezableModel, problems: NodeProblem[]): number[] | null {
  const { blocks } = model
  if (choice.mode === 'patterns') return null
  if (choice.mode === 'blocks') {
    const outside = choice.blocks.filter((b) => b >= blocks)
    if (outside.length)
      problems.push({
        severity: 'error',
        code: 'no_such_block',
        param: 'blocks',
        message: `${model.name} has ${plural(blocks, 'block')}, numbered from 0.`,
        expected: `0 to ${blocks - 1}`,
        got: rangeWords(outside),
        fix: { label: 'Leave those out', params: { blocks: choice.blocks.filter((b) => b < blocks) } },
      })
    return choice.blocks.filter((b) => b < blocks)
  }
  if (choice.count > blocks)
    problems.push({
      severity: 'error',
      code: 'too_many_blocks',
      param: 'count',
      message: `${model.name} has only ${plural(blocks, 'block')}.`,
      expected: `1 to ${blocks}`,
      got: String(choice.count),
      fix: { label: `Train ${defaultCount(model)}`, params: { count: defaultCount(model) } },
    })
  const count = Math.min(choice.count, blocks)
  return Array.from({ length: count }, (_, i) => (choice.mode === 'last' ? blocks - count + i : i))
}

function patternProblem(pattern: string, choice: FreezeChoice, model: FreezableModel): NodeProblem {
  // The usual slip: a block's name without what is in it.
  const meant = `${pattern}.*`
  const helps = model.parameters.some((p) => matchesPattern(meant, p.name))
  const rest = choice.patterns.filter((p) => p !== pattern)
  return {
    severity: 'error',
    code: 'pattern_matches_nothing',
    param: 'patterns',
    message: `The pattern “${pattern}” matches no parameter of ${model.name}. Patterns match whole names.`,
    expected: `names such as ${model.parameters.find((p) => p.block !== null)?.name ?? model.parameters[0]?.name ?? ''}`,
    got: pattern,
    fix: helps
      ? { label: `Use ${meant}`, params: { patterns: [...rest, meant] } }
      : { label: 'Remove the pattern', params: { patterns: rest } },
  }
}

function summaryOf(choice: FreezeChoice, model: FreezableModel, blocks: number[] | null): string {
  const words: string[] = []
  if (blocks && blocks.length > 0) {
    const which =
      choice.mode === 'blocks'
        ? `block${blocks.length > 1 ? 's' : ''} ${rangeWords(blocks)} of ${model.blocks}`
        : `${choice.mode} ${blocks.length} of ${plural(model.blocks, 'block')}`
    words.push(choice.parts.length < BLOCK_PARTS.length ? `${choice.parts.join(' and ')} of the ${which}` : which)
  }
  if (choice.mode === 'patterns' && choice.patterns.length)
    words.push(choice.patterns.length === 1 ? `${choice.patterns[0]}` : plural(choice.patterns.length, 'pattern'))
  if (choice.train_embeddings || (choice.train_head && model.tiedEmbeddings))
    words.push(model.tiedEmbeddings ? 'embeddings (also the head)' : 'embeddings')
  if (choice.train_head && !model.tiedEmbeddings) words.push('head')
  if (choice.train_norms) words.push('all norms')
  return words.join(', ')
}

/** "35.4 M of 134.5 M" */
export const trainableWords = (plan: TrainablePlan | null, model: { parameters: readonly ParameterFact[] }): string => {
  const all = countAll(model.parameters)
  return plan ? `${countWords(plan.parameters)} of ${countWords(all)}` : `all ${countWords(all)}`
}
