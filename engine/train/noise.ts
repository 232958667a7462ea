/** NEFTune's noise (Jain et al. 2023): uniform on the embeddings of training rows. */
import type { BatchShape } from '../data/batches'
import { Random } from '../data/random'

/** [batch · length, hidden] in ± alpha / √(length · hidden); the same for the same seed and stream, so that a resumed training sees it again. */
export function embeddingNoise(
  { batch, length }: Pick<BatchShape, 'batch' | 'length'>,
  hidden: number,
  alpha: number,
  seed: number,
  stream: string,
): Float32Array {
  const random = Random.of(seed, `noise of ${stream}`)
  const magnitude = alpha / Math.sqrt(length * hidden)
  return Float32Array.from({ length: batch * length * hidden }, () => (random.uint32() / 2 ** 31 - 1) * magnitude)
}
