/** The same row about somebody else (SCI-107): names, pronouns, nationality of companies swapped both ways, consistently within a row. */
import type { CanonicalRow, Message } from '../rows'

export const SWAP_TABLES = ['pronouns', 'names', 'companies'] as const
export type SwapTable = (typeof SWAP_TABLES)[number]

/** First names of about equal frequency, a woman's and a man's. */
const NAMES =
  'Mary John|Anna Paul|Emma Noah|Sarah David|Laura Daniel|Julia Thomas|Maria Peter|Sophie Lucas|Alice Henry|Emily James|Susan Robert|Linda Michael|' +
  'Karen Mark|Nancy George|Helen Frank|Olivia William|Grace Oliver|Clara Simon|Jane Richard|Kate Andrew|Fatima Ahmed|Aisha Omar|Priya Arjun|Yuki Hiro|' +
  'Elena Marco|Ingrid Lars|Olga Ivan|Carmen Carlos|Rosa Pedro|Chloe Louis'
const PRONOUNS =
  'she he|herself himself|woman man|women men|girl boy|girls boys|mother father|mothers fathers|daughter son|daughters sons|sister brother|' +
  'sisters brothers|wife husband|wives husbands|aunt uncle|niece nephew|queen king|lady gentleman|ladies gentlemen|mrs mr|madam sir|female male|' +
  'actress actor|waitress waiter|hostess host|businesswoman businessman|chairwoman chairman|spokeswoman spokesman'
const COMPANIES =
  'German French|Germany France|Berlin Paris|Munich Lyon|American British|America Britain|Italian Spanish|Italy Spain|Milan Madrid|Chinese Indian|' +
  'China India|Beijing Mumbai|Swedish Danish|Sweden Denmark|Polish Turkish|Poland Turkey|GmbH SARL|Inc Ltd|Kenyan Nigerian|Kenya Nigeria'

const both = (list: string): Map<string, string> =>
  new Map(
    list.split('|').flatMap((pair) => {
      const [a = '', b = ''] = pair.split(' ')
      return [
        [a, b],
        [b, a],
      ] as [string, string][]
    }),
  )
const TABLES: Record<SwapTable, { words: Map<string, string>; exact: boolean }> = {
  pronouns: { words: both(PRONOUNS), exact: false },
  // Capitals tell a name from a word: Mark and mark, Turkey and turkey.
  names: { words: both(NAMES), exact: true },
  companies: { words: both(COMPANIES), exact: true },
}

/** Facts about these people would become false; rows that name one are left alone. */
const REAL =
  /\b(?:Barack Obama|Angela Merkel|George Washington|Abraham Lincoln|Marie Curie|Albert Einstein|Isaac Newton|Charles Darwin|Ada Lovelace|Alan Turing|William Shakespeare|Jane Austen|Queen Elizabeth|Queen Victoria|King Charles|Winston Churchill|Margaret Thatcher|Mahatma Gandhi|Nelson Mandela|Martin Luther King|Joan of Arc|Julius Caesar|Cleopatra|Napoleon|Mozart|Beethoven|Leonardo da Vinci|Michelangelo|Florence Nightingale|Rosa Parks|Jesus|Muhammad|Donald Trump|Joe Biden|Hillary Clinton|Bill Gates|Steve Jobs|Elon Musk)\b/

/** Words behind which "her" is the object of the sentence (him) and not a possessive (his); so is the end of a clause. */
const NOT_OWNED = new Set(
  'a about after again alone always an and as at away back because before but by down during every for from home how if in into is it just later like never not now of off on or out over she he since so soon than that the their then there they this through to today together tomorrow too under until up very was well were what when where which while who why will with without yesterday'.split(
    ' ',
  ),
)

const cased = (like: string, word: string): string =>
  like === like.toUpperCase() && like.length > 1
    ? word.toUpperCase()
    : like[0] === like[0]?.toUpperCase()
      ? `${word[0]?.toUpperCase()}${word.slice(1)}`
      : word

/** One pass over a text. */
function swapOnce(text: string, tables: readonly SwapTable[]): { text: string; swaps: number } {
  let swaps = 0
  const out = text.replace(/[\p{L}]+/gu, (word, at: number) => {
    const lower = word.toLowerCase()
    if (tables.includes('pronouns')) {
      const next = /^(?:\s+)([\p{L}\p{N}]+)/u.exec(text.slice(at + word.length))?.[1]?.toLowerCase()
      const owns = next !== undefined && !NOT_OWNED.has(next)
      const to =
        lower === 'her'
          ? owns
            ? 'his'
            : 'him'
          : lower === 'his'
            ? owns
              ? 'her'
              : 'hers'
            : lower === 'hers'
              ? 'his'
              : lower === 'him'
                ? 'her'
                : null
      if (to !== null) {
        swaps++
        return cased(word, to)
      }
    }
    for (const name of tables) {
      const { words, exact } = TABLES[name]
      const other = words.get(exact ? word : lower)
      if (other === undefined) continue
      swaps++
      return exact ? other : cased(word, other)
    }
    return word
  })
  return { text: out, swaps }
}

export type Swapped = { text: string; swaps: number; safe: boolean }

/** Swapped text; `safe` only where swapping it again gives the text back (SCI-110), so that nothing changed its meaning on the way. */
export function swapText(text: string, tables: readonly SwapTable[]): Swapped {
  const once = swapOnce(text, tables)
  return { ...once, safe: !REAL.test(text) && swapOnce(once.text, tables).text === text }
}

/** The swapped row with an id of its own, `none` where there is nothing to swap, `unsafe` where it cannot be done without harm. */
export function swapRow(row: CanonicalRow, tables: readonly SwapTable[]): { row: CanonicalRow; swaps: number } | 'none' | 'unsafe' {
  let swaps = 0
  let safe = true
  const swap = (text: string): string => {
    const out = swapText(text, tables)
    swaps += out.swaps
    safe &&= out.safe
    return out.text
  }
  const out: CanonicalRow = { ...row, id: `${row.id}-swapped`, columns: { ...row.columns, swapped_from: row.id } }
  for (const name of ['messages', 'prompt', 'completion', 'chosen', 'rejected', 'text']) {
    const value = row[name]
    if (typeof value === 'string') out[name] = swap(value)
    else if (Array.isArray(value))
      out[name] = (value as Message[]).map((turn) =>
        typeof turn?.content === 'string' && turn.role !== 'system' ? { ...turn, content: swap(turn.content) } : turn,
      )
  }
  return swaps === 0 ? 'none' : safe ? { row: out, swaps } : 'unsafe'
}
