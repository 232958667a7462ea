import type { ReactElement } from 'react'
import type { PortKind } from '../../nodes/_kit/ports'

/** Every kind has its own shape and its own colour (UX-18); the drawings fill 12 × 12 and are centred on 6, 6. */
const SHAPES: Record<PortKind, ReactElement> = {
  model: <circle cx="6" cy="6" r="5" />,
  dataset: <rect x="1.25" y="1.25" width="9.5" height="9.5" rx=".75" />,
  plan: <rect x=".25" y="3.25" width="11.5" height="5.5" rx="1" />,
  metrics: <path d="M6 .9 11.4 10.6H.6z" />,
  report: <path d="M6 .6 11.4 4.7 9.3 11H2.7L.6 4.7z" />,
  file: <path d="M6 .3 11.7 6 6 11.7.3 6z" />,
}

/** The mark of a port kind. Decoration unless `label` is given: words stand beside it wherever a person must tell kinds apart. */
export function PortMark({
  kind,
  size = 12,
  hollow = false,
  label,
  className,
}: {
  kind: PortKind
  size?: number
  hollow?: boolean
  label?: string
  className?: string
}) {
  const classes = ['pm', `p-${kind}`, hollow && 'hollow', className].filter(Boolean).join(' ')
  return label === undefined ? (
    <svg className={classes} width={size} height={size} viewBox="0 0 12 12" aria-hidden="true">
      {SHAPES[kind]}
    </svg>
  ) : (
    <svg className={classes} width={size} height={size} viewBox="0 0 12 12" role="img" aria-label={label}>
      {SHAPES[kind]}
    </svg>
  )
}
