/**
 * Patterns over parameter names. They match the whole name (SCI-24): `model.layers.1` never opens blocks 10–19.
 * `*` any run of characters, `?` one character, `{a,b}` either, `{20..29}` each number. No regular expressions: those are matched
 * from the front only by half the tools, and a hostile one can hang the page.
 */

/** Names from braces; at most `limit` of them, so that a pattern cannot grow without bound. */
export function expandBraces(pattern: string, limit = 4096): string[] {
  const open = pattern.indexOf('{')
  const close = pattern.indexOf('}', open)
  if (open < 0 || close < 0) return [pattern]
  const head = pattern.slice(0, open)
  const body = pattern.slice(open + 1, close)
  const span = /^(\d{1,6})\.\.(\d{1,6})$/.exec(body)
  const choices = span ? numbersBetween(Number(span[1]), Number(span[2]), limit) : body.split(',')
  const tails = expandBraces(pattern.slice(close + 1), limit)
  const out: string[] = []
  for (const choice of choices)
    for (const tail of tails) {
      if (out.length >= limit) return out
      out.push(head + choice + tail)
    }
  return out
}

const numbersBetween = (from: number, to: number, limit: number): string[] =>
  Array.from({ length: Math.max(0, Math.min(limit, to - from + 1)) }, (_, i) => String(from + i))

/** Two-pointer wildcard match over the whole name: at worst length of pattern times length of name. */
function matchesOne(pattern: string, name: string): boolean {
  let p = 0
  let n = 0
  let star = -1
  let mark = 0
  while (n < name.length) {
    if (pattern[p] === '*') {
      star = p++
      mark = n
    } else if (pattern[p] === '?' || pattern[p] === name[n]) {
      p++
      n++
    } else if (star >= 0) {
      p = star + 1
      n = ++mark
    } else return false
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}

/** Whether `name`, as a whole, is what `pattern` describes. */
export const matchesPattern = (pattern: string, name: string): boolean => expandBraces(pattern).some((p) => matchesOne(p, name))
