/** Carries out a training that is fully settled: tells its progress, and makes handle and metrics of its end. Shared by the nodes that train. */
import type { RunContext } from './context'
import { NodeError } from './node-error'
import type { Metrics, ModelHandle } from './ports'
import { plural } from './words'

type Point = { step: number; loss: number }
type Curves = { readonly steps: readonly Point[]; readonly evaluations: readonly Point[] }

export type TrainJob = Parameters<RunContext['engine']['train']>[0]

/**
 * @param trainable parameters that change, for the lineage
 * @param judge tells under- from overfitting by the curves (SCI-51)
 * @throws NodeError `stopped` where somebody stopped it, with its checkpoint kept
 */
export async function followTraining(
  ctx: RunContext,
  job: TrainJob,
  trainable: number,
  judge?: (curves: Curves) => { kind: string; text: string; evidence: string; action: string | null },
): Promise<{ model: ModelHandle; metrics: Metrics }> {
  const { model, data, args } = job
  let totalSteps = 0
  let drawn: Readonly<Record<string, number>> = {}
  const speeds: number[] = []
  const curves: { steps: Point[]; evaluations: Point[] } = { steps: [], evaluations: [] }
  for await (const event of ctx.engine.train(job)) {
    switch (event.type) {
      case 'start':
        totalSteps = event.totalSteps
        if (event.dropped > 0) {
          const share = event.dropped / (event.rows + event.dropped)
          ctx.log(`${plural(event.dropped, 'row')} longer than ${args.max_length} tokens left out (${(share * 100).toFixed(1)} %)`, 'warn')
        }
        if (event.fromStep > 0) ctx.log(`Continues from step ${event.fromStep}`)
        ctx.progress(event.fromStep, totalSteps, 'steps')
        break
      case 'preparing':
        ctx.progress(event.done, event.total, event.what)
        break
      case 'step': {
        const { type: _, seconds: __, metrics = {}, ...point } = event
        if (event.tokens_per_second > 0) speeds.push(event.tokens_per_second)
        drawn = { ...drawn, ...metrics }
        curves.steps.push({ step: event.step, loss: event.loss })
        ctx.metrics({ ...point, ...metrics })
        ctx.progress(event.step, totalSteps, 'steps')
        break
      }
      case 'eval':
        drawn = { ...drawn, ...event.metrics }
        curves.evaluations.push({ step: event.step, loss: event.eval_loss })
        ctx.metrics({ step: event.step, epoch: event.epoch, eval_loss: event.eval_loss, ...event.metrics })
        ctx.log(`Step ${event.step}: validation loss ${event.eval_loss.toFixed(4)}`)
        break
      case 'checkpoint':
        ctx.log(`Checkpoint at step ${event.step}`)
        break
      case 'stopped':
        throw new NodeError('stopped', `Stopped at step ${event.step}; the checkpoint is kept.`, {
          fix: 'Run again to continue from there.',
        })
      case 'done': {
        if (event.endedEarly)
          ctx.log(`Ended early at step ${event.step}: ${plural(args.early_stopping_patience, 'validation')} without a lower loss.`)
        const verdict = judge?.(curves)
        // After a resume near its end the curves tell nothing.
        if (verdict && verdict.kind !== 'unknown')
          ctx.log(
            [verdict.text, verdict.evidence, ...(verdict.action === null ? [] : [verdict.action])].join(' '),
            ['overfit', 'memorising', 'diverged'].includes(verdict.kind) ? 'warn' : 'info',
          )
        speeds.sort((a, b) => a - b)
        const entry = {
          node: ctx.node,
          data: data.artifact,
          source: data.source,
          steps: event.step,
          epochs: event.epochs,
          seed: args.seed,
          parameters: trainable,
        }
        return {
          model: { ...model, delta: event.delta, adapter: event.adapter, lineage: [...model.lineage, entry] },
          metrics: {
            train_loss: event.train_loss,
            ...(event.eval_loss !== null && { eval_loss: event.eval_loss }),
            ...(event.bestStep !== null && { best_step: event.bestStep }),
            steps: event.step,
            epochs: event.epochs,
            learning_rate: args.learning_rate,
            tokens_per_second: speeds[speeds.length >> 1] ?? 0,
            seconds: event.seconds,
            ...drawn,
          },
        }
      }
    }
  }
  throw new Error('Training ended without a result.')
}
