/** What derives from a list of node types: their JSON description and the schema of a node in a document. */
import * as z from 'zod'
import { type AnyNode, versionOf } from './define-node'

/** Plain JSON: all that the palette, the forms, the CLI and the docs page need. */
export const catalogOf = (nodes: readonly AnyNode[]) =>
  nodes.map((n) => ({
    type: n.type,
    version: versionOf(n),
    title: n.title,
    summary: n.summary,
    help: n.help,
    group: n.group,
    icon: n.icon,
    tags: n.tags ?? [],
    purity: n.purity,
    resource: n.resource,
    // Where it depends on the params it is said in the help.
    extent: typeof n.extent === 'function' ? [] : (n.extent ?? []),
    inputs: n.inputs,
    outputs: n.outputs,
    params: z.toJSONSchema(n.params, { io: 'input' }),
  }))
export type CatalogEntry = ReturnType<typeof catalogOf>[number]

/** A node with its params, narrowed by its type. */
export type InstanceOf<D extends AnyNode> = {
  [N in D as N['type']]: { id: string; type: N['type']; params: z.output<N['params']> }
}[D['type']]

/** Schema of such a node, told apart by `type`. Casts: `map` loses the literal types of the list; a test proves the narrowing. */
export function instanceSchema<const List extends readonly AnyNode[]>(nodes: List): z.ZodType<InstanceOf<List[number]>> {
  const variants = nodes.map((n) => z.object({ id: z.string(), type: z.literal(n.type), params: n.params }))
  return z.discriminatedUnion('type', variants as unknown as [(typeof variants)[0] & z.core.$ZodTypeDiscriminable]) as unknown as z.ZodType<
    InstanceOf<List[number]>
  >
}
