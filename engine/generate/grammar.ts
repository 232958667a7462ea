/**
 * Answers that are JSON by construction: at every step only tokens are allowed after which the answer can still become JSON of the schema.
 * The work is done by xgrammar (a WebAssembly module inside its package; nothing is downloaded).
 */
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { GrammarCompiler, GrammarMatcher, TokenizerInfo, Grammar as XGrammar } from '@mlc-ai/web-xgrammar'
import { EngineError } from '../errors'
import type { LoadedModel } from '../model'

type Library = {
  Grammar: Pick<typeof XGrammar, 'builtinJSONGrammar'>
  TokenizerInfo: Pick<typeof TokenizerInfo, 'createTokenizerInfo'>
  GrammarCompiler: { createGrammarCompiler(info: TokenizerInfo, cached?: boolean): Promise<GrammarCompiler> }
  GrammarMatcher: Pick<typeof GrammarMatcher, 'createGrammarMatcher'>
}

let library: Promise<Library> | null = null

/**
 * The package is a script for browsers that calls itself a module: it leaves its exports on the global object, and to find itself it looks
 * for what only CommonJS has. Both are there while it is read, and gone afterwards.
 */
function loadLibrary(): Promise<Library> {
  library ??= (async () => {
    const scope = globalThis as Record<string, unknown>
    const given = { require: createRequire(import.meta.url), __filename: fileURLToPath(import.meta.url), __dirname: '.' }
    const before = Object.keys(given).map((name) => [name, Object.getOwnPropertyDescriptor(scope, name)] as const)
    Object.assign(scope, given)
    try {
      const loaded = (await import('@mlc-ai/web-xgrammar')) as unknown as Partial<Library>
      const whole = (loaded.GrammarCompiler ? loaded : scope.xgrammar) as Library
      // The first use starts its WebAssembly module, which looks for the same things.
      ;(await whole.Grammar.builtinJSONGrammar()).dispose()
      return whole
    } finally {
      for (const [name, was] of before) {
        if (was) Object.defineProperty(scope, name, was)
        else delete scope[name]
      }
      delete scope.xgrammar
    }
  })()
  return library
}

const TYPES = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null']
/** Keywords that are followed; the lower ones say nothing about which JSON is meant. */
const KEYWORDS = [
  ...['type', 'properties', 'required', 'additionalProperties', 'items', 'minItems', 'maxItems', 'enum', 'const', 'anyOf', 'oneOf'],
  ...['title', 'description', 'default', 'examples', '$schema', '$id'],
]

/** Refuses what cannot be followed, by name and place: the library ends for good on a schema that it does not know. */
export function checkSchema(schema: unknown, where = 'json_schema'): void {
  const refuse: (at: string, expected: string, got: unknown) => never = (at, expected, got) => {
    throw new EngineError('bad_argument', 'the JSON schema cannot be followed', {
      where: at,
      expected,
      got: typeof got === 'string' ? got : (JSON.stringify(got) ?? String(got)),
    })
  }
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) refuse(where, 'an object with keywords', schema)
  const { type, properties, required, items, additionalProperties, anyOf, oneOf, ...rest } = schema as Record<string, unknown>
  for (const key of Object.keys(schema)) if (!KEYWORDS.includes(key)) refuse(`${where}.${key}`, KEYWORDS.slice(0, 11).join(', '), key)
  for (const one of [type ?? []].flat()) if (!TYPES.includes(one as string)) refuse(`${where}.type`, TYPES.join(', '), one)
  if (![type, anyOf, oneOf, rest.enum, rest.const].some((given) => given !== undefined)) refuse(where, 'type, enum, const or anyOf', schema)
  if (rest.enum !== undefined && !(Array.isArray(rest.enum) && rest.enum.length)) refuse(`${where}.enum`, 'a list of values', rest.enum)
  for (const [key, value] of [
    ['minItems', rest.minItems],
    ['maxItems', rest.maxItems],
  ] as const)
    if (value !== undefined && !(Number.isInteger(value) && (value as number) >= 0)) refuse(`${where}.${key}`, 'a count', value)
  if (additionalProperties !== undefined && typeof additionalProperties !== 'boolean')
    refuse(`${where}.additionalProperties`, 'true or false', additionalProperties)
  const known = properties ?? {}
  if (typeof known !== 'object' || known === null || Array.isArray(known)) refuse(`${where}.properties`, 'an object', properties)
  for (const [name, inner] of Object.entries(known)) checkSchema(inner, `${where}.properties.${name}`)
  const names = required ?? []
  if (!Array.isArray(names)) refuse(`${where}.required`, 'a list of properties', required)
  for (const name of names) if (!(name in known)) refuse(`${where}.required`, Object.keys(known).join(', '), name)
  if (items !== undefined) checkSchema(items, `${where}.items`)
  for (const [key, list] of [
    ['anyOf', anyOf],
    ['oneOf', oneOf],
  ] as const) {
    if (list === undefined) continue
    if (!Array.isArray(list) || !list.length) refuse(`${where}.${key}`, 'a list of schemas', list)
    for (const [i, inner] of list.entries()) checkSchema(inner, `${where}.${key}.${i}`)
  }
}

/** What chooses among tokens while one answer is written. */
export interface Guide {
  /** One bit for each token, in words of 32: 1 where it may come next. */
  allowed(): Promise<Int32Array>
  accept(id: number): void
  close(): void
}
export interface Grammar {
  /** For a new answer. */
  guide(): Promise<Guide>
  close(): void
}

/**
 * What an answer of the model may be, for `generate`'s option `grammar`.
 * @param schema a JSON schema; `true` for any JSON
 * @throws EngineError `bad_argument` for a schema that cannot be followed, or a model that has no token to end an answer with
 */
export async function jsonGrammar(
  { tokenizer, source, model, stopIds }: Pick<LoadedModel, 'tokenizer' | 'source' | 'model' | 'stopIds'>,
  schema: unknown,
): Promise<Grammar> {
  if (!stopIds.length)
    throw new EngineError('bad_argument', 'the model has no token that ends an answer, so its JSON would never end', {
      where: 'tokenizer_config.json',
      expected: 'eos_token',
    })
  if (schema !== true) checkSchema(schema)
  const { TokenizerInfo, GrammarCompiler, GrammarMatcher } = await loadLibrary()
  const text = source.text('tokenizer.json') ?? ''
  const kind = text.includes('"ByteFallback"') ? 'byte_fallback' : text.includes('"ByteLevel"') ? 'byte_level' : 'raw'
  const { vocabSize } = model.config
  // An empty text marks a token that is never part of an answer.
  const hidden = (id: number) => id >= tokenizer.size || tokenizer.specialIds.has(id)
  const texts = Array.from({ length: vocabSize }, (_, id) => (hidden(id) ? '' : (tokenizer.tokenOf(id) ?? '')))
  const info = await TokenizerInfo.createTokenizerInfo(texts, kind, false, vocabSize, [...stopIds])
  const compiler = await GrammarCompiler.createGrammarCompiler(info, false)
  try {
    const compiled =
      schema === true
        ? await compiler.compileBuiltinJSONGrammar()
        : // Compact, as JSON.stringify writes it; −1: no line breaks.
          await compiler.compileJSONSchema(JSON.stringify(schema), false, -1, [',', ':'], true)
    return {
      guide: async () => {
        const matcher = await GrammarMatcher.createGrammarMatcher(compiled)
        return {
          allowed: () => matcher.getNextTokenBitmask(),
          accept: (id) => {
            if (!matcher.acceptToken(id))
              throw new EngineError('bad_argument', 'a token was chosen that the schema does not allow', { got: String(id) })
          },
          close: () => matcher.dispose(),
        }
      },
      close: () => {
        compiled.dispose()
        compiler.dispose()
        info.dispose()
      },
    }
  } catch (cause) {
    throw new EngineError('bad_argument', 'the JSON schema cannot be followed', {
      where: 'json_schema',
      got: cause instanceof Error ? cause.message : String(cause),
      cause,
    })
  }
}

/** The logits with −∞ where a token is not allowed. */
export function guided(logits: Float32Array, allowed: Int32Array): Float32Array {
  const out = logits.slice()
  for (let id = 0; id < out.length; id++) if (!(((allowed[id >> 5] as number) >>> (id & 31)) & 1)) out[id] = Number.NEGATIVE_INFINITY
  return out
}
