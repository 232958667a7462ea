/**
 * Lays out what the tiny model is made from: a tokenizer learned from the speeches, a model folder with random weights, and two files of
 * rows. Everything follows from the speeches and one seed, so a second run gives the same bytes.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Random, seeded } from '../../analysis/random'
import { floatTensor, type TensorToWrite, writeSafetensors } from '../../engine/formats/safetensors'
import { countPieces, learnBpe, tokenizerJson } from './train-bpe'

const SEED = 1790
const SPECIAL = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'] as const
/** 3.2 million parameters: the largest that stays well under 8 MB in bfloat16 and trains in a quarter of an hour on 2 cores. */
const SHAPE = {
  vocab_size: 4096,
  hidden_size: 192,
  intermediate_size: 512,
  num_hidden_layers: 6,
  num_attention_heads: 6,
  num_key_value_heads: 3,
  head_dim: 32,
} as const
/** About 230 tokens: fits the context twice and keeps padding small. */
const ROW_CHARS = 960
const CHAT_ROWS = 6000

const CHAT_TEMPLATE =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"

/** The texts of the speeches, oldest first. */
async function speeches(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => /^\d{4}_.*\.json$/.test(name)).sort()
  return Promise.all(
    names.map(async (name) =>
      (JSON.parse(await readFile(join(folder, name), 'utf8')) as { text: string }).text.replace(/\s+/g, ' ').trim(),
    ),
  )
}

const sentencesOf = (text: string): string[] =>
  text
    .match(/[^.!?]+[.!?]+["')]*(?=\s|$)/g)
    ?.map((s) => s.trim())
    .filter((s) => s.length > 1) ?? [text]

/** Whole sentences, joined up to the length of a row. */
function rowsOf(text: string): string[] {
  const rows: string[] = []
  let row = ''
  for (const sentence of sentencesOf(text)) {
    if (row && row.length + sentence.length + 1 > ROW_CHARS) {
      rows.push(row)
      row = ''
    }
    // A sentence longer than a row is cut at a space; speeches of the 19th century have such sentences.
    for (let rest = sentence; rest; ) {
      const cut = rest.length <= ROW_CHARS ? rest.length : rest.lastIndexOf(' ', ROW_CHARS)
      const part = rest.slice(0, cut > 0 ? cut : ROW_CHARS)
      rest = rest.slice(part.length).trim()
      if (rest) rows.push(part)
      else row = row ? `${row} ${part}` : part
    }
  }
  if (row) rows.push(row)
  return rows
}

const TOPICS: readonly (readonly [string, RegExp])[] = [
  ['war', /\b(?:war|army|navy|enemy|soldiers|military)\b/i],
  ['money', /\b(?:dollars|treasury|revenue|tax|taxes|debt|bank|budget)\b/i],
  ['law', /\b(?:court|courts|judges|statute|legislation)\b/i],
  ['trade', /\b(?:commerce|tariff|exports|imports|trade)\b/i],
]

/** Small tasks that teach a model of this size what a conversation is: to repeat, to find a word, to continue, to name a topic. */
function chatRow(r: Random, sentences: readonly string[]): { messages: { role: string; content: string }[] } {
  const say = (user: string, assistant: string) => ({
    messages: [
      { role: 'user', content: user },
      { role: 'assistant', content: assistant },
    ],
  })
  for (;;) {
    const sentence = r.pick(sentences)
    const words = sentence.split(' ')
    if (words.length < 8 || words.length > 40) continue
    switch (r.below(5)) {
      case 0: {
        const from = r.below(words.length - 6)
        const some = words.slice(from, from + 2 + r.below(5)).join(' ')
        return say(`${r.pick(['Repeat', 'Say again', 'Copy'])}: ${some}`, some)
      }
      case 1:
        return say(`First word of: ${words.slice(0, 8).join(' ')}`, words[0] as string)
      case 2:
        return say(`Last word of: ${words.slice(0, 8).join(' ')}`, words[7] as string)
      case 3: {
        const half = Math.min(14, words.length >> 1)
        return say(`Continue: ${words.slice(0, half).join(' ')}`, words.slice(half).join(' '))
      }
      default: {
        const topics = TOPICS.filter(([, pattern]) => pattern.test(sentence))
        if (topics.length !== 1) continue
        return say(`Topic of: ${sentence}`, (topics[0] as readonly [string, RegExp])[0])
      }
    }
  }
}

/** Normal with standard deviation 0.02, and residual outputs divided by √(2 · blocks), as GPT-2 began. */
function initialTensors(r: Random): TensorToWrite[] {
  const {
    vocab_size: v,
    hidden_size: h,
    intermediate_size: f,
    num_hidden_layers: blocks,
    num_attention_heads: heads,
    num_key_value_heads: kv,
    head_dim: d,
  } = SHAPE
  const normal = (n: number, std: number) => {
    const out = new Float32Array(n)
    for (let i = 0; i < n; i += 2) {
      const radius = Math.sqrt(-2 * Math.log(1 - r.next())) * std
      const angle = 2 * Math.PI * r.next()
      out[i] = radius * Math.cos(angle)
      if (i + 1 < n) out[i + 1] = radius * Math.sin(angle)
    }
    return out
  }
  const tensors: TensorToWrite[] = []
  const add = (name: string, shape: number[], std: number | null) => {
    const n = shape.reduce((a, b) => a * b, 1)
    const values = std === null ? new Float32Array(n).fill(1) : normal(n, std)
    tensors.push(floatTensor(name, shape, 'F32', () => values))
  }
  const residual = 0.02 / Math.sqrt(2 * blocks)
  add('model.embed_tokens.weight', [v, h], 0.02)
  for (let i = 0; i < blocks; i++) {
    const at = `model.layers.${i}.`
    add(`${at}self_attn.q_proj.weight`, [heads * d, h], 0.02)
    add(`${at}self_attn.k_proj.weight`, [kv * d, h], 0.02)
    add(`${at}self_attn.v_proj.weight`, [kv * d, h], 0.02)
    add(`${at}self_attn.o_proj.weight`, [h, heads * d], residual)
    add(`${at}mlp.gate_proj.weight`, [f, h], 0.02)
    add(`${at}mlp.up_proj.weight`, [f, h], 0.02)
    add(`${at}mlp.down_proj.weight`, [h, f], residual)
    add(`${at}input_layernorm.weight`, [h], null)
    add(`${at}post_attention_layernorm.weight`, [h], null)
  }
  add('model.norm.weight', [h], null)
  return tensors
}

/** @param source folder of the speeches' JSON files; `out` gets `start/` (a model folder), `speeches.jsonl` and `chat.jsonl` */
export async function prepare(source: string, out: string): Promise<void> {
  const texts = await speeches(source)
  const r = seeded(SEED)
  const start = join(out, 'start')
  await mkdir(start, { recursive: true })
  const json = (name: string, value: unknown) => writeFile(join(start, name), `${JSON.stringify(value, null, 2)}\n`)

  console.log(`${texts.length} speeches; learning ${SHAPE.vocab_size} tokens`)
  const bpe = learnBpe(countPieces(texts), SHAPE.vocab_size, SPECIAL)
  if (Object.keys(bpe.vocab).length !== SHAPE.vocab_size) throw new Error(`the text gives only ${Object.keys(bpe.vocab).length} tokens`)
  await writeFile(join(start, 'tokenizer.json'), tokenizerJson(bpe, SPECIAL))
  const [end, , turn] = SPECIAL
  await json('tokenizer_config.json', {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: end,
    eos_token: turn,
    pad_token: turn,
    unk_token: null,
    add_bos_token: false,
    clean_up_tokenization_spaces: false,
    model_max_length: 512,
  })
  await json('special_tokens_map.json', { bos_token: end, eos_token: turn, pad_token: turn })
  await writeFile(join(start, 'chat_template.jinja'), CHAT_TEMPLATE)
  await json('generation_config.json', { bos_token_id: 0, eos_token_id: [2, 0], pad_token_id: 2 })
  await json('config.json', {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    ...SHAPE,
    max_position_embeddings: 512,
    hidden_act: 'silu',
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: true,
    attention_bias: false,
    mlp_bias: false,
    bos_token_id: 0,
    eos_token_id: 2,
    pad_token_id: 2,
    torch_dtype: 'float32',
  })
  await writeFile(join(start, 'README.md'), '---\nlicense: cc0-1.0\n---\n')
  await writeSafetensors(join(start, 'model.safetensors'), initialTensors(r))

  const rows = texts.flatMap(rowsOf)
  await writeFile(join(out, 'speeches.jsonl'), rows.map((text) => `${JSON.stringify({ text })}\n`).join(''))
  const sentences = texts.flatMap(sentencesOf)
  const chat = Array.from({ length: CHAT_ROWS }, () => chatRow(r, sentences))
  await writeFile(join(out, 'chat.jsonl'), chat.map((row) => `${JSON.stringify(row)}\n`).join(''))
  console.log(`${rows.length} rows of text, ${chat.length} conversations`)
}
