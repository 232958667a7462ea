export const THEME_COOKIE = 'thaw_theme'
export type Theme = 'light' | 'dark'

/** What a cookie value means; anything unknown means "follow the system". */
export const themeOf = (value: string | undefined): Theme | undefined => (value === 'light' || value === 'dark' ? value : undefined)
