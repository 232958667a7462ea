/** Two sets of values of one model side by side: what is the same is held, and as far as possible computed, once. */
import type { StoredWeight, WeightPlan } from './weights'

export interface Sides {
  /** The model itself; beside it perhaps another set of its values. */
  readonly plans: readonly WeightPlan[]
  /** So many blocks from the bottom, and what comes before them, are the same in all: they see the same rows once. */
  readonly shared: number
  /** Final norm and head are the same in all. */
  readonly sameHead: boolean
}

/** Names of a variable that holds the values of the other side. */
const beside = (name: string): string => `beside/${name}`

/** @param changed parameters whose values differ in the other set; absent: there is no other. */
export function planSides(plan: WeightPlan, changed?: ReadonlySet<string>): Sides {
  const { model } = plan
  if (!changed) return { plans: [plan], shared: model.config.blocks, sameHead: true }
  const differs = (weight: StoredWeight) => weight.parameters.some(({ spec }) => changed.has(spec.name))
  const stored = plan.stored.map((weight) => (differs(weight) ? { ...weight, name: beside(weight.name) } : weight))
  const of = new Map(stored.flatMap((weight) => weight.parameters.map(({ spec }) => [spec.name, weight] as const)))
  const other: WeightPlan = { ...plan, stored, of }
  const head = model.architecture.head(model.config)
  let shared = model.config.blocks
  let sameHead = true
  for (const { name, block, part } of model.parameters) {
    if (plan.of.get(name)?.name === of.get(name)?.name) continue
    if (block !== null) shared = Math.min(shared, block)
    else if (part === 'embedding') shared = 0
    if (name === head || (block === null && part !== 'embedding')) sameHead = false
  }
  return { plans: [plan, other], shared, sameHead }
}

/** The plan with only the variables that no plan before it has: what is left to be written. */
export const ownOf = ({ plans }: Sides, side: number): WeightPlan => {
  const before = new Set(plans.slice(0, side).flatMap(({ stored }) => stored.map(({ name }) => name)))
  const plan = plans[side] as WeightPlan
  return { ...plan, stored: plan.stored.filter(({ name }) => !before.has(name)) }
}
