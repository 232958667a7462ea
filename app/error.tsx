'use client'
import Link from 'next/link'
import { Button } from './ui/button'
import { Notice } from './ui/notice'
import { PageHeader } from './ui/page-header'

/** What is shown when a page itself breaks. What runs goes on (UX-70). */
export default function PageError({ error, reset }: { error: Error & { digest?: string }; reset: () => void }) {
  return (
    <div className="page">
      <PageHeader />
      <main className="mx-auto w-full max-w-[640px] p-6">
        <h1 className="vh">This page broke</h1>
        <Notice
          tone="error"
          title="This page broke"
          actions={
            <>
              <Button size="sm" icon="reset" onClick={reset}>
                Show it again
              </Button>
              <Button size="sm" variant="ghost" asChild>
                <Link href="/">Start page</Link>
              </Button>
            </>
          }
        >
          This is a fault of Thaw. Saved pipelines and running work are not affected. {error.message}
        </Notice>
      </main>
    </div>
  )
}
