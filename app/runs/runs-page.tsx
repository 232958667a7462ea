'use client'
import { PageHeader } from '../ui/page-header'
import { ThemeSwitch } from '../ui/theme'
import { RunTable } from './history-tab'

/** All runs of this installation, newest first. */
export function RunsPage() {
  return (
    <div className="page">
      <PageHeader>
        <h1 className="font-semibold">Runs</h1>
        <span className="ml-auto">
          <ThemeSwitch />
        </span>
      </PageHeader>
      <main className="mx-auto w-full max-w-[1240px] p-5">
        <div className="card overflow-x-auto">
          <RunTable />
        </div>
      </main>
    </div>
  )
}
