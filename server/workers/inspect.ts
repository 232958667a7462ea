/** Answers to inspections, inside the inspector's trainer: tokenizer and chat template only, no weights. */
import { encodeRow, type Row } from '../../engine/data/encode'
import { loadModel } from '../../engine/model'
import { AppError, fromUnknown } from '../errors'
import { TokensQuestion, type TokenView } from './inspections'

/** @throws AppError UNSUPPORTED, BAD_MODEL */
export async function inspect(kind: string, request: Record<string, unknown>): Promise<unknown> {
  if (kind !== 'tokens')
    throw new AppError('UNSUPPORTED', { message: `This trainer cannot answer "${kind}".`, expected: 'tokens', got: kind })
  return tokens(request)
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
