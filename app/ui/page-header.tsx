/** The bar at the top of a page, with the way home. The editor's own bar has more in it, see `canvas/top-bar.tsx`. */
import Link from 'next/link'
import type { ReactNode } from 'react'
import { Mark } from './icon'

export function PageHeader({ children }: { children?: ReactNode }) {
  return (
    <header className="topbar">
      <Link href="/" className="home" aria-label="Home">
        <Mark />
      </Link>
      {children}
    </header>
  )
}
