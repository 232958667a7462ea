import type { Metadata } from 'next'
import { Gallery } from './gallery'

export const metadata: Metadata = { title: 'Templates' }

export default function Page() {
  return <Gallery />
}
