/** Answers to questions about tokens (ARCHITECTURE.md, inspections): what workers give and the token view shows. */
export type TokenView = {
  /** Tokens in order; `text` is the piece of the rendered text that the token stands for. */
  rows: {
    tokens: { id: number; text: string; special: boolean; trained: boolean }[]
    trained: number
    endTrained: boolean
    error?: string
  }[]
}

/** Lists by row hold the rows that were read, in the order of the dataset; the others hold their indexes. */
export type DatasetTokens = {
  rows: number
  /** Fewer than `rows` where the dataset is larger than an answer may be. */
  read: number
  /** Tokens of each row; −1 where it cannot be written as tokens. */
  lengths: number[]
  /** Trained tokens of each row. */
  trained: number[]
  endNotTrained: number[]
  /** Rows with the very tokens of an earlier one. */
  duplicates: number[]
  faults: { row: number; message: string }[]
  /** What a training does with rows above the limit. */
  tooLong: 'left-out' | 'split'
  /** Positions of the first epoch; null where no batch size was given. */
  padding: { positions: number; padded: number } | null
}
