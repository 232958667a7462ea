import { notFound } from 'next/navigation'
import { isId } from '../../../is-id'
import { SweepPage } from '../../sweep-page'

export const metadata = { title: 'Sweep' }

export default async function Page({ params }: { params: Promise<{ id: string }> }) {
  const { id } = await params
  if (!isId(id)) notFound()
  return <SweepPage id={id} />
}
