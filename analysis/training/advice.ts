/** Which way of tuning suits a model, its data and a machine, with the reasons (SCI-121…125). Pure arithmetic over headers. */

export type AdviceFacts = {
  parameters: number
  blocks: number
  /** Scalars of one block. */
  perBlock: number
  /** Σ (in + out) over all linear layers of the blocks: a LoRA of rank r holds r times as many scalars. */
  loraUnit: number
  rows: number
  /** Trained tokens of all rows once. */
  completionTokens: number
  /** Loss of the model before training, in bits a token; unknown counts as 2. */
  baseBits: number | null
  memoryBytes: number
  /** Peak memory by kind, as the estimator says it. */
  bytes: { full: number; layers: number; lora: number }
  tolerance: 'strict' | 'medium' | 'free'
  goal: 'behaviour' | 'domain'
}
export type AdviceOption = {
  method: 'full' | 'layers' | 'lora' | 'prompt'
  title: string
  settings: string
  reasons: string[]
  /** Higher is better; null: does not fit. */
  score: number | null
  trainable: number
  memoryBytes: number
}

/** Bits that two scalars of a parameter can hold are unverified; the paper's figure is used as it stands. */
const BITS_PER_PARAMETER = 2
const RANKS = [8, 16, 32, 64, 128, 256] as const

/** All options, best first, those that do not fit last. More memory never takes one away; a stricter tolerance never favours what forgets more. */
export function adviseMethod(f: AdviceFacts): AdviceOption[] {
  const needed = f.completionTokens * Math.min(f.baseBits ?? 2, 2)
  const free = 0.9 * f.memoryBytes
  const few = f.rows < 500
  const enough = RANKS.find((r) => BITS_PER_PARAMETER * r * f.loraUnit >= needed)
  const domainRank = Math.max(128, enough ?? 256)
  const rank = f.goal === 'domain' ? domainRank : few && (2 * 8 * f.loraUnit) / Math.max(1, needed) > 1000 ? 8 : (enough ?? 256)
  const count = few ? Math.max(1, Math.min(2, f.blocks)) : Math.max(1, Math.round(f.blocks / 3))
  const strictness = { strict: 1, medium: 0.5, free: 0 }[f.tolerance]
  const gb = (n: number) => `${(n / 1e9).toFixed(1)} GB`
  const options: AdviceOption[] = []
  const add = (
    method: AdviceOption['method'],
    title: string,
    settings: string,
    trainable: number,
    bytes: number,
    score: number,
    reasons: string[],
  ) => {
    const fits = bytes <= free
    options.push({
      method,
      title,
      settings,
      reasons: fits ? reasons : [`needs about ${gb(bytes)}, and ${gb(free)} may be used`, ...reasons],
      score: fits ? score : null,
      trainable,
      memoryBytes: bytes,
    })
  }
  add(
    'full',
    'Train all of it',
    'no Freeze layers; a rate near 2e-5, 1 to 3 epochs',
    f.parameters,
    f.bytes.full,
    1.2 + (f.goal === 'domain' ? 1.2 : 0) + (few ? -0.8 : 0.2) - 1.5 * strictness,
    [
      f.goal === 'domain' ? 'new knowledge or another language needs room everywhere' : 'learns most, and forgets most',
      ...(few ? [`${f.rows} rows are few for ${Math.round(f.parameters / 1e6)} million parameters: it would learn them by heart`] : []),
    ],
  )
  add(
    'layers',
    `Open the ${count === 1 ? 'layer' : `${count} layers`} that the task needs`,
    `Probe layers, then Freeze layers with its plan; a rate near 5e-4${f.tolerance === 'strict' ? '; mix in 5 % replay, and interpolate afterwards' : ''}`,
    count * f.perBlock,
    f.bytes.layers,
    1.6 + (few ? 0.3 : 0) - 0.6 * strictness - (f.goal === 'domain' ? 1 : 0),
    [
      'the backward pass ends below the lowest open layer, and the rest cannot be forgotten',
      'which layers matter depends on the task, so it is measured',
    ],
  )
  const capacity =
    enough === undefined
      ? 'even rank 256 may be too small for so many trained tokens'
      : `rank ${rank} holds about ${((BITS_PER_PARAMETER * rank * f.loraUnit) / Math.max(1, needed)).toFixed(1)} times what the answers say`
  add(
    'lora',
    `LoRA, rank ${rank}`,
    `r ${rank}, alpha ${2 * rank}, all linear layers, a rate near 2e-4, batches under 32${few ? ', at most 3 epochs with early stop' : ''}${f.goal === 'domain' ? '; mix in replay' : ''}`,
    rank * f.loraUnit,
    f.bytes.lora,
    1.7 + (enough === undefined ? -1.2 : 0) - 0.3 * strictness - (f.goal === 'domain' ? 0.6 : 0),
    [capacity, 'the model itself stays as it is, and the adapter can be taken off'],
  )
  if ((f.baseBits ?? 99) < 0.3)
    add('prompt', 'Ask first, train later', 'Validate the model with a good prompt before any training', 0, 0, 2.5, [
      `the model already predicts these answers at ${(f.baseBits as number).toFixed(2)} bits a token`,
    ])
  return options.sort((a, b) => (b.score ?? Number.NEGATIVE_INFINITY) - (a.score ?? Number.NEGATIVE_INFINITY))
}
