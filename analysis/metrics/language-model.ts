/** How surprised a model is by a text: perplexity in tokens, bits per byte to compare models with different tokenizers. */

export type TextScore = {
  tokens: number
  bytes: number
  nll: number
  perplexity: number
  bitsPerToken: number
  bitsPerByte: number
  bytePerplexity: number
}

/** @param logprobs of the actual tokens, in nats; several texts are pooled by giving their sums, never by averaging perplexities. */
export function textScore(logprobs: readonly number[], utf8Bytes: number): TextScore {
  const total = -logprobs.reduce((a, b) => a + b, 0)
  const mean = total / logprobs.length
  const bitsPerByte = total / Math.LN2 / utf8Bytes
  return {
    tokens: logprobs.length,
    bytes: utf8Bytes,
    nll: mean,
    perplexity: Math.exp(mean),
    bitsPerToken: mean / Math.LN2,
    bitsPerByte,
    bytePerplexity: 2 ** bitsPerByte,
  }
}
