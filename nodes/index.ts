/** The list of node types. Adding one: a file, a line here, a test. */
import { type CatalogEntry, catalogOf, type InstanceOf, instanceSchema } from './_kit/catalog'
import type { AnyNode } from './_kit/define-node'
import { adviseMethod } from './advise-method'
import { augmentCounterfactuals } from './augment-counterfactuals'
import { buildPreferencePairs } from './build-preference-pairs'
import { checkData } from './check-data'
import { cleanData } from './clean-data'
import { compareModels } from './compare-models'
import { estimateCost } from './estimate-cost'
import { exportModel } from './export'
import { findLabelErrors } from './find-label-errors'
import { findLearningRate } from './find-learning-rate'
import { findSuspects } from './find-suspects'
import { freezeLayers } from './freeze-layers'
import { generateContracts } from './generate-contracts'
import { interpolateWeights } from './interpolate-weights'
import { loadData } from './load-data'
import { loadModel } from './load-model'
import { measureRetention } from './measure-retention'
import { mixReplay } from './mix-replay'
import { predict } from './predict'
import { probeLayers } from './probe-layers'
import { raceMethods } from './race-methods'
import { report } from './report'
import { reviewRows } from './review-rows'
import { scoreAbstention } from './score-abstention'
import { scoreExtraction } from './score-extraction'
import { splitData } from './split-data'
import { testBias } from './test-bias'
import { train } from './train'
import { trainPreference } from './train-preference'
import { validate } from './validate'

/** In the order of a graph: the palette keeps it inside each group. */
const ALL = [
  loadModel,
  freezeLayers,
  probeLayers,
  findLearningRate,
  adviseMethod,
  estimateCost,
  raceMethods,
  interpolateWeights,
  loadData,
  generateContracts,
  checkData,
  cleanData,
  findLabelErrors,
  findSuspects,
  reviewRows,
  splitData,
  mixReplay,
  augmentCounterfactuals,
  buildPreferencePairs,
  train,
  trainPreference,
  validate,
  scoreExtraction,
  scoreAbstention,
  testBias,
  compareModels,
  measureRetention,
  predict,
  exportModel,
  report,
] as const satisfies readonly AnyNode[]
type Def = (typeof ALL)[number]

export const registry = Object.fromEntries(ALL.map((n) => [n.type, n])) as { [D in Def as D['type']]: D }
export type NodeType = keyof typeof registry

/** A node with its params, narrowed by its type. */
export type NodeInstance = InstanceOf<Def>
export const NodeInstance = instanceSchema(ALL)

/** Plain JSON: all that the palette, the forms, the CLI and the docs page need. */
export const catalog = (): CatalogEntry[] => catalogOf(ALL)
