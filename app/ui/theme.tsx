'use client'
import { useEffect, useSyncExternalStore } from 'react'
import { IconButton } from './button'
import { THEME_COOKIE, type Theme } from './theme-cookie'

/*
 * The choice lives in a cookie, which the server reads while it renders <html>: the first paint has the right colours without any inline
 * script, so the strict CSP needs no exception. Without a choice the media query in tokens.css follows the system.
 */
const listeners = new Set<() => void>()
const channel = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel('thaw-theme')

const isDark = () =>
  document.documentElement.dataset.theme === 'dark' ||
  (document.documentElement.dataset.theme !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches)

function apply(theme: Theme) {
  document.documentElement.dataset.theme = theme
  for (const listener of listeners) listener()
}

function subscribe(listener: () => void) {
  listeners.add(listener)
  const media = matchMedia('(prefers-color-scheme: dark)')
  media.addEventListener('change', listener)
  return () => {
    listeners.delete(listener)
    media.removeEventListener('change', listener)
  }
}

/** Choose a theme, in this tab and in all others. */
export function setTheme(theme: Theme) {
  // biome-ignore lint/suspicious/noDocumentCookie: the Cookie Store API is missing in Firefox and Safari
  document.cookie = `${THEME_COOKIE}=${theme}; Path=/; Max-Age=31536000; SameSite=Strict`
  apply(theme)
  channel?.postMessage(theme)
}

/** The theme in force, for canvas charts that must redraw (D-41). 'light' on the server. */
export const useTheme = (): Theme => (useSyncExternalStore(subscribe, isDark, () => false) ? 'dark' : 'light')

export function ThemeSwitch() {
  const theme = useTheme()
  useEffect(() => {
    if (!channel) return
    const take = (event: MessageEvent<Theme>) => apply(event.data)
    channel.addEventListener('message', take)
    return () => channel.removeEventListener('message', take)
  }, [])
  return <IconButton icon="theme" label="Switch theme" onClick={() => setTheme(theme === 'dark' ? 'light' : 'dark')} />
}
