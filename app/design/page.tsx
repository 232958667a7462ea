import { notFound } from 'next/navigation'
import { DesignPage } from './design-page'
import { shown } from './shown'

export const metadata = { title: 'Components' }

/** Every component in every state, for people who build Thaw. Not part of the product. */
export default function Page() {
  if (!shown()) notFound()
  return <DesignPage />
}
