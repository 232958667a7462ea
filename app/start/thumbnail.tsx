'use client'
import { useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import { registry } from '../../nodes'
import type { Pipeline } from '../../nodes/_kit/graph'
import { type Facts, inferGraph } from '../../nodes/_kit/infer'
import { useTRPC } from '../trpc'
import { Icon } from '../ui/icon'
import { ICONS, type IconName } from '../ui/icons'
import { bytes } from '../ui/words'
import { THUMB, type ThumbBox, thumbOf } from './thumb'

/** Headers of the models that a pipeline loads; undefined while they are read. One query, whoever asks. */
function useModelFacts(document: Pipeline, given?: Facts): Facts | undefined {
  const trpc = useTRPC()
  const requests = useMemo(() => [...inferGraph(document, registry).unanswered].filter((request) => request.kind === 'model'), [document])
  const { data } = useQuery({
    ...trpc.facts.resolve.queryOptions({ requests }),
    enabled: !given && requests.length > 0,
    staleTime: 60_000,
  })
  return given ?? data
}

/** What a template still has to download, said apart from what it has (UX-1); nothing when all is here. */
export function DownloadNote({ document, facts: given }: { document: Pipeline; facts?: Facts }) {
  const facts = useModelFacts(document, given)
  const missing = Object.values(facts ?? {}).flatMap((fact) => (fact.kind === 'model' && !fact.header.downloaded ? [fact.header] : []))
  if (missing.length === 0) return null
  return (
    <span>
      <Icon name="download" size={14} />
      {bytes(missing.reduce((sum, header) => sum + header.sizeBytes, 0))} to download once
    </span>
  )
}

/** Loaded after the page itself: it brings the node types with it, which the start page needs for nothing else (UX-141). */
export default function Thumbnail({ document, facts: given, label }: { document: Pipeline; facts?: Facts; label: string }) {
  // Until the headers are here, which say how many blocks there are, the strips are at rest, as an untouched model is.
  const facts = useModelFacts(document, given)
  const { boxes, wires } = useMemo(() => thumbOf(document, registry, facts), [document, facts])
  return (
    <svg className="thumb" viewBox={`0 0 ${THUMB.width} ${THUMB.height}`} role="img" aria-label={label}>
      {wires.map(({ key, d, kind, share }) =>
        kind === 'model' ? (
          <g key={key} fill="none">
            <path d={d} stroke="var(--ice)" strokeWidth={4} />
            <path d={d} stroke="var(--ice-fill)" strokeWidth={2.75} />
            {share > 0 ? <path d={d} stroke="var(--thaw)" strokeWidth={1 + 2 * share} /> : null}
          </g>
        ) : (
          <path key={key} d={d} fill="none" stroke={`var(--${kind})`} strokeWidth={1.5} />
        ),
      )}
      {boxes.map((box) => (
        <Box key={box.id} box={box} />
      ))}
    </svg>
  )
}

function Box({ box: { x, y, width, icon, cells } }: { box: ThumbBox }) {
  const pitch = (width - 9) / (cells?.length ?? 1)
  const line = Math.max(6, width - 37)
  const shape = ICONS[icon in ICONS ? (icon as IconName) : 'question']
  return (
    <g transform={`translate(${x} ${y})`}>
      <rect x={0.5} y={0.5} width={width - 1} height={THUMB.high - 1} rx={5} fill="var(--surface)" stroke="var(--line-strong)" />
      {cells ? (
        cells.map((open, i) => (
          <rect
            // biome-ignore lint/suspicious/noArrayIndexKey: a cell is its place in the model
            key={i}
            x={5 + i * pitch}
            y={open ? 10 : 12.5}
            width={pitch - 0.7}
            height={open ? 10.5 : 7}
            rx={0.8}
            fill={open ? 'var(--thaw-fill)' : 'var(--ice-fill)'}
            stroke={open ? 'var(--thaw)' : 'var(--ice)'}
            strokeWidth={0.8}
          />
        ))
      ) : (
        <>
          <g transform="translate(9 8) scale(.875)" color="var(--ink-2)">
            <path d={shape} fill="none" stroke="currentColor" strokeWidth={1.5} strokeLinecap="round" strokeLinejoin="round" />
          </g>
          <rect x={28} y={10} width={line} height={3} rx={1.5} fill="var(--line-strong)" />
          <rect x={28} y={17} width={line * 0.7} height={3} rx={1.5} fill="var(--active)" />
        </>
      )}
    </g>
  )
}
