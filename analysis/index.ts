/** Pure functions over rows and numbers: readers, formats, splits, scores. No TensorFlow, nothing of ours. */
export { type Abstention, type Attempt, riskCurve, scoreAbstention } from './extraction/abstention'
export { canonicalField, FIELD_TYPES, type FieldType, isAbsent, Source, typeOfValues } from './extraction/fields'
export { type Mistake, mistakesOf, promptTurnsOf, typesOfAnswers } from './extraction/mistakes'
export { type ExtractionScore, type Outcome, scoreExtraction } from './extraction/score'
export { type Conversion, type Detection, detectFormat, FORMATS, type Format, type Mapping, shapeOf, toCanonicalRows } from './formats'
export { canonicalJson, contentId } from './hash'
export { type ByteSource, type DataHeader, dataHeader } from './header'
export { auroc, judgeLabels, type LabelErrors, labelErrors } from './labels/label-errors'
export {
  gainOf,
  type LayerParameter,
  learned,
  marchenkoPasturMedian,
  rankCorrelation,
  relativeGradient,
  spectrumCalibrated,
  spectrumPublished,
  type Unit,
  unitsOf,
} from './layers/probe'
export { type AnswerScores, extractObject, type RowScore, scoreAnswers } from './metrics/answers'
export { bootstrap, type Interval, intervalOf, pairedBootstrap } from './metrics/bootstrap'
export { canonicalValue, levelText } from './metrics/canonical'
export { mcnemar } from './metrics/mcnemar'
export { SWAP_TABLES, type SwapTable, swapRow, swapText } from './mixing/counterfactuals'
export { mixRows, REPLAY_PROMPTS, reshaped, trainedChars } from './mixing/replay'
export { CHECK_TITLES, CHECKS, type Check, checkRows, excerpt, SEVERITY } from './quality/check'
export { type CleanChoices, cleanRows } from './quality/clean'
export { askedOf, contentOf } from './quality/words'
export { seeded } from './random'
export { containerOf, readTable } from './readers/index'
export { GENERAL_TEXT } from './retention/general-text'
export { type DocumentScore, gravity, overlapOf, pieces, type Retention, retentionOf } from './retention/retention'
export { answerOf, type CanonicalRow, lengthOf, lengthsOf, packRows, parseJsonl, promptOf, questionOf, rowsToJsonl } from './rows'
export { columnValue, levelled, quotas, type Split, splitRows, timeOf } from './splits'
export { dynamicsOf, outlyingScores, type RowDynamics } from './suspects/dynamics'
export { applyReview, type Decision, withAnswer } from './suspects/review'
export { type Container, type Fault, READ_LIMITS, type SourceRow, type Table } from './table'
export { type AdviceFacts, type AdviceOption, adviseMethod } from './training/advice'
export { epochJumps, type FitCurves, type FitVerdict, fitVerdict, slopeOf } from './training/fit'
export { frontierOf, goOn, type Heat } from './training/halving'
export {
  divergenceIndex,
  memorisationIndex,
  type RateRule,
  roundRate,
  smoothed,
  suggestRate,
  sweepRates,
  usable,
  valleyIndex,
} from './training/learning-rate'
