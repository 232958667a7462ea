/** Under- and overfitting from the curves of one training, with the rule that fired (SCI-50…54). Pure: the same for live and finished runs. */

export type FitCurves = {
  /** Training loss by step. */
  steps: readonly { step: number; loss: number }[]
  /** Validation loss by step, with its standard error over rows where it is known. */
  evaluations: readonly { step: number; loss: number; standardError?: number }[]
  /** Validation loss before training, where it is known. */
  before?: number | undefined
  /** Memorisation index (SCI-42), where it was measured. */
  memorisation?: number | undefined
  stepsPerEpoch?: number | undefined
}
export type FitVerdict = {
  kind: 'healthy' | 'overfit' | 'underfit' | 'memorising' | 'noisy_labels' | 'diverged' | 'unknown'
  /** Name of the rule, and the numbers it saw. */
  rule: string
  text: string
  evidence: string
  /** What to try next; null where nothing needs to be. */
  action: string | null
  bestStep: number | null
}

const mean = (list: readonly number[]): number => (list.length === 0 ? Number.NaN : list.reduce((a, b) => a + b, 0) / list.length)
const deviation = (list: readonly number[]): number => {
  const m = mean(list)
  return list.length < 2 ? 0 : Math.sqrt(list.reduce((s, x) => s + (x - m) ** 2, 0) / (list.length - 1))
}
const say = (x: number): string => (Math.abs(x) >= 100 ? x.toFixed(0) : x.toPrecision(3))

/** Least squares of y over x, with the standard error of the slope. */
export function slopeOf(points: readonly (readonly [number, number])[]): { slope: number; standardError: number } {
  const n = points.length
  const mx = mean(points.map(([x]) => x))
  const my = mean(points.map(([, y]) => y))
  const sxx = points.reduce((s, [x]) => s + (x - mx) ** 2, 0)
  if (n < 3 || sxx === 0) return { slope: 0, standardError: Number.POSITIVE_INFINITY }
  const slope = points.reduce((s, [x, y]) => s + (x - mx) * (y - my), 0) / sxx
  const rest = points.reduce((s, [x, y]) => s + (y - my - slope * (x - mx)) ** 2, 0)
  return { slope, standardError: Math.sqrt(rest / (n - 2) / sxx) }
}

/** Fall of the loss across the ends of epochs: mean of each last tenth minus mean of the next first tenth, and its error (SCI-43). */
export function epochJumps(curves: Pick<FitCurves, 'steps' | 'stepsPerEpoch'>): { step: number; jump: number; standardError: number }[] {
  const per = curves.stepsPerEpoch ?? 0
  const window = Math.floor(per / 10)
  if (window < 2) return []
  const last = curves.steps.at(-1)?.step ?? 0
  return Array.from({ length: Math.floor(last / per) }, (_, e) => (e + 1) * per).flatMap((end) => {
    const before = curves.steps.filter((s) => s.step > end - window && s.step <= end).map((s) => s.loss)
    const after = curves.steps.filter((s) => s.step > end && s.step <= end + window).map((s) => s.loss)
    if (before.length < 2 || after.length < 2) return []
    return [
      {
        step: end,
        jump: mean(before) - mean(after),
        standardError: Math.sqrt(deviation(before) ** 2 / before.length + deviation(after) ** 2 / after.length),
      },
    ]
  })
}

/** The verdict, gravest rule first. Without evaluations only divergence can be told. */
export function fitVerdict(curves: FitCurves): FitVerdict {
  const { steps, evaluations } = curves
  const verdict = (kind: FitVerdict['kind'], rule: string, text: string, evidence: string, action: string | null): FitVerdict => ({
    kind,
    rule,
    text,
    evidence,
    action,
    bestStep: best?.step ?? null,
  })
  const finite = evaluations.filter((e) => Number.isFinite(e.loss))
  const best = finite.length === 0 ? null : finite.reduce((a, b) => (b.loss < a.loss ? b : a))
  const first = mean(steps.slice(0, Math.max(1, Math.min(20, Math.floor(steps.length / 8)))).map((s) => s.loss))
  const tail = steps.slice(-Math.max(5, Math.floor(steps.length / 5)))
  const late = mean(tail.map((s) => s.loss))
  if ([...steps, ...evaluations].some((s) => !Number.isFinite(s.loss)) || late > 3 * first)
    return verdict(
      'diverged',
      'loss no number, or above three times its start',
      'The training went astray.',
      `The loss began at ${say(first)} and ended at ${say(late)}.`,
      'Lower the learning rate to a third, or warm up longer.',
    )
  if (!best || finite.length < 2)
    return verdict(
      'unknown',
      'fewer than two evaluations',
      'Without validation rows nobody can tell whether the model learned the task or only these rows.',
      `${evaluations.length} evaluations.`,
      'Wire validation rows.',
    )
  const end = finite.at(-1) as (typeof finite)[number]
  const error = Math.max(end.standardError ?? noiseOf(finite.map((e) => e.loss)), 1e-9)
  const half = steps.slice(steps.length >> 1).map((s) => [s.step, s.loss] as const)
  const training = slopeOf(half)
  const falling = training.slope < 0
  const jumps = epochJumps(curves)
  const jump = jumps.find((j) => j.jump > 2 * j.standardError && j.jump > 0.05 * Math.max(first, 1e-9))
  const gap = end.loss > 0 ? (end.loss - late) / end.loss : 0
  if (end.loss > best.loss + 2 * error && best.step < end.step && (falling || late < 0.5 * end.loss)) {
    const rise = 100 * (end.loss / best.loss - 1)
    return verdict(
      'overfit',
      'validation loss above its best by two standard errors while the training loss falls',
      `The model overfits: validation was best at step ${best.step} and is ${rise.toFixed(0)} % worse at the end.`,
      `Validation ${say(best.loss)} → ${say(end.loss)} (error ${say(error)}), training ${say(late)} at the end, gap ${(100 * gap).toFixed(0)} %.`,
      `Stop at step ${best.step}: keep “Keep the best” on and train about ${best.step} steps; more rows help more than anything.`,
    )
  }
  if ((curves.memorisation ?? 0) > 0.2 || jump)
    return verdict(
      'memorising',
      jump ? 'the loss jumps down where rows come again' : 'rows that were seen fell much more than others',
      'The model learns the rows by heart.',
      jump
        ? `At step ${jump.step} the training loss fell by ${say(jump.jump)} at once.`
        : `Memorisation index ${say(curves.memorisation ?? 0)}.`,
      'Train fewer epochs or at a lower rate; take repeats out of the data.',
    )
  // Noise in the labels leaves a high floor whose single batches differ much, although what can be learned is still being learned.
  const improving = finite.length >= 3 && end.loss < (finite[0] as { loss: number }).loss - 2 * error
  const spread = deviation(tail.map((s) => s.loss))
  if (improving && steps.length >= 20 && late > 0.5 * first && spread > 0.15 * late)
    return verdict(
      'noisy_labels',
      'training loss stays high with much variance while validation improves',
      'The training loss stalls high and differs much from batch to batch: some labels may be wrong.',
      `Training ${say(first)} → ${say(late)} (spread ${say(spread)}), validation ${say((finite[0] as { loss: number }).loss)} → ${say(end.loss)}.`,
      'Run Find label errors or Find suspects on the training rows.',
    )
  const last = finite.slice(-Math.max(3, Math.ceil(finite.length / 5)))
  const window = last.map((e) => [Math.log(Math.max(1, e.step)), e.loss] as const)
  const trend = slopeOf(window)
  // Few points may lie on a line by chance: a slope is not known better than a quarter of the error of a point allows.
  const room = deviation(window.map(([x]) => x)) * Math.sqrt(window.length - 1)
  const unsure = Math.max(trend.standardError, room > 0 ? (0.25 * error) / room : 0)
  const start = curves.before ?? (finite[0] as { loss: number }).loss
  const gain = start - best.loss
  if (gain < 2 * error)
    return verdict(
      'underfit',
      'gain on validation below two standard errors',
      'The model learned next to nothing.',
      `Validation ${say(start)} → ${say(best.loss)}, error ${say(error)}.`,
      'Raise the learning rate tenfold, train longer, or open more layers.',
    )
  if (trend.slope < -2 * unsure && Math.abs(trend.slope) * Math.log(2) > error)
    return verdict(
      'underfit',
      'validation loss still falls at the end',
      'The model was still learning when training ended.',
      `Validation ${say((last[0] as { loss: number }).loss)} → ${say(end.loss)} over the last evaluations.`,
      'Train longer: another epoch continues from here.',
    )
  return verdict(
    'healthy',
    'no rule fired',
    `Training looks healthy: validation fell by ${say(gain)} and stayed there.`,
    `Validation ${say(start)} → ${say(end.loss)}, best ${say(best.loss)} at step ${best.step}; training ${say(late)}.`,
    null,
  )
}

/** Noise of a curve without errors of its own: half the spread of its second differences, which a smooth trend hardly has. */
function noiseOf(list: readonly number[]): number {
  const second = list.slice(2).map((x, i) => x - 2 * (list[i + 1] as number) + (list[i] as number))
  return second.length === 0
    ? 0.02 * Math.abs(list.at(-1) ?? 0)
    : Math.max(0.005 * Math.abs(mean(list)), deviation([...second, 0]) / Math.sqrt(6))
}
