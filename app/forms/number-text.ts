/** Numbers as people type and read them in fields (D-17): `3e-4`, `10,344`, `0.25`. */

/** Reads what was typed; thin spaces and grouping commas are fine, anything else is not a number. */
export function parseNumber(typed: string): number | null {
  const plain = typed
    .trim()
    .replaceAll(/[\s\u2009\u202f]/g, '')
    .replaceAll('−', '-')
  // A comma groups thousands (10,344); where it cannot, as in 0,5, the text is refused rather than read as 5.
  const grouped = /^-?\d{1,3}(,\d{3})+(\.\d+)?$/.test(plain) ? plain.replaceAll(',', '') : plain
  if (!/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(grouped)) return null
  const value = Number(grouped)
  return Number.isFinite(value) ? value : null
}

/** Short and exact: what is shown parses back to the same number. */
export function numberText(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  const size = Math.abs(value)
  if (size !== 0 && (size < 0.01 || size >= 1e9)) {
    const [digits, exponent] = value.toExponential().split('e') as [string, string]
    return `${digits}e${Number(exponent)}`
  }
  return Number.isInteger(value) && size >= 10_000 ? value.toLocaleString('en-US') : String(value)
}

/** Where a value lies on a slider, 0…1, and back. On a log scale equal ways are equal factors. */
export function toSlider(value: number, min: number, max: number, scale: 'linear' | 'log'): number {
  const at = scale === 'log' ? Math.log(value / min) / Math.log(max / min) : (value - min) / (max - min)
  return Math.min(1, Math.max(0, Number.isFinite(at) ? at : 0))
}

export function fromSlider(at: number, min: number, max: number, scale: 'linear' | 'log', step?: number): number {
  if (scale === 'log') {
    const raw = min * (max / min) ** at
    // Two significant digits, the first of them 1…9 and the second 0 or 5: 1e-4, 1.5e-4, 2e-4 … as people choose rates.
    const unit = 10 ** Math.floor(Math.log10(raw))
    const rounded = Number((Math.round((raw / unit) * 2) / 2).toFixed(1)) * unit
    return Math.min(max, Math.max(min, Number(rounded.toPrecision(3))))
  }
  const raw = min + at * (max - min)
  const stepped = step ? min + Math.round((raw - min) / step) * step : raw
  return Math.min(max, Math.max(min, Number(stepped.toPrecision(12))))
}
