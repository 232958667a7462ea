/** Answering against staying silent (SCI-97). */
import { auroc } from '../labels/label-errors'

/** One question: whether it has an answer, what became of it, and how sure the model seemed, 0…1. */
export type Attempt = { answerable: boolean; outcome: 'correct' | 'wrong' | 'abstained'; confidence: number }
export type Abstention = {
  counts: Record<'answerable' | 'unanswerable', Record<Attempt['outcome'], number>>
  /** Share of answerable questions that got an answer; wrong answers over answers; answerable ones left unanswered. */
  coverage: number
  wrongRate: number
  overAbstention: number
  /** (correct − cost · wrong) / questions. */
  net: number
  /** Whether confidence tells right answers from wrong ones; NaN where all are alike. */
  auroc: number
  /** Mean error rate over all coverages, surest first; ties count as their mean. */
  aurc: number
  /** Mean distance of confidence and share of right answers, in 15 bins. */
  calibrationError: number
  curve: { coverage: number; risk: number }[]
}

/** An abstention on an unanswerable question is correct silence and counts in nothing but the table. */
export function scoreAbstention(attempts: readonly Attempt[], wrongCost: number): Abstention {
  const counts = {
    answerable: { correct: 0, wrong: 0, abstained: 0 },
    unanswerable: { correct: 0, wrong: 0, abstained: 0 },
  }
  for (const a of attempts) counts[a.answerable ? 'answerable' : 'unanswerable'][a.outcome]++
  const answered = attempts.filter((a) => a.outcome !== 'abstained')
  const correct = counts.answerable.correct
  const wrong = counts.answerable.wrong + counts.unanswerable.wrong
  const answerable = counts.answerable.correct + counts.answerable.wrong + counts.answerable.abstained
  const { aurc, curve } = riskCurve(answered)
  const right = answered.filter((a) => a.outcome === 'correct')
  return {
    counts,
    coverage: answerable === 0 ? 0 : (counts.answerable.correct + counts.answerable.wrong) / answerable,
    wrongRate: answered.length === 0 ? 0 : wrong / answered.length,
    overAbstention: answerable === 0 ? 0 : counts.answerable.abstained / answerable,
    net: attempts.length === 0 ? 0 : (correct - wrongCost * wrong) / attempts.length,
    auroc:
      right.length === 0 || right.length === answered.length
        ? Number.NaN
        : auroc(
            answered.map((a) => a.confidence),
            answered.map((a) => a.outcome === 'wrong'),
          ),
    aurc,
    calibrationError: calibration(answered, 15),
    curve,
  }
}

/** Error rate among the surest share, for every share. Attempts of one confidence come in no order: each place holds their mean. */
export function riskCurve(answered: readonly Attempt[]): { aurc: number; curve: { coverage: number; risk: number }[] } {
  const sorted = answered.toSorted((a, b) => b.confidence - a.confidence)
  const curve: { coverage: number; risk: number }[] = []
  let errors = 0
  for (let i = 0; i < sorted.length; ) {
    let j = i
    while (j < sorted.length && sorted[j]?.confidence === sorted[i]?.confidence) j++
    const wrong = sorted.slice(i, j).filter((a) => a.outcome === 'wrong').length / (j - i)
    for (; i < j; i++) {
      errors += wrong
      curve.push({ coverage: (i + 1) / sorted.length, risk: errors / (i + 1) })
    }
  }
  return { aurc: curve.length === 0 ? 0 : curve.reduce((sum, p) => sum + p.risk, 0) / curve.length, curve }
}

function calibration(answered: readonly Attempt[], bins: number): number {
  const sums = Array.from({ length: bins }, () => ({ n: 0, right: 0, confidence: 0 }))
  for (const a of answered) {
    const bin = sums[Math.min(bins - 1, Math.max(0, Math.ceil(a.confidence * bins) - 1))] as (typeof sums)[number]
    bin.n++
    bin.confidence += a.confidence
    if (a.outcome === 'correct') bin.right++
  }
  return sums.reduce((total, s) => total + (s.n === 0 ? 0 : Math.abs(s.right - s.confidence) / answered.length), 0)
}
