import * as fs from 'node:fs'
import * as path from 'node:path'
import { Tokenizer as Library } from '@huggingface/tokenizers'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Aligned } from '../../../engine/tokenizer/aligned'
import { Tokenizer, toCodePoints } from '../../../engine/tokenizer/tokenizer'

const reference = path.join(import.meta.dirname, '../../reference/tokenizers')
const read = (folder: string, name: string) => fs.readFileSync(path.join(reference, folder, name), 'utf8')
const load = (folder: string) =>
  Tokenizer.fromTexts({ tokenizer: read(folder, 'tokenizer.json'), config: read(folder, 'tokenizer_config.json') })

type Case = {
  text: string
  ids: number[]
  ids_no_special: number[]
  tokens: string[]
  offsets: [number, number][]
  offsets_utf16: [number, number][]
  decode: string
  decode_skip_special: string
}

describe.each(['bbpe-smollm', 'bbpe-qwen2', 'bbpe-prefix', 'spm-bpe-llama2', 'unigram', 'unigram-unknown'])(
  'E-10: %s equals the reference on every case',
  (folder) => {
    const tokenizer = load(folder)
    const expected = JSON.parse(read(folder, 'expected.json')) as {
      cases: Case[]
      stream: { ids: number[]; prefix_decodes: string[] }[]
      vocab_size_with_added: number
    }

    it('ids, tokens and offsets', () => {
      expect(expected.cases.length).toBeGreaterThan(100)
      for (const c of expected.cases) {
        const plain = tokenizer.encode(c.text, { addSpecialTokens: false })
        expect(tokenizer.encode(c.text).ids, c.text).toEqual(c.ids)
        expect(plain.ids, c.text).toEqual(c.ids_no_special)
        expect(plain.tokens, c.text).toEqual(c.tokens)
        expect(plain.offsets, c.text).toEqual(c.offsets_utf16)
        expect(toCodePoints(c.text, plain.offsets), c.text).toEqual(c.offsets)
      }
      expect(tokenizer.size).toBe(expected.vocab_size_with_added)
    })

    it('decoding, also of every prefix', () => {
      for (const c of expected.cases) {
        expect(tokenizer.decode(c.ids_no_special), c.text).toBe(c.decode)
        expect(tokenizer.decode(c.ids, { skipSpecialTokens: true }), c.text).toBe(c.decode_skip_special)
      }
      for (const s of expected.stream)
        for (const [i, text] of s.prefix_decodes.entries()) expect(tokenizer.decode(s.ids.slice(0, i + 1))).toBe(text)
    })

    it('streaming gives the whole text, never half a character', () => {
      for (const c of expected.cases) {
        const stream = tokenizer.stream()
        const pieces = c.ids_no_special.map((id) => stream.push(id))
        for (const piece of pieces) if (!c.decode.includes('\ufffd')) expect(piece).not.toContain('\ufffd')
        if (folder.startsWith('bbpe')) expect(pieces.join('') + stream.end(), c.text).toBe(c.decode)
      }
    })

    it('offsets lie in the text, in order, for any text', () => {
      fc.assert(
        fc.property(fc.string({ unit: 'binary' }), (text) => {
          const { ids, offsets } = tokenizer.encode(text, { addSpecialTokens: false })
          let last = 0
          for (const [from, to] of offsets) {
            if (from < last || to < from || to > text.length) return false
            last = from
          }
          return ids.length === offsets.length
        }),
        { seed: 5, numRuns: 300 },
      )
    })
  },
)

describe('E-10: against the library on texts that no fixture holds', () => {
  it.each(['bbpe-smollm', 'bbpe-qwen2'])('%s', (folder) => {
    const ours = load(folder)
    const library = new Library(JSON.parse(read(folder, 'tokenizer.json')), JSON.parse(read(folder, 'tokenizer_config.json')))
    // No U+0085 or U+FEFF: the library takes JavaScript's \s, which differs from Unicode's White_Space there. No digits beyond ASCII either.
    const unit = fc.constantFrom(...'abcdefgh THE the lighthouse 0123 .,;:!?\n\t\'"-()éüß漢字😀 ', '<|im_start|>', '<think>', "'s")
    fc.assert(
      fc.property(fc.array(unit, { maxLength: 60 }), (parts) => {
        const text = parts.join('')
        expect(ours.encode(text).ids).toEqual(text ? library.encode(text).ids : [])
      }),
      { seed: 2, numRuns: 500 },
    )
  })
})

describe('alignment through normalisation', () => {
  it('a composed character stands for its first part, an expansion for its source', () => {
    expect([...Aligned.plain('xe\u0301y', 10).normalize('NFC').points()]).toEqual([
      { text: 'x', start: 10, end: 11 },
      { text: 'é', start: 11, end: 12 },
      { text: 'y', start: 13, end: 14 },
    ])
    expect([...Aligned.plain('ﬁ', 0).normalize('NFKC').points()].map((p) => [p.text, p.start, p.end])).toEqual([
      ['f', 0, 1],
      ['i', 0, 1],
    ])
  })

  it('equals String.normalize for any text', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        fc.constantFrom('NFC', 'NFD', 'NFKC', 'NFKD'),
        (text, form) => Aligned.plain(text, 0).normalize(form).text === text.normalize(form),
      ),
      { seed: 9, numRuns: 3000 },
    )
  })
})

it('an unknown stage is refused by name', () => {
  const config = JSON.parse(read('bbpe-smollm', 'tokenizer.json'))
  expect(() => new Tokenizer({ ...config, pre_tokenizer: { type: 'UnicodeScripts' } })).toThrow(
    /pre-tokenizer that is not built.*UnicodeScripts/,
  )
  expect(() => new Tokenizer({ ...config, normalizer: { type: 'Precompiled' } })).toThrow(/normaliser/)
  expect(() => new Tokenizer({ ...config, model: { ...config.model, type: 'WordLevel' } })).toThrow(/WordLevel/)
})
