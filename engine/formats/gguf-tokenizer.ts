/** Hugging Face tokenizer files from the metadata of a GGUF with a byte-level BPE tokenizer (F-26). */
import { EngineError } from '../errors'
import type { GgufArray, GgufFile } from './gguf'
import type { ModelText } from './model-texts'

type PreTokenizer = { normalizer: unknown; pre_tokenizer: unknown; ignore_merges: boolean; addsBosByDefault: boolean }

const byteLevel = (useRegex: boolean) => ({ type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: useRegex })
const split = (regex: string) => ({
  type: 'Sequence',
  pretokenizers: [{ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false }, byteLevel(false)],
})

const LLAMA3_REGEX =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
const QWEN2_REGEX =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/** How text is cut before merging, by `tokenizer.ggml.pre`. A value that is not here is refused: a near miss gives wrong ids silently. */
const PRE: Readonly<Record<string, PreTokenizer>> = {
  'gpt-2': { normalizer: null, pre_tokenizer: byteLevel(true), ignore_merges: false, addsBosByDefault: false },
  smollm: {
    normalizer: null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel(true)] },
    ignore_merges: false,
    addsBosByDefault: false,
  },
  'llama-bpe': { normalizer: null, pre_tokenizer: split(LLAMA3_REGEX), ignore_merges: true, addsBosByDefault: true },
  qwen2: { normalizer: { type: 'NFC' }, pre_tokenizer: split(QWEN2_REGEX), ignore_merges: false, addsBosByDefault: false },
}

/** Token types of GGUF that are found in raw text before anything else. */
const CONTROL = 3
const USER_DEFINED = 4
const UNKNOWN = 2

/** Builds all text files of the model folder; `chat_template.jinja` is null when the file has none. */
export function makeTokenizerTexts(file: GgufFile): Record<ModelText, string | null> {
  const get = (key: string) => file.metadata.get(`tokenizer.${key}`)?.value
  const fail = (key: string, message: string, got?: string): never => {
    throw new EngineError('bad_file', message, { where: `${file.path}, tokenizer.${key}`, ...(got === undefined ? {} : { got }) })
  }
  const model = get('ggml.model')
  if (model !== 'gpt2') {
    throw new EngineError('unsupported', 'this kind of GGUF tokenizer is not built yet', {
      where: `${file.path}, tokenizer.ggml.model`,
      expected: 'gpt2 (byte-level BPE)',
      got: String(model ?? 'nothing'),
      fix: 'use the Hugging Face folder of the model',
    })
  }
  const pre = get('ggml.pre')
  const rules = typeof pre === 'string' && Object.hasOwn(PRE, pre) ? PRE[pre] : undefined
  if (!rules) {
    throw new EngineError('unsupported', 'the pre-tokenizer of this GGUF file is not known, and guessing it would give wrong tokens', {
      where: `${file.path}, tokenizer.ggml.pre`,
      expected: Object.keys(PRE).join(', '),
      got: String(pre ?? 'nothing'),
      fix: 'use the Hugging Face folder of the model',
    })
  }
  const strings = (key: string): string[] => {
    const value = get(key) as GgufArray | undefined
    if (typeof value !== 'object' || value.of !== 'STRING') return fail(key, 'the list of strings is missing')
    return value.values as string[]
  }
  const tokens = strings('ggml.tokens')
  const merges = strings('ggml.merges')
  const types = get('ggml.token_type') as GgufArray | undefined
  if (types && types.values.length !== tokens.length)
    fail('ggml.token_type', 'there are not as many token types as tokens', `${types.values.length} for ${tokens.length}`)
  const typeOf = (id: number) => (types?.values[id] as number | undefined) ?? 1

  const vocab = new Map<string, number>()
  tokens.forEach((token, id) => {
    if (vocab.has(token)) fail('ggml.tokens', 'a token occurs twice', `${JSON.stringify(token)} at ${vocab.get(token)} and ${id}`)
    vocab.set(token, id)
  })
  for (const merge of merges) if (merge.indexOf(' ') <= 0) fail('ggml.merges', 'a merge is not two tokens', JSON.stringify(merge))

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
  const addBos = (get('ggml.add_bos_token') ?? rules.addsBosByDefault) === true && bos !== null
  const template = bos === null ? null : { SpecialToken: { id: token(bos), type_id: 0 } }
  const byteLevelPost = { type: 'ByteLevel', add_prefix_space: true, trim_offsets: false, use_regex: true }
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens,
    normalizer: rules.normalizer,
    pre_tokenizer: rules.pre_tokenizer,
    post_processor: addBos
      ? {
          type: 'Sequence',
          processors: [
            byteLevelPost,
            {
              type: 'TemplateProcessing',
              single: [template, { Sequence: { id: 'A', type_id: 0 } }],
              pair: [
                template,
                { Sequence: { id: 'A', type_id: 0 } },
                { SpecialToken: { id: token(bos), type_id: 1 } },
                { Sequence: { id: 'B', type_id: 1 } },
              ],
              special_tokens: { [token(bos) as string]: { id: token(bos), ids: [bos], tokens: [token(bos)] } },
            },
          ],
        }
      : byteLevelPost,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: rules.ignore_merges,
      vocab: Object.fromEntries(vocab),
      merges: merges.map((merge) => {
        const at = merge.indexOf(' ', 1)
        return [merge.slice(0, at), merge.slice(at + 1)]
      }),
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
