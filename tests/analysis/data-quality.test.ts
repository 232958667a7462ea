import { describe, expect, test } from 'vitest'
import { contradictions, taskOf } from '../../analysis/quality/contradictions'
import { languageOf } from '../../analysis/quality/language'
import { leaksBetween } from '../../analysis/quality/leakage'
import { emptyTargets, languageOutliers, lengthOutliers, templateTokens, truncatedTargets } from '../../analysis/quality/outliers'
import { type Random, seeded } from '../../analysis/random'
import type { CanonicalRow } from '../../analysis/rows'

const words = Array.from({ length: 3000 }, (_, i) => `w${i.toString(36)}`)
const text = (r: Random, length: number) => Array.from({ length }, () => r.pick(words)).join(' ')
const pair = (id: string | number, prompt: string, completion: string): CanonicalRow => ({ id: String(id), prompt, completion })

describe('SCI-80: leakage', () => {
  test('SCI-87: 20 leaked validation rows of every kind are found, and nothing else', () => {
    const r = seeded(21)
    const train = Array.from({ length: 400 }, (_, i) => pair(i, text(r, 20 + r.below(60)), text(r, 5)))
    const one = (prompt: string) => {
      const list = prompt.split(' ')
      list[r.below(list.length)] = 'changed'
      return list.join(' ')
    }
    const leaked = Array.from({ length: 20 }, (_, k) => {
      const row = train[r.below(train.length)] as CanonicalRow & { prompt: string }
      const prompt =
        k % 3 === 0
          ? row.prompt.toUpperCase()
          : k % 3 === 1
            ? one(row.prompt)
            : row.prompt
                .split(' ')
                .slice(0, Math.ceil(row.prompt.split(' ').length * 0.45) + 8)
                .join(' ')
      return { row: pair(`l${k}`, prompt, text(r, 5)), of: train.indexOf(row) }
    })
    const clean = Array.from({ length: 200 }, (_, k) => pair(`c${k}`, text(r, 20 + r.below(60)), 'a'))
    const heldOut = [...clean.slice(0, 100), ...leaked.map((l) => l.row), ...clean.slice(100)]
    const leaks = leaksBetween(heldOut, train)
    expect(leaks.map((l) => [heldOut[l.row]?.id, l.of])).toEqual(leaked.map((l) => [l.row.id, l.of]))
    expect(new Set(leaks.map((l) => l.kind))).toEqual(new Set(['same_prompt', 'near_duplicate', 'contained']))
  })

  test('short questions leak when they are the same, not when one word makes them another', () => {
    const train = [pair(1, 'What is the capital of France?', 'Paris'), pair(2, 'Name a colour', 'red')]
    const held = [
      pair(3, 'what is the capital of Spain', 'Madrid'),
      pair(4, 'What is the capital of  FRANCE', 'Lyon'),
      pair(5, 'Name a fruit', 'fig'),
    ]
    expect(leaksBetween(held, train)).toEqual([{ row: 1, of: 0, kind: 'same_prompt', similarity: 1 }])
    expect(
      leaksBetween([pair(6, 'please tell me the capital of France', 'Paris')], [pair(7, 'please name me the capital of France', 'Paris')]),
    ).toMatchObject([{ kind: 'near_duplicate' }])
  })

  test('a contract on both sides is a leak where the column says so', () => {
    const row = (id: string, contract: string, prompt: string) => ({ ...pair(id, prompt, 'a'), columns: { contract } })
    const leaks = leaksBetween([row('a', 'c1', 'one thing'), row('b', 'c2', 'two things')], [row('c', 'c1', 'something else')], {
      threshold: 0.8,
      shortThreshold: 0.6,
      ngram: 3,
      containment: 0.8,
      groupColumn: 'contract',
    })
    expect(leaks).toEqual([{ row: 0, of: 0, kind: 'group', similarity: 0 }])
  })

  test('the system prompt, which all rows share, makes none of them alike', () => {
    const system = { role: 'system', content: text(seeded(1), 80) }
    const chat = (id: string, q: string): CanonicalRow => ({
      id,
      messages: [system, { role: 'user', content: q }, { role: 'assistant', content: `${q} indeed` }],
    })
    expect(leaksBetween([chat('a', text(seeded(2), 20))], [chat('b', text(seeded(3), 20))])).toEqual([])
  })
})

describe('SCI-81: contradictions', () => {
  test('SCI-87: 30 planted contradictions are found among repeats that agree', () => {
    const r = seeded(31)
    const labels = ['yes', 'no', 'maybe']
    const rows = Array.from({ length: 300 }, (_, i) => pair(i, text(r, 6 + r.below(30)), labels[i % 3] as string))
    const planted = Array.from({ length: 30 }, (_, k) =>
      pair(`p${k}`, (rows[k] as { prompt: string } & CanonicalRow).prompt.toUpperCase(), labels[(k + 1) % 3] as string),
    )
    const agreeing = Array.from({ length: 30 }, (_, k) =>
      pair(`a${k}`, (rows[100 + k] as { prompt: string } & CanonicalRow).prompt, ` ${labels[(100 + k) % 3]?.toUpperCase()}.`),
    )
    const found = contradictions([...rows, ...planted, ...agreeing])
    expect(found.map((c) => c.rows)).toEqual(Array.from({ length: 30 }, (_, k) => [k, 300 + k]))
    expect(found.every((c) => c.tie)).toBe(true)
  })

  test('majority and minority are told apart', () => {
    const rows = ['red', 'blue', 'red', 'red'].map((a, i) => pair(i, 'Which colour is the door?', a))
    expect(contradictions(rows)).toEqual([{ rows: [0, 1, 2, 3], majority: [0, 2, 3], minority: [1], tie: false }])
  })

  test('extracted fields contradict when they mean another value, not when they are written otherwise', () => {
    const clause = 'The supplier may end this agreement with thirty days notice'
    const json = (fee: string) => JSON.stringify({ fee })
    expect(contradictions([pair(1, clause, json('EUR 1,000.00')), pair(2, clause, json('€1000'))])).toEqual([])
    expect(contradictions([pair(1, clause, json('EUR 1,000.00')), pair(2, clause, json('€100'))])).toHaveLength(1)
  })

  test('a long clause with another date has another answer, and that is no contradiction; without a reason in the text it is one', () => {
    const r = seeded(9)
    const frame = text(r, 80)
    const clause = (date: string) => `${frame} on ${date} and then ${text(seeded(10), 30)}`
    const json = (start: string) => JSON.stringify({ start })
    expect(contradictions([pair(1, clause('3 May 2024'), json('3 May 2024')), pair(2, clause('4 May 2024'), json('4 May 2024'))])).toEqual(
      [],
    )
    expect(
      contradictions([pair(1, clause('3 May 2024'), json('1 June 2025')), pair(2, clause('4 May 2024'), json('2 July 2026'))]),
    ).toHaveLength(1)
  })

  test('two questions about one long text are two questions', () => {
    const long = text(seeded(4), 200)
    expect(contradictions([pair(1, `${long}. When did it end?`, 'in May'), pair(2, `${long}. Who signed it?`, 'Anna')])).toEqual([])
    expect(contradictions([pair(1, `Summarise:\n${long}`, 'a b'), pair(2, `Translate:\n${long}`, 'c d')])).toEqual([])
  })

  test('free text contradicts when it shares little or names other numbers', () => {
    const say = (a: string, b: string) =>
      contradictions([pair(1, 'How long is the notice?', a), pair(2, 'How long is the notice?', b)]).length
    expect(taskOf(['The notice is thirty days long, as the contract says.', 'It is a long story about something else.'])).toBe('text')
    expect(
      say('The notice period is 30 days from receipt of the letter.', 'The notice period is 30 days after receipt of the letter.'),
    ).toBe(0)
    expect(
      say('The notice period is 30 days from receipt of the letter.', 'The notice period is 60 days from receipt of the letter.'),
    ).toBe(1)
    expect(say('The notice period is one month from the day of receipt.', 'Nothing was ever agreed upon by them here, sadly enough.')).toBe(
      1,
    )
  })
})

describe('odd rows', () => {
  test.each([
    ['English', 'The parties have agreed that this contract shall be governed by the law of the state in which it was made.'],
    ['German', 'Die Parteien haben vereinbart, dass auf diesen Vertrag das Recht des Landes anzuwenden ist, in dem er geschlossen wurde.'],
    ['French', 'Les parties ont convenu que le présent contrat est régi par le droit de l’État dans lequel il a été conclu.'],
    ['Spanish', 'Las partes han acordado que este contrato se rige por la ley del país en el que se firmó y no por otra.'],
    [
      'Italian',
      'Le parti hanno convenuto che il presente contratto è regolato dalla legge dello Stato in cui è stato concluso e non da altra.',
    ],
    ['Dutch', 'De partijen zijn overeengekomen dat op deze overeenkomst het recht van toepassing is van het land waar zij is gesloten.'],
    [
      'Portuguese',
      'As partes acordaram que o presente contrato não é regido por uma lei que seja diferente da do país em que foi celebrado.',
    ],
    ['Japanese', '本契約は日本法に準拠するものとし、東京地方裁判所を専属的合意管轄裁判所とする。'],
    ['Chinese', '本合同受中华人民共和国法律管辖，任何争议均由北京法院处理。'],
    ['Cyrillic script', 'Стороны договорились, что настоящий договор регулируется законом страны.'],
    [null, 'ACME GmbH 4711 EUR'],
    [null, '{"a": 1, "b": [2, 3], "fee": null}'],
  ])('%s: %s', (language, sentence) => {
    expect(languageOf(sentence)).toBe(language)
  })

  const english = (i: number) =>
    pair(i, `The supplier shall deliver the goods number ${i} to the customer and it is paid for by them.`, 'ok')

  test('rows in another language stand out against the rest', () => {
    const rows = Array.from({ length: 60 }, (_, i) => english(i))
    rows[7] = pair(7, 'Der Lieferant hat die Ware an den Kunden zu liefern und sie ist von ihm zu bezahlen.', 'ok')
    expect(languageOutliers(rows)).toEqual({ language: 'English', odd: [{ row: 7, detail: 'German, the rest is English' }] })
    expect(languageOutliers(rows.slice(0, 10)).odd).toEqual([])
  })

  test('very long and very short rows stand out, a spread of lengths does not', () => {
    const r = seeded(8)
    const rows = Array.from({ length: 200 }, (_, i) => pair(i, text(r, 20 + r.below(20)), 'fine'))
    rows[3] = pair(3, text(r, 900), 'fine')
    rows[5] = pair(5, 'w1', 'a')
    expect(lengthOutliers(rows).map((o) => o.row)).toEqual([3, 5])
    expect(lengthOutliers(Array.from({ length: 200 }, (_, i) => pair(i, text(r, 2 ** (1 + (i % 8))), 'a')))).toEqual([])
  })

  test('F-34: empty answers, and a tool call is an answer', () => {
    const call = {
      id: 'c',
      messages: [
        { role: 'user', content: 'q' },
        { role: 'assistant', content: '', tool_calls: [{}] },
      ],
    }
    expect(emptyTargets([pair(1, 'q', ' \n'), pair(2, 'q', 'a'), call, { id: 't', text: ' ' }]).map((o) => o.row)).toEqual([0, 3])
  })

  test('answers that stop in the middle', () => {
    const full = Array.from({ length: 40 }, (_, i) =>
      pair(i, `q${i}`, `This is a long answer with many words in it, so that it counts as one of the long ones, number ${i}.`),
    )
    const cut = {
      ...(full[9] as CanonicalRow),
      completion: 'This is a long answer with many words in it, so that it counts as one of the long ones, and then it just',
    }
    expect(truncatedTargets([...full.slice(0, 9), cut, ...full.slice(10)]).map((o) => o.row)).toEqual([9])
    const json = Array.from({ length: 10 }, (_, i) => pair(i, `q${i}`, JSON.stringify({ a: i, b: 'x' })))
    json[4] = pair(4, 'q4', '{"a": 4, "b": "x')
    expect(truncatedTargets(json)).toEqual([{ row: 4, detail: 'the JSON of the answer is not complete' }])
    expect(truncatedTargets([pair(1, 'q', 'Use this:\n```js\nlet a = 1')])).toHaveLength(1)
    expect(truncatedTargets([pair(1, 'q', 'yes'), pair(2, 'q', 'blue cheese')])).toEqual([])
  })

  test('control tokens of chat templates inside a text are found; a heading or a tag of HTML is none', () => {
    const rows = [
      pair(1, 'q', 'fine<|im_end|>'),
      pair(2, '[INST] q [/INST]', 'a'),
      pair(3, 'use <s>strike</s>-through', 'a'),
      pair(4, '### Notes', 'a'),
      pair(5, '### Instruction:\nGo', 'a'),
    ]
    expect(templateTokens(rows).map((o) => [o.row, o.detail])).toEqual([
      [0, 'completion holds “<|im_end|>”'],
      [1, 'prompt holds “[INST]”'],
      [4, 'prompt holds “### Instruction:”'],
    ])
  })
})
