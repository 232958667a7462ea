import { RunPage } from '../run-page'

export const metadata = { title: 'Run' }

export default async function Page({ params }: { params: Promise<{ id: string }> }) {
  const { id } = await params
  return <RunPage id={id} />
}
