'use client'
import { useQuery } from '@tanstack/react-query'
import { Dialog } from 'radix-ui'
import { Report } from '../../nodes/_kit/report'
import { Button } from '../ui/button'
import { Icon } from '../ui/icon'
import { Notice } from '../ui/notice'
import { ReportView } from '../ui/report-view'
import { downloadHref } from './links'

/** Which report of a run: node and port, and the name of the node for people. */
export type ReportPlace = { run: string; node: string; port: string; title: string }

/** A report as a large view, as the rows are (D-31): Esc leads back. */
export function ReportSheet({ place, onClose }: { place: ReportPlace; onClose: () => void }) {
  const href = downloadHref(place.run, place.node, place.port)
  // Artifacts never change under their name.
  const { data, error } = useQuery({ queryKey: ['report', href], queryFn: () => readReport(href), staleTime: Number.POSITIVE_INFINITY })
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Content className="sheet" aria-describedby={undefined}>
          <div className="sheet-h">
            <Dialog.Close asChild>
              <Button variant="ghost" icon="left" kbd="Esc">
                Back
              </Button>
            </Dialog.Close>
            <Dialog.Title className="text-16 font-semibold">{data?.title ?? place.title}</Dialog.Title>
            <span className="ml-auto">
              <Button size="sm" asChild>
                <a href={href} download>
                  <Icon name="download" />
                  Download
                </a>
              </Button>
            </span>
          </div>
          <div className="min-h-0 overflow-auto">
            {error ? (
              <div className="p-6">
                <Notice tone="error" title="The report cannot be shown">
                  {error.message}
                </Notice>
              </div>
            ) : data ? (
              <ReportView report={data} />
            ) : (
              <p className="muted p-6">Opening the report …</p>
            )}
          </div>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  )
}

async function readReport(href: string): Promise<Report> {
  const response = await fetch(href)
  if (!response.ok) throw new Error(`The server answered ${response.status}. Reload the page; the run itself is not affected.`)
  const parsed = Report.safeParse(await response.json())
  if (!parsed.success) throw new Error('Another version of Thaw wrote it. Download it to read it as a file.')
  return parsed.data
}
