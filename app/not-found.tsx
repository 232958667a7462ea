import Link from 'next/link'
import { Button } from './ui/button'
import { Empty } from './ui/notice'
import { PageHeader } from './ui/page-header'

export const metadata = { title: 'Not found' }

export default function NotFound() {
  return (
    <div className="page">
      <PageHeader />
      <main className="mx-auto w-full max-w-[640px] p-6">
        <h1 className="vh">Nothing is here</h1>
        <Empty
          framed
          icon="search"
          title="Nothing is at this address"
          action={
            <Button asChild>
              <Link href="/">Start page</Link>
            </Button>
          }
        >
          The pipeline or run may have been removed, or the link is not complete.
        </Empty>
      </main>
    </div>
  )
}
