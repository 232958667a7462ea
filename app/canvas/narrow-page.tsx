'use client'
/** A pipeline in a window too narrow to build in (UX-8): its runs, which can be read on any screen, and the way into the editor all the same. */
import { RunTable } from '../runs/history-tab'
import { Button } from '../ui/button'
import { Notice } from '../ui/notice'
import { PageHeader } from '../ui/page-header'
import { ThemeSwitch } from '../ui/theme'

/** Below this the canvas has no room left beside the folded panels. */
export const NARROW = 760

export function NarrowPage({ id, name, onEdit }: { id: string; name: string; onEdit: () => void }) {
  return (
    <div className="page">
      <PageHeader>
        <h1 className="ell font-semibold">{name}</h1>
        <span className="ml-auto">
          <ThemeSwitch />
        </span>
      </PageHeader>
      <main className="grid gap-4 p-4">
        <Notice
          title="The editor needs a wider window"
          actions={
            <Button size="sm" onClick={onEdit}>
              Open it all the same
            </Button>
          }
        >
          Building works from 1024 px. Runs can be read here.
        </Notice>
        <div className="card overflow-x-auto">
          <RunTable pipelineId={id} />
        </div>
      </main>
    </div>
  )
}
