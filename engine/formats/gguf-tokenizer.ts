/** Hugging Face tokenizer files from the metadata of a GGUF: byte-level BPE (`gpt2`) and SentencePiece BPE (`llama`) (F-26). */
import { EngineError } from '../errors'
import type { GgufArray, GgufFile } from './gguf'
import { PRE_TOKENIZERS } from './gguf-pre'
import type { ModelText } from './model-texts'

/** Token types of GGUF that are found in raw text before anything else. */
const CONTROL = 3
const USER_DEFINED = 4
const UNKNOWN = 2
const UNUSED = 5

const NORMAL = 1
/** SentencePiece's mark for a space. */
const SPACE = '\u2581'
const BPE = {
  type: 'BPE',
  dropout: null,
  unk_token: null as string | null,
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
  fuse_unk: false,
  byte_fallback: false,
}

/** Merges of a SentencePiece BPE: every cut of a piece into two others, by the score of the piece; ties in the order of the parts. */
function mergesOfScores(pieces: readonly { text: string; score: number }[]): [string, string][] {
  const rank = new Map(pieces.map(({ text }, i) => [text, i]))
  const merges: { pair: [string, string]; score: number; at: [number, number] }[] = []
  for (const { text, score } of pieces) {
    const letters = [...text]
    for (let cut = 1, head = letters[0] ?? ''; cut < letters.length; head += letters[cut++]) {
      const tail = text.slice(head.length)
      const at = [rank.get(head), rank.get(tail)]
      if (at[0] !== undefined && at[1] !== undefined) merges.push({ pair: [head, tail], score, at: at as [number, number] })
    }
  }
  return merges.sort((a, b) => b.score - a.score || a.at[0] - b.at[0] || a.at[1] - b.at[1]).map(({ pair }) => pair)
}

/** Builds all text files of the model folder; `chat_template.jinja` is null when the file has none. */
export function makeTokenizerTexts(file: GgufFile): Record<ModelText, string | null> {
  const get = (key: string) => file.metadata.get(`tokenizer.${key}`)?.value
  const fail = (key: string, message: string, got?: string): never => {
    throw new EngineError('bad_file', message, { where: `${file.path}, tokenizer.${key}`, ...(got === undefined ? {} : { got }) })
  }
  const model = get('ggml.model')
  if (model !== 'gpt2' && model !== 'llama') {
    throw new EngineError('unsupported', 'this kind of GGUF tokenizer is not built yet', {
      where: `${file.path}, tokenizer.ggml.model`,
      expected: 'gpt2 (byte-level BPE) or llama (SentencePiece BPE)',
      got: String(model ?? 'nothing'),
      fix: 'use the Hugging Face folder of the model',
    })
  }
  const pre = get('ggml.pre')
  const rules = typeof pre === 'string' && Object.hasOwn(PRE_TOKENIZERS, pre) ? PRE_TOKENIZERS[pre] : undefined
  if (model === 'gpt2' && !rules) {
    throw new EngineError('unsupported', 'the pre-tokenizer of this GGUF file is not known, and guessing it would give wrong tokens', {
      where: `${file.path}, tokenizer.ggml.pre`,
      expected: Object.keys(PRE_TOKENIZERS).join(', '),
      got: String(pre ?? 'nothing'),
      fix: 'use the Hugging Face folder of the model',
    })
  }
  const strings = (key: string): string[] => {
    const value = get(key) as GgufArray | undefined
    if (typeof value !== 'object' || value.of !== 'STRING') return fail(key, 'the list of strings is missing')
    return [...(value.values as string[])]
  }
  const tokens = strings('ggml.tokens')
  const types = get('ggml.token_type') as GgufArray | undefined
  if (types && types.values.length !== tokens.length)
    fail('ggml.token_type', 'there are not as many token types as tokens', `${types.values.length} for ${tokens.length}`)
  const typeOf = (id: number) => (types?.values[id] as number | undefined) ?? 1

  // Rows of the embedding beyond the vocabulary are named to fill the list, and never stand for text (F-15).
  while (tokens.length && typeOf(tokens.length - 1) === UNUSED) tokens.pop()
  const vocab = new Map<string, number>()
  tokens.forEach((token, id) => {
    if (vocab.has(token)) fail('ggml.tokens', 'a token occurs twice', `${JSON.stringify(token)} at ${vocab.get(token)} and ${id}`)
    vocab.set(token, id)
  })

  const id = (key: string): number | null => {
    const value = get(key)
    if (value === undefined) return null
    return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < tokens.length
      ? value
      : fail(key, 'a special token lies outside the vocabulary', String(value))
  }
  const token = (value: number | null): string | null => (value === null ? null : (tokens[value] as string))
  const bos = id('ggml.bos_token_id')
  const eos = id('ggml.eos_token_id')
  const pad = id('ggml.padding_token_id')
  const unknown = id('ggml.unknown_token_id')
  const turnEnds = ['ggml.eot_token_id', 'ggml.eom_token_id'].map(id).filter((i): i is number => i !== null)

  const addedTokens = tokens.flatMap((content, i) => {
    const type = typeOf(i)
    if (type !== CONTROL && type !== USER_DEFINED && type !== UNKNOWN) return []
    return [{ id: i, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: type !== USER_DEFINED }]
  })
  const addBos = (get('ggml.add_bos_token') ?? rules?.addsBosByDefault ?? true) === true && bos !== null
  const spaced = get('ggml.add_space_prefix') !== false
  const template = bos === null ? null : { SpecialToken: { id: token(bos), type_id: 0 } }
  const byteLevelPost = { type: 'ByteLevel', add_prefix_space: true, trim_offsets: false, use_regex: true }
  const bosFirst = {
    type: 'TemplateProcessing',
    single: [template, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [
      template,
      { Sequence: { id: 'A', type_id: 0 } },
      { SpecialToken: { id: token(bos), type_id: 1 } },
      { Sequence: { id: 'B', type_id: 1 } },
    ],
    special_tokens: { [token(bos) as string]: { id: token(bos), ids: [bos], tokens: [token(bos)] } },
  }
  const common = { version: '1.0', truncation: null, padding: null, added_tokens: addedTokens }
  const scores = get('ggml.scores') as GgufArray | undefined
  const tokenizer = rules
    ? {
        ...common,
        normalizer: rules.normalizer,
        pre_tokenizer: rules.pre_tokenizer,
        post_processor: addBos ? { type: 'Sequence', processors: [byteLevelPost, bosFirst] } : byteLevelPost,
        decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
        model: {
          ...BPE,
          ignore_merges: rules.ignore_merges,
          vocab: Object.fromEntries(vocab),
          merges: strings('ggml.merges').map((merge) => {
            const at = merge.indexOf(' ', 1)
            if (at <= 0) fail('ggml.merges', 'a merge is not two tokens', JSON.stringify(merge))
            return [merge.slice(0, at), merge.slice(at + 1)]
          }),
        },
      }
    : {
        ...common,
        normalizer: {
          type: 'Sequence',
          normalizers: [
            ...(spaced ? [{ type: 'Prepend', prepend: SPACE }] : []),
            { type: 'Replace', pattern: { String: ' ' }, content: SPACE },
          ],
        },
        pre_tokenizer: null,
        post_processor: addBos ? bosFirst : null,
        decoder: {
          type: 'Sequence',
          decoders: [
            { type: 'Replace', pattern: { String: SPACE }, content: ' ' },
            { type: 'ByteFallback' },
            { type: 'Fuse' },
            ...(spaced ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
          ],
        },
        model: {
          ...BPE,
          unk_token: token(unknown),
          fuse_unk: true,
          byte_fallback: true,
          ignore_merges: false,
          vocab: Object.fromEntries(vocab),
          merges: mergesOfScores(
            tokens.flatMap((text, i) => (typeOf(i) === NORMAL ? [{ text, score: (scores?.values[i] as number | undefined) ?? 0 }] : [])),
          ),
        },
      }
  const special = Object.fromEntries(
    Object.entries({ bos_token: token(bos), eos_token: token(eos), pad_token: token(pad), unk_token: token(unknown) }).filter(
      ([, value]) => value !== null,
    ),
  )
  const pretty = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`
  const stops = [...new Set([eos, ...turnEnds].filter((i): i is number => i !== null))]
  const contextLength = file.metadata.get(`${String(file.metadata.get('general.architecture')?.value)}.context_length`)?.value
  const chatTemplate = get('chat_template')
  return {
    'tokenizer.json': pretty(tokenizer),
    // `add_bos_token` is written out: readers differ in what they assume (formats.md section 4).
    'tokenizer_config.json': pretty({
      add_bos_token: addBos,
      add_prefix_space: false,
      ...special,
      clean_up_tokenization_spaces: false,
      model_max_length: contextLength,
      tokenizer_class: 'PreTrainedTokenizerFast',
    }),
    'special_tokens_map.json': pretty(special),
    'chat_template.jinja': typeof chatTemplate === 'string' && chatTemplate ? chatTemplate : null,
    'generation_config.json': pretty({
      ...(bos === null ? {} : { bos_token_id: bos }),
      ...(stops.length ? { eos_token_id: stops.length === 1 ? stops[0] : stops } : {}),
      ...(pad === null ? {} : { pad_token_id: pad }),
    }),
  }
}
