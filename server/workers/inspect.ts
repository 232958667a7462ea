/** Answers to inspections, inside the inspector's trainer: tokenizer and chat template only, no weights. */
import { encodeRow, type Row } from '../../engine/data/encode'
import { loadModel } from '../../engine/model'
import type { TokenView } from '../../nodes/_kit/tokens'
import { AppError, fromUnknown } from '../errors'
import type { ArtifactStore } from '../storage/artifact-store'
import { datasetTokens } from './inspect-dataset'
import { DatasetTokensQuestion, TokensQuestion } from './inspections'

/** @returns what answers inspections, over the datasets of this store. */
export const openInspections =
  (store: ArtifactStore) =>
  /** @throws AppError UNSUPPORTED, BAD_MODEL, ARTIFACT_MISSING, ARTIFACT_CORRUPT */
  async (kind: string, request: Record<string, unknown>): Promise<unknown> => {
    switch (kind) {
      case 'tokens':
        return tokens(request)
      case 'dataset-tokens': {
        const question = DatasetTokensQuestion.parse(request)
        return datasetTokens(await store.verifiedPath(question.artifact), question)
      }
      default:
        throw new AppError('UNSUPPORTED', {
          message: `This trainer cannot answer "${kind}".`,
          expected: 'tokens, dataset-tokens',
          got: kind,
        })
    }
  }

/** The very tokens and mask that training sees (UX: token view); a row that cannot be encoded says why, the others are shown. */
function tokens(request: Record<string, unknown>): TokenView {
  const { path, rows, train_on: trainOn } = TokensQuestion.parse(request)
  const model = loadModel(path)
  try {
    const { tokenizer, template } = model
    return {
      rows: rows.map((row) => {
        try {
          const encoded = encodeRow({ tokenizer, template, trainOn }, row as Row)
          return {
            tokens: [...encoded.ids].map((id, i) => ({
              id,
              text: tokenizer.decode([id], { skipSpecialTokens: false }),
              special: tokenizer.specialIds.has(id),
              trained: encoded.mask[i] === 1,
            })),
            trained: encoded.labels,
            endTrained: encoded.endTrained,
          }
        } catch (error) {
          return { tokens: [], trained: 0, endTrained: false, error: fromUnknown(error).message }
        }
      }),
    }
  } finally {
    model.close()
  }
}
