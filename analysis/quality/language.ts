/** The language of a text, from its script and its commonest short words; for finding the rows that are in another one than the rest. */
import { wordsOf } from './words'

/** The words that every text of a language has, and few others: own lists, thirty or so a language. */
const COMMON: Record<string, string> = {
  English: 'the and of to in is that for it with as was on are this be by at from or which an have not you they we shall has will what how',
  German:
    'der die und das ist nicht ein eine zu den von mit sich des auf für im dem auch es an werden aus er hat dass sie nach wird bei einer wie',
  French: 'le la les des et est une du pour que dans qui sur au pas par ce il avec plus sont cette se aux ne ou comme vous nous être été',
  Spanish:
    'el los las que en una del por con para es se no al como más su pero sus fue este lo son entre está cuando muy sin sobre también',
  Italian: 'il che di è per un non una della sono con del si nel le gli alla dei come più anche ma lo dal delle questo ha nella essere',
  Portuguese: 'o que os não uma em um para com do da é no na por mais as dos como mas foi ao das tem seu sua ou ser quando muito são',
  Dutch: 'de het een van en is dat op te zijn met voor niet aan er om ook als maar bij door wordt naar uit heeft deze dit nog wel kan',
  Swedish: 'och att det som en på är av för med den till inte om ett han var jag de från har vi så men kan ska eller',
  Danish: 'og at det som en på er af for med den til ikke om et han var jeg de fra har vi så men kan skal eller blev hvad',
  Polish: 'i w na nie się z do to że jest jak o co za po od dla jego są przez ale czy był oraz który może tak przy tym',
  Czech: 'a v se na je že to s z do o jako ale za by pro jsou nebo podle který není při až kteří mezi také být již po',
  Turkish: 've bir bu için ile olarak da de çok daha gibi olan ne kadar en sonra ama değil var her o ise ya mi',
  Finnish: 'ja on ei se että oli hän mutta ovat joka kun niin tai sen mitä vain myös kuin jos ole olla voi sitä',
}
const LISTS = Object.entries(COMMON).map(([name, words]) => [name, new Set(words.split(' '))] as const)

const SCRIPTS: readonly (readonly [string, RegExp])[] = [
  ['Japanese', /[\p{Script=Hiragana}\p{Script=Katakana}]/gu],
  ['Chinese', /\p{Script=Han}/gu],
  ['Korean', /\p{Script=Hangul}/gu],
  ['Cyrillic script', /\p{Script=Cyrillic}/gu],
  ['Greek', /\p{Script=Greek}/gu],
  ['Arabic script', /\p{Script=Arabic}/gu],
  ['Hebrew', /\p{Script=Hebrew}/gu],
  ['Devanagari script', /\p{Script=Devanagari}/gu],
  ['Thai', /\p{Script=Thai}/gu],
]

/** @returns null where the text is too short or too mixed to say; then nothing is claimed. */
export function languageOf(text: string): string | null {
  const piece = text.slice(0, 4000)
  const letters = piece.match(/\p{L}/gu)?.length ?? 0
  if (letters < 12) return null
  for (const [name, pattern] of SCRIPTS) {
    const share = (piece.match(pattern)?.length ?? 0) / letters
    // A fifth of kana makes a text Japanese; its other characters are Han.
    if (share > (name === 'Japanese' ? 0.2 : 0.5)) return name
  }
  const words = wordsOf(piece)
  if (words.length < 8) return null
  const scores = LISTS.map(([name, list]) => ({ name, hits: words.filter((w) => list.has(w)).length })).sort((a, b) => b.hits - a.hits)
  const [first, second] = scores
  if (!first || !second || first.hits < 3 || first.hits < 0.12 * words.length || first.hits < 1.3 * second.hits) return null
  return first.name
}
