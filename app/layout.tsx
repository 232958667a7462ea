import './globals.css'
import type { Metadata, Viewport } from 'next'
import { cookies, headers } from 'next/headers'
import type { ReactNode } from 'react'
import { Providers } from './providers'
import { THEME_COOKIE, themeOf } from './ui/theme-cookie'

export const metadata: Metadata = {
  title: { default: 'Thaw', template: '%s · Thaw' },
  description: 'Fine-tune a model on your documents.',
  icons: { icon: '/mark.svg' },
}

export const viewport: Viewport = {
  width: 'device-width',
  initialScale: 1,
  themeColor: [
    { media: '(prefers-color-scheme: light)', color: '#ffffff' },
    { media: '(prefers-color-scheme: dark)', color: '#161b21' },
  ],
}

/** The theme comes from a cookie while the page is rendered: no flash, and no inline script for the CSP to except. */
export default async function Layout({ children }: { children: ReactNode }) {
  const theme = themeOf((await cookies()).get(THEME_COOKIE)?.value)
  const nonce = (await headers()).get('x-nonce')
  return (
    <html lang="en" data-theme={theme} suppressHydrationWarning>
      <body>
        <Providers nonce={nonce}>{children}</Providers>
      </body>
    </html>
  )
}
