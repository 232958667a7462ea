'use client'
import { QueryClientProvider } from '@tanstack/react-query'
import { type ReactNode, useState } from 'react'
import { makeQueryClient, makeTRPCClient, TRPCProvider } from './trpc'
import { Toaster } from './ui/toast'
import { TipProvider } from './ui/tooltip'

/**
 * Everything a page may take for granted. `nonce` is the CSP nonce of this response: Radix locks scrolling with a <style> element of its
 * own, and its helper reads the nonce from this global (get-nonce).
 */
export function Providers({ nonce, children }: { nonce: string | null; children: ReactNode }) {
  const [queryClient] = useState(makeQueryClient)
  const [trpcClient] = useState(() => {
    if (nonce && typeof window !== 'undefined') Object.assign(globalThis, { __webpack_nonce__: nonce })
    return makeTRPCClient()
  })
  return (
    <QueryClientProvider client={queryClient}>
      <TRPCProvider trpcClient={trpcClient} queryClient={queryClient}>
        <TipProvider>{children}</TipProvider>
        <Toaster />
      </TRPCProvider>
    </QueryClientProvider>
  )
}
