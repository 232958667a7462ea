/**
 * Programs: pure functions of a weight plan and a spec. Use:
 *
 *   const model = describeModel(configJson)
 *   const plan = planWeights(model, { trainable, precision: 'bf16' })
 *   const step = trainStep(plan, { batch: 8, length: 192, labels: 512, optimizer })
 *   const executable = await backend.compile([step, evaluate(plan, { … })])
 *   await writeWeights(executable, plan, (name) => source.readFloat32(name))
 *   const { loss, gradNorm } = await executable.run(step.name, { ids, rows, targets, weights, scale, ...adamFeeds({ … }) })
 *   await readWeight(executable, plan, 'model.norm.weight')
 *
 * spec.ts says what every feed and fetch is.
 */
export { type AdamFeeds, adamFeeds } from './adam'
export { averageShare } from './average'
export { evaluate, logits, lowestTrainableBlock, prefix } from './evaluate'
export { type ReadSpec, read, type WriteSpec, write } from './generate'
export { momentsOf, optimizerFeeds, type State, stateShape } from './optimizers'
export { accumulatePreference, evaluatePreference, mismatchKl, type PreferenceSpec, preferenceStep } from './preference'
export { ownOf, planSides, type Sides } from './sides'
export * from './spec'
export { accumulate, applyGradients, trainStep } from './train-step'
export {
  averagedPlan,
  type Moment,
  planWeights,
  readMoment,
  readWeight,
  type StoredWeight,
  stateName,
  trainableReader,
  type WeightPlan,
  writeMoments,
  writeWeights,
} from './weights'
