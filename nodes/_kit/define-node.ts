/** One node is one plain object in one file. Palette, form, checks, docs, key and executor all read it. */
import type * as z from 'zod'
import type { RunContext } from './context'
import type { Fact, FactRequest, Inference, PortFacts } from './facts'
import type { PortKind, PortValue } from './ports'

export const NODE_GROUPS = ['Data', 'Model', 'Training', 'Evaluation', 'Output'] as const
export type NodeGroup = (typeof NODE_GROUPS)[number]

export type PortDef<K extends PortKind = PortKind> = {
  kind: K
  title: string
  description: string
  /** Inputs only: may stay unconnected. */
  optional?: true
}
type Ports = Readonly<Record<string, PortDef>>

type Required_<P extends Ports> = { [K in keyof P]: P[K]['optional'] extends true ? never : K }[keyof P]
export type InputValues<P extends Ports> = { [K in Required_<P>]: PortValue<P[K]['kind']> } & {
  [K in Exclude<keyof P, Required_<P>>]?: PortValue<P[K]['kind']> | undefined
}
export type OutputValues<P extends Ports> = { [K in keyof P]: PortValue<P[K]['kind']> }

/** Rewrites params saved before a change. Named by a verb; the list only grows. */
export type Migration = { name: string; up(old: Record<string, unknown>): Record<string, unknown> }

export type InferArgs<Params> = {
  params: Params
  /** Facts on each connected input; absent when unknown or unconnected. */
  inputs: Record<string, PortFacts | undefined>
  /** Answer to this node's own `facts` request, when the server gave one. */
  fact?: Fact | undefined
  /** Id of this node. */
  node: string
}

/**
 * Declares a node type. File name = `type`.
 * `params` is strict: unknown keys are refused by name. Each field carries `.meta({title, description, …})` and a default unless truly
 * required; `.meta` may add `unit`, `scale: 'log'`, `widget`, `advanced: true`, `step`.
 */
export function defineNode<const Type extends string, Params extends z.ZodObject, const In extends Ports, const Out extends Ports>(def: {
  type: Type
  title: string
  /** One sentence: what it does, for the palette. */
  summary: string
  /** Markdown paragraphs for the docs and the hover card: when to use it, what comes out, what to watch. */
  help: string
  group: NodeGroup
  /** Name of a symbol in the icon sheet, without the `i-`. */
  icon: string
  params: Params
  inputs: In
  outputs: Out
  /** `seeded` nodes have a `seed` param. */
  purity: 'deterministic' | 'seeded' | 'volatile'
  /** `engine`: needs TensorFlow, asks for a GPU worker where one is live. `light`: plain CPU work. */
  resource: 'light' | 'engine'
  /**
   * Params that only lengthen the work; all others are identity. A function where that depends on other params: with a schedule
   * that depends on the total length nothing is extent.
   */
  extent?: readonly (keyof z.output<Params> & string)[] | ((params: z.output<Params>) => readonly (keyof z.output<Params> & string)[])
  /** Words people search for besides title and summary. */
  tags?: readonly string[]
  migrations?: readonly Migration[]
  /** What the server must look at so that `infer` can speak. Pure. */
  facts?(params: z.output<Params>): FactRequest | null
  /** What is known before running. Pure; called on every edit. */
  infer?(args: InferArgs<z.output<Params>>): Inference
  run(args: { params: z.output<Params>; inputs: InputValues<In>; ctx: RunContext }): Promise<OutputValues<Out>>
}) {
  return def
}

// `any`: a `run` that takes particular inputs is not assignable to one that takes all of them.
// biome-ignore lint/suspicious/noExplicitAny: see above
export type AnyNode = ReturnType<typeof defineNode<string, any, any, any>>
export type Registry = Readonly<Record<string, AnyNode>>

/** The version saved with a node is a count, so it cannot disagree with the list. */
export const versionOf = (def: AnyNode): number => 1 + (def.migrations?.length ?? 0)
