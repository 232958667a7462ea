import { ICONS, type IconName } from '../icons'

export type { IconName } from '../icons'

const isIcon = (name: string): name is IconName => name in ICONS

/**
 * One icon, drawn in the colour of its text. Without `label` it is decoration and hidden from screen readers; with one it is an image.
 * Node types name their icon as a string: an unknown name draws the question mark, so that a foreign node never breaks a view.
 */
export function Icon({
  name,
  size,
  label,
  className,
}: {
  name: IconName | (string & {})
  size?: 12 | 14
  label?: string
  className?: string
}) {
  const shape = isIcon(name) ? name : 'question'
  const classes = ['ic', size === 12 && 's12', size === 14 && 's14', className].filter(Boolean).join(' ')
  const path = (
    <path
      d={ICONS[shape]}
      fill="none"
      stroke="currentColor"
      strokeWidth={shape === 'more' ? 2 : 1.4}
      strokeLinecap="round"
      strokeLinejoin="round"
    />
  )
  if (label === undefined) {
    return (
      <svg className={classes} viewBox="0 0 16 16" aria-hidden="true">
        {path}
      </svg>
    )
  }
  return (
    <svg className={classes} viewBox="0 0 16 16" role="img" aria-label={label}>
      {path}
    </svg>
  )
}

/** The logo: three thawed blocks over a frozen stem. */
export function Mark({ size = 22 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 16 16" aria-hidden="true">
      <g fill="var(--thaw-fill)">
        <rect x="1" y="1.5" width="4.2" height="4.2" rx=".9" />
        <rect x="5.9" y="1.5" width="4.2" height="4.2" rx=".9" />
        <rect x="10.8" y="1.5" width="4.2" height="4.2" rx=".9" />
      </g>
      <g fill="var(--ice-fill)" stroke="var(--ice)" strokeWidth=".9">
        <rect x="6.35" y="6.85" width="3.3" height="3.3" rx=".7" />
        <rect x="6.35" y="11.25" width="3.3" height="3.3" rx=".7" />
      </g>
    </svg>
  )
}
