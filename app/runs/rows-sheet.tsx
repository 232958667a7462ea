'use client'
import { Dialog } from 'radix-ui'
import type { Metrics } from '../../nodes/_kit/ports'
import { Button } from '../ui/button'
import { Segmented } from '../ui/toggles'
import { plural } from '../ui/words'
import { RowsView } from './rows-view'
import type { NodeInfo } from './show'

/** The rows as a large view: it takes canvas and run panel, keeps the top bar, and Esc leads back (D-31). */
export function RowsSheet({
  run,
  number,
  scored,
  node,
  onNode,
  onClose,
}: {
  run: string
  number: number | null
  scored: readonly { info: NodeInfo; metrics: Metrics; hasRows: boolean }[]
  node: string
  onNode: (node: string) => void
  onClose: () => void
}) {
  const able = scored.filter((entry) => entry.hasRows)
  const current = able.find((entry) => entry.info.id === node)
  if (!current) return null
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
            <Dialog.Title className="text-16 font-semibold">{current.info.title}</Dialog.Title>
            <span className="muted">
              {number === null ? '' : `run ${number} · `}
              {current.metrics.rows === undefined ? '' : `${plural(current.metrics.rows, 'row')}, worst first`}
            </span>
            {able.length > 1 ? (
              <span className="ml-auto">
                <Segmented
                  label="Validation"
                  value={node}
                  onValueChange={onNode}
                  items={able.map((entry) => ({ value: entry.info.id, label: entry.info.title }))}
                />
              </span>
            ) : null}
          </div>
          <RowsView key={node} run={run} node={node} metrics={current.metrics} />
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  )
}
