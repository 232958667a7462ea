/**
 * A JSON scanner that builds nothing. `JSON.parse` is fast and says little: it gives no line, and its depth has no bound. This tells
 * depth and the places of the elements before parsing, and afterwards where and why a text is no JSON.
 */

export type JsonFault = { offset: number; reason: string }

/** Deepest level, and where the elements of the outermost array start. Assumes nothing about validity. */
export function surveyJson(text: string, limit: number): { tooDeep: number | null; elements: number[] } {
  const elements: number[] = []
  let depth = 0
  let fresh = false
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09) continue
    if (fresh && depth === 1 && c !== 0x5d) {
      elements.push(i)
      fresh = false
    }
    if (c === 0x22) {
      for (i++; i < text.length; i++) {
        const s = text.charCodeAt(i)
        if (s === 0x5c) i++
        else if (s === 0x22) break
      }
    } else if (c === 0x5b || c === 0x7b) {
      depth++
      if (depth > limit) return { tooDeep: i, elements }
      if (depth === 1) fresh = true
    } else if (c === 0x5d || c === 0x7d) depth--
    else if (c === 0x2c && depth === 1) fresh = true
  }
  return { tooDeep: null, elements }
}

/** Where and why `text` is no JSON value; null when it is one. Iterative, so that no input can exhaust the stack. */
export function explainJson(text: string): JsonFault | null {
  let i = 0
  const stack: ('{' | '[')[] = []
  const space = () => {
    while (i < text.length && ' \n\r\t'.includes(text[i] as string)) i++
  }
  const at = (reason: string, offset = i): JsonFault => ({ offset, reason })
  const cut = () => at('invalid JSON (cut off): the text ends too early', text.length)

  const string = (): JsonFault | null => {
    const start = i++
    for (; i < text.length; i++) {
      const c = text.charCodeAt(i)
      if (c === 0x22) {
        i++
        return null
      }
      if (c < 0x20)
        return at(
          c === 0
            ? 'invalid JSON: a raw NUL inside a string'
            : c === 0x0a
              ? 'invalid JSON: a string that never closes on its line'
              : `invalid JSON: a raw control character (U+${c.toString(16).padStart(4, '0').toUpperCase()}) inside a string`,
        )
      if (c === 0x5c) {
        const e = text[++i]
        if (e === undefined) break
        if (e === 'u') {
          if (!/^[0-9a-fA-F]{4}$/.test(text.slice(i + 1, i + 5))) return at('invalid JSON: \\u needs four hex digits', i - 1)
          i += 4
        } else if (!'"\\/bfnrt'.includes(e)) return at(`invalid JSON: \\${e} is no escape`, i - 1)
      }
    }
    return at('invalid JSON (cut off): a string that never closes', start)
  }

  const scalar = (): JsonFault | null => {
    const c = text[i]
    if (c === undefined) return cut()
    if (c === '"') return string()
    const word = /^(?:true|false|null)(?![A-Za-z0-9_])/.exec(text.slice(i, i + 6))?.[0]
    if (word) {
      i += word.length
      return null
    }
    const number = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/.exec(text.slice(i, i + 400))?.[0]
    if (number) {
      i += number.length
      return null
    }
    if (/^(?:NaN|-?Infinity)/.test(text.slice(i, i + 10))) return at('invalid JSON: NaN and Infinity are no JSON numbers')
    if (c === "'") return at('invalid JSON: strings take double quotes')
    return at(`invalid JSON: unexpected ${JSON.stringify(c)}`)
  }

  /** Reads a key and its colon. */
  const key = (): JsonFault | null => {
    space()
    if (i >= text.length) return cut()
    if (text[i] !== '"') return at(text[i] === '}' ? 'invalid JSON (trailing comma)' : 'invalid JSON: a key in double quotes expected')
    const wrong = string()
    if (wrong) return wrong
    space()
    if (i >= text.length) return cut()
    if (text[i] !== ':') return at('invalid JSON: a colon expected after the key')
    i++
    return null
  }

  space()
  if (i >= text.length) return at('empty: a JSON value expected')
  for (;;) {
    // A value is expected here.
    space()
    const c = text[i]
    let wrong: JsonFault | null = null
    if (c === '{' || c === '[') {
      i++
      space()
      if (text[i] === (c === '{' ? '}' : ']')) i++
      else {
        stack.push(c)
        if (c === '{') wrong = key()
        if (wrong) return wrong
        continue
      }
    } else {
      if (c === ']' && stack.at(-1) === '[') return at('invalid JSON (trailing comma)')
      wrong = scalar()
      if (wrong) return wrong
    }
    // A value ended: close what closes, or go on after a comma.
    for (;;) {
      space()
      const top = stack.at(-1)
      if (!top) {
        if (i >= text.length) return null
        return at(
          '{["-0123456789tfn'.includes(text[i] as string)
            ? 'two JSON values in one place: a line break or comma is missing'
            : text[i] === ','
              ? 'invalid JSON (trailing comma)'
              : `invalid JSON: unexpected ${JSON.stringify(text[i])} after the value`,
        )
      }
      if (i >= text.length) return cut()
      if (text[i] === ',') {
        i++
        if (top === '{') {
          const bad = key()
          if (bad) return bad
        }
        break
      }
      if (text[i] === (top === '{' ? '}' : ']')) {
        i++
        stack.pop()
        continue
      }
      return at(`invalid JSON: a comma or ${top === '{' ? '}' : ']'} expected, not ${JSON.stringify(text[i])}`)
    }
  }
}

/** 1-based line and column of an offset; only LF ends a line. */
export function placeOf(text: string, offset: number): { line: number; column: number } {
  let line = 1
  let start = 0
  for (let i = text.indexOf('\n'); i >= 0 && i < offset; i = text.indexOf('\n', i + 1)) {
    line++
    start = i + 1
  }
  return { line, column: offset - start + 1 }
}
