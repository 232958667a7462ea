import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const css = readFileSync(new URL('../../../app/ui/tokens.css', import.meta.url), 'utf8')
const darkStart = css.indexOf('@variant theme-dark')
const darkEnd = css.indexOf('}', darkStart)
const hexes = (text: string) =>
  Object.fromEntries([...text.matchAll(/--([\w-]+):\s*(#[0-9a-f]{6})/gi)].map((m) => [m[1], m[2]])) as Record<string, string>
const light = hexes(css.slice(0, darkStart))
const dark = hexes(css.slice(darkStart, darkEnd))

/** WCAG 2.2 relative luminance and contrast. */
function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5].map((i) => {
    const c = Number.parseInt(hex.slice(i, i + 2), 16) / 255
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
  }) as [number, number, number]
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}
function contrast(a: string, b: string): number {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number]
  return (high + 0.05) / (low + 0.05)
}

const SURFACES = ['ground', 'surface', 'sunken']
const KINDS = ['model', 'dataset', 'plan', 'metrics', 'report', 'file']
/** Text on what it is drawn on: 4.5:1. */
const TEXT: [string, string][] = [
  ...['ink', 'ink-2', 'ink-3', 'ice-text', 'thaw-text', 'ok', 'bad', 'warn'].flatMap((t) => SURFACES.map((s): [string, string] => [t, s])),
  ...['ink', 'ink-2', 'ink-3'].flatMap((t): [string, string][] => [[t, 'hover']]),
  ...['ink', 'ink-2'].map((t): [string, string] => [t, 'active']),
  ['on-ink', 'ink'],
  ['on-ink', 'ink-2'],
  ['on-ink', 'ink-3'],
  ['ice-text', 'ice-wash'],
  ['thaw-text', 'thaw-wash'],
  ['ok', 'ok-wash'],
  ['bad', 'bad-wash'],
  ['warn', 'warn-wash'],
  ['ink', 'dataset-wash'],
  ['ink', 'model-wash'],
  ['ink-2', 'bad-wash'],
  ['ink-2', 'warn-wash'],
]
/** Ports, wires, marks, input borders, run lines, the edges of the pair: 3:1. */
const MARKS: [string, string][] = [
  ...[...KINDS, 'ice', 'thaw', 'line-control', 'run-1', 'run-2', 'run-3', 'run-4', 'run-5', 'run-6'].flatMap((m) =>
    SURFACES.map((s): [string, string] => [m, s]),
  ),
]

describe('tokens', () => {
  it('D-15: both themes name the same colours', () => {
    expect(Object.keys(light).length).toBeGreaterThan(40)
    expect(Object.keys(dark).sort()).toEqual(Object.keys(light).sort())
  })

  for (const [name, theme] of [
    ['light', light],
    ['dark', dark],
  ] as const) {
    it(`D-15: every text pair has 4.5:1 in ${name}`, () => {
      const low = TEXT.map(([a, b]) => [a, b, contrast(theme[a] ?? '#000000', theme[b] ?? '#000000')] as const).filter(([, , c]) => c < 4.5)
      expect(low).toEqual([])
    })
    it(`D-15: every mark has 3:1 in ${name}`, () => {
      const low = MARKS.map(([a, b]) => [a, b, contrast(theme[a] ?? '#000000', theme[b] ?? '#000000')] as const).filter(([, , c]) => c < 3)
      expect(low).toEqual([])
    })
  }

  it('D-11: failure is redder and cooler than thaw, in both themes', () => {
    const hue = (hex: string) => {
      const [r, g, b] = [1, 3, 5].map((i) => Number.parseInt(hex.slice(i, i + 2), 16)) as [number, number, number]
      return (Math.atan2(Math.sqrt(3) * (g - b), 2 * r - g - b) * 180) / Math.PI
    }
    for (const theme of [light, dark]) expect(hue(theme.thaw ?? '') - hue(theme.bad ?? '')).toBeGreaterThan(25)
  })
})
