'use client'
/**
 * The typed client. Of the server only the router's type crosses over. Queries and mutations go out in one streamed batch;
 * subscriptions over one EventSource (TC-30). Both speak superjson.
 */
import { QueryClient } from '@tanstack/react-query'
import { createTRPCClient, httpBatchStreamLink, httpSubscriptionLink, splitLink } from '@trpc/client'
import { createTRPCContext } from '@trpc/tanstack-react-query'
import superjson from 'superjson'
import type { AppRouter } from '../server/trpc/router'

export const TRPC_PATH = '/api/trpc'

export const { TRPCProvider, useTRPC, useTRPCClient } = createTRPCContext<AppRouter>()

export function makeTRPCClient() {
  return createTRPCClient<AppRouter>({
    links: [
      splitLink({
        condition: (op) => op.type === 'subscription',
        true: httpSubscriptionLink({ url: TRPC_PATH, transformer: superjson }),
        // By POST: a document in the question (plan, check) is longer than a URL may be.
        false: httpBatchStreamLink({ url: TRPC_PATH, transformer: superjson, methodOverride: 'POST' }),
      }),
    ],
  })
}

export function makeQueryClient() {
  return new QueryClient({
    defaultOptions: {
      // The server is on this machine: a failed call is a fact to show, not a network hiccup to hide behind three retries.
      queries: { staleTime: 5_000, retry: 1, retryDelay: 500, refetchOnWindowFocus: true },
      mutations: { retry: 0 },
    },
  })
}
