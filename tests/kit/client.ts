/** Talks to a running product as a page does: the typed client, over HTTP, with the session cookie. */
import { createTRPCClient, httpBatchLink } from '@trpc/client'
import superjson from 'superjson'
import type { Pipeline } from '../../nodes/_kit/graph'
import type { AppRouter } from '../../server/trpc/router'
import type { Product } from './product'
import { until } from './wait'

export type Client = ReturnType<typeof clientOf>

export function clientOf(product: Product) {
  return createTRPCClient<AppRouter>({
    links: [
      httpBatchLink({
        url: `${product.origin}/api/trpc`,
        transformer: superjson,
        methodOverride: 'POST',
        fetch: (url, init) => {
          const { pathname, search } = new URL(String(url))
          return product.fetch(`${pathname}${search}`, {
            ...(init as RequestInit),
            headers: { ...(init?.headers as Record<string, string>), origin: product.origin },
          })
        },
      }),
    ],
  })
}

/** A copy of a shipped template as a pipeline of its own, with some params set: `{'train.seed': 7}`. */
export async function openTemplate(
  client: Client,
  template: string,
  params: Record<string, unknown> = {},
): Promise<{ id: string; document: Pipeline }> {
  const { document } = await client.templates.get.query({ id: template })
  for (const [path, value] of Object.entries(params)) {
    const [node = '', param = ''] = path.split('.')
    const at = document.nodes[node]
    if (!at) throw new Error(`Template ${template} has no node ${node}.`)
    at.params[param] = value
  }
  const { id } = await client.pipelines.create.mutate({ name: template, document })
  return { id, document }
}

type Snapshot = Awaited<ReturnType<Client['runs']['get']['query']>>

const FINAL = new Set(['succeeded', 'failed', 'stopped'])

/** Asks again through whatever the test kills; a product that is away for `timeoutMs` fails the test. */
export function waitForRun(
  client: Client,
  id: string,
  when: (snapshot: Snapshot) => boolean,
  what: string,
  timeoutMs = 120_000,
): Promise<Snapshot> {
  let seen = 'nothing'
  return until(
    `run ${id}: ${what}`,
    async () => {
      const snapshot = await client.runs.get.query({ id }).catch((error: Error) => {
        seen = error.message
        return null
      })
      if (!snapshot) return null
      seen = snapshot.run.status
      return when(snapshot) ? snapshot : null
    },
    { timeoutMs, everyMs: 250 },
  ).catch((error: Error) => {
    throw new Error(`${error.message} (last: ${seen})`, { cause: error })
  })
}

export const waitForEnd = (client: Client, id: string, timeoutMs?: number): Promise<Snapshot> =>
  waitForRun(client, id, ({ run }) => FINAL.has(run.status), 'its end', timeoutMs)
