/** The pipeline document: names, never positions. `layout` and `notes` never enter a hash. */
import * as z from 'zod'

export const SCHEMA_VERSION = 1
/** SEC-15. */
export const LIMITS = { nodes: 2_000, edges: 10_000, bytes: 4 * 1024 * 1024, nesting: 64 } as const

const NodeId = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/)
const PortName = z.string().regex(/^[a-z][a-z0-9_]{0,63}$/i)
const End = z.strictObject({ node: NodeId, port: PortName })

export const PipelineNode = z.strictObject({
  type: z.string().min(1).max(64),
  version: z.int().min(1),
  params: z.record(z.string(), z.unknown()),
  disabled: z.boolean().optional(),
})
export type PipelineNode = z.infer<typeof PipelineNode>

export const Edge = z.strictObject({ from: End, to: End })
export type Edge = z.infer<typeof Edge>

export const ExposedInput = z.strictObject({
  id: NodeId,
  title: z.string(),
  help: z.string().optional(),
  node: NodeId,
  param: z.string(),
  expects: z.strictObject({ columns: z.array(z.string()).optional() }).optional(),
})
export type ExposedInput = z.infer<typeof ExposedInput>

export const Note = z.strictObject({
  id: NodeId,
  text: z.string(),
  x: z.number(),
  y: z.number(),
  width: z.number().optional(),
  height: z.number().optional(),
})

export const Layout = z.strictObject({
  /** `title`: name on the canvas; the node type's title when absent. It lives here so that renaming makes nothing stale (UX-49). */
  nodes: z.record(NodeId, z.strictObject({ x: z.number(), y: z.number(), title: z.string().max(120).optional() })),
  groups: z.array(
    z.strictObject({ id: NodeId, title: z.string(), nodes: z.array(NodeId), folded: z.boolean().optional(), color: z.string().optional() }),
  ),
})

export const Pipeline = z.strictObject({
  schemaVersion: z.literal(SCHEMA_VERSION),
  nodes: z.record(NodeId, PipelineNode),
  edges: z.array(Edge),
  inputs: z.array(ExposedInput),
  notes: z.array(Note),
  layout: Layout,
})
export type Pipeline = z.infer<typeof Pipeline>

export const emptyPipeline = (): Pipeline => ({
  schemaVersion: SCHEMA_VERSION,
  nodes: {},
  edges: [],
  inputs: [],
  notes: [],
  layout: { nodes: {}, groups: [] },
})
