import { isId } from '../../is-id'
import { MOST_RUNS } from '../compare'
import { ComparePage } from '../compare-page'

export const metadata = { title: 'Compare runs' }

export default async function Page({ searchParams }: { searchParams: Promise<{ ids?: string | string[] }> }) {
  const { ids = '' } = await searchParams
  const asked = (Array.isArray(ids) ? ids.join(',') : ids).split(',').filter(isId)
  return <ComparePage asked={[...new Set(asked)].slice(0, MOST_RUNS)} />
}
