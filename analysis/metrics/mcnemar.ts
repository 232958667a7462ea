/** McNemar's test: do two models that answered the same rows differ? Only the rows on which exactly one is right count. */

export type McNemar = { onlyA: number; onlyB: number; exactP: number; chiSquare: number; chiSquareP: number }

export function mcnemar(a: readonly boolean[], b: readonly boolean[]): McNemar {
  let [onlyA, onlyB] = [0, 0]
  for (const [i, right] of a.entries()) {
    if (right && !b[i]) onlyA++
    if (!right && b[i]) onlyB++
  }
  const n = onlyA + onlyB
  const chiSquare = n === 0 ? 0 : (Math.abs(onlyA - onlyB) - 1) ** 2 / n
  return {
    onlyA,
    onlyB,
    exactP: binomialTwoSided(Math.min(onlyA, onlyB), n),
    chiSquare,
    chiSquareP: n === 0 ? 1 : erfc(Math.sqrt(chiSquare / 2)),
  }
}

/** Two-sided exact binomial probability at p = ½: twice the smaller tail, at most 1. Summed in logarithms, so that n may be large. */
function binomialTwoSided(k: number, n: number): number {
  if (n === 0) return 1
  let term = -n * Math.LN2
  let tail = Math.exp(term)
  for (let i = 1; i <= k; i++) {
    term += Math.log(n - i + 1) - Math.log(i)
    tail += Math.exp(term)
  }
  return Math.min(1, 2 * tail)
}

/** Complementary error function: its series below 2.5, its continued fraction (Lentz) above; relative error under 1e-13. */
export function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x)
  if (x < 2.5) {
    let term = x
    let sum = x
    for (let n = 1; n < 200 && Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= (-x * x) / n
      sum += term / (2 * n + 1)
    }
    return 1 - (2 / Math.sqrt(Math.PI)) * sum
  }
  let f = x
  let c = x
  let d = 0
  for (let n = 1; n < 500; n++) {
    const a = n / 2
    d = 1 / (x + a * d)
    c = x + a / c
    const delta = c * d
    f *= delta
    if (Math.abs(delta - 1) < 1e-16) break
  }
  return Math.exp(-x * x) / (f * Math.sqrt(Math.PI))
}
