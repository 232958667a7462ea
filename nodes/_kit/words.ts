/** How numbers are said to people, the same on card, form, log and model card. */

/** `134_515_008` → "134.5 M". */
export function countWords(n: number): string {
  if (n < 10_000) return n.toLocaleString('en-US')
  if (n < 1e6) return `${trim(n / 1e3)} k`
  if (n < 1e9) return `${trim(n / 1e6)} M`
  return `${trim(n / 1e9)} B`
}

/** Decimal units, as file managers and the plan's summary use them. */
export function byteWords(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`
  if (bytes < 1e6) return `${trim(bytes / 1e3)} kB`
  if (bytes < 1e9) return `${trim(bytes / 1e6)} MB`
  return `${trim(bytes / 1e9)} GB`
}

export const percentWords = (share: number): string => {
  const percent = share * 100
  if (percent > 0 && percent < 1) return '< 1 %'
  if (percent < 100 && percent > 99) return '> 99 %'
  return `${Math.round(percent)} %`
}

/** `0.0005` → "5e-4", `0.25` → "0.25". */
export const rateWords = (rate: number): string => (rate !== 0 && rate < 0.01 ? rate.toExponential().replace('e-0', 'e-') : String(rate))

/** `[0, 1, 2, 7]` → "0–2, 7". */
export function rangeWords(numbers: readonly number[]): string {
  const sorted = [...new Set(numbers)].sort((a, b) => a - b)
  const parts: string[] = []
  for (let i = 0; i < sorted.length; ) {
    let j = i
    while (sorted[j + 1] === (sorted[j] ?? 0) + 1) j++
    parts.push(i === j ? `${sorted[i]}` : `${sorted[i]}–${sorted[j]}`)
    i = j + 1
  }
  return parts.join(', ')
}

export const plural = (n: number, one: string, many = `${one}s`): string => `${n.toLocaleString('en-US')} ${n === 1 ? one : many}`

const trim = (n: number) => (n >= 100 ? Math.round(n).toString() : n.toFixed(1).replace(/\.0$/, ''))
