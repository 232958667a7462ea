import type { Metadata } from 'next'
import { notFound } from 'next/navigation'
import { isId } from '../../is-id'
import { Opening } from './opening'

export const metadata: Metadata = { title: 'Pipeline' }

export default async function Page({
  params,
  searchParams,
}: {
  params: Promise<{ id: string }>
  searchParams: Promise<Record<string, unknown>>
}) {
  const [{ id }, query] = await Promise.all([params, searchParams])
  if (!isId(id)) notFound()
  return <Opening id={id} fresh={query.fresh !== undefined} />
}
