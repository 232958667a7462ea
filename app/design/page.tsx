import { notFound } from 'next/navigation'
import { DesignPage } from './design-page'

export const metadata = { title: 'Components' }

/** Every component in every state, for people who build Thaw. Not part of the product. */
export default function Page() {
  // biome-ignore lint/style/noProcessEnv: decides at build and start whether this page exists at all; server/env.ts serves the product
  if (process.env.NODE_ENV !== 'development' && process.env.THAW_DESIGN !== '1') notFound()
  return <DesignPage />
}
