import { notFound } from 'next/navigation'
import { isId } from '../../is-id'
import { RunPage } from '../run-page'

export const metadata = { title: 'Run' }

export default async function Page({ params }: { params: Promise<{ id: string }> }) {
  const { id } = await params
  if (!isId(id)) notFound()
  return <RunPage id={id} />
}
