/**
 * Numbers as people read them (D-17, D-48): thin groups, units, a true minus sign in differences. Pure.
 * A figure space or a locale is deliberately not used: the interface is English and a comma groups thousands.
 */
export const count = (n: number): string => Math.round(n).toLocaleString('en-US')

const MINUS = '\u2212'
const signed = (text: string, n: number) => (n > 0 ? `+${text}` : n < 0 ? `${MINUS}${text}` : text)

/** 1,234,567 → "1.2 M"; below ten thousand exact. */
export function short(n: number): string {
  const abs = Math.abs(n)
  for (const [size, unit] of [
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
    [1e4, 'k'],
  ] as const) {
    if (abs >= size) {
      const value = n / (unit === 'k' ? 1e3 : size)
      return `${value.toFixed(Math.abs(value) < 100 ? 1 : 0)} ${unit}`
    }
  }
  return count(n)
}

/** Bytes in powers of ten, as disks and downloads count them. */
export function bytes(n: number): string {
  if (n < 1000) return `${n} B`
  for (const [size, unit] of [
    [1e9, 'GB'],
    [1e6, 'MB'],
    [1e3, 'kB'],
  ] as const) {
    if (n >= size) {
      const value = n / size
      return `${value.toFixed(value < 10 && unit !== 'kB' ? 1 : 0)} ${unit}`
    }
  }
  return `${n} B`
}

/** A measured time: "0.2 s", "48 s", "2 min 04 s", "1 h 12 min". */
export function duration(seconds: number): string {
  if (seconds < 0.05) return 'under 0.1 s'
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`
  const minutes = Math.round(whole / 60)
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`
}

/** Time that is still passing, in whole seconds. */
export const elapsed = (seconds: number): string => (seconds < 60 ? `${Math.max(0, Math.floor(seconds))} s` : duration(Math.floor(seconds)))

/** An estimate, rounded and called one: "about 2 min". */
export function about(seconds: number): string {
  if (seconds < 5) return 'a few seconds'
  if (seconds < 55) return `about ${Math.round(seconds / 5) * 5} s`
  if (seconds < 3300) return `about ${Math.max(1, Math.round(seconds / 60))} min`
  const halves = Math.round(seconds / 1800) / 2
  return `about ${halves} h`
}

/** Time left: "about 45 s left"; below five seconds "a moment" (D-48). */
export const left = (seconds: number): string => (seconds < 5 ? 'a moment left' : `${about(seconds)} left`)

/** A loss or a rate: three significant digits, powers of ten only where a fixed number would be unreadable. */
export function figure(n: number): string {
  if (!Number.isFinite(n)) return Number.isNaN(n) ? 'not a number' : n > 0 ? 'infinite' : `${MINUS}infinite`
  const abs = Math.abs(n)
  if (abs === 0) return '0'
  if (abs >= 10000) return short(n)
  if (abs < 0.001) {
    const [mantissa = '0', exponent = '0'] = abs.toExponential(2).split('e')
    return `${n < 0 ? MINUS : ''}${Number(mantissa)}e${exponent.replace('-', '-').replace('+', '')}`
  }
  const digits = abs >= 100 ? 0 : abs >= 10 ? 1 : abs >= 1 ? 2 : 3
  return `${n < 0 ? MINUS : ''}${abs.toFixed(digits)}`
}

/** A value on an axis: as short as its grid line allows, "0.5" and not "0.500". */
export function tick(n: number): string {
  const abs = Math.abs(n)
  if (abs === 0) return '0'
  if (abs < 0.001 || abs >= 10000) return figure(n).replace(/\.0(?= )/, '')
  return `${n < 0 ? MINUS : ''}${Number(abs.toPrecision(3))}`
}

/** A difference with its sign. */
export function delta(n: number, digits = 2): string {
  const text = Math.abs(n).toFixed(digits)
  return Number(text) === 0 ? Number(0).toFixed(digits) : signed(text, n)
}

export const percent = (share: number, digits = 0): string => `${(share * 100).toFixed(digits)} %`

/** "12:04" today, "9 Oct" this year, "9 Oct 2026" before. */
export function when(at: Date, now: Date = new Date()): string {
  if (at.toDateString() === now.toDateString()) return at.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' })
  return at.toLocaleDateString('en-GB', {
    day: 'numeric',
    month: 'short',
    ...(at.getFullYear() !== now.getFullYear() && { year: 'numeric' }),
  })
}

/** Long file names lose their middle, never their end (D-34). */
export function middle(name: string, max = 28): string {
  if (name.length <= max) return name
  const tail = Math.floor((max - 1) / 2)
  return `${name.slice(0, max - 1 - tail)}…${name.slice(name.length - tail)}`
}

export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`
