/** Singular values of a matrix, as square roots of the eigenvalues of its smaller Gram matrix, all in float64. */

/** `values` row by row. Descending; as many as the smaller side. */
export function singularValues(values: Float32Array, rows: number, columns: number): Float64Array {
  const n = Math.min(rows, columns)
  const m = Math.max(rows, columns)
  const wide = columns > rows
  // One row of `lines` per dimension of the smaller side: products then run along memory.
  const lines = Array.from({ length: n }, (_, i) =>
    wide
      ? Float64Array.from(values.subarray(i * columns, (i + 1) * columns))
      : Float64Array.from({ length: m }, (_, k) => values[k * columns + i] as number),
  )
  const gram = Array.from({ length: n }, () => new Float64Array(n))
  for (let i = 0; i < n; i++) {
    const a = lines[i] as Float64Array
    for (let j = 0; j <= i; j++) {
      const b = lines[j] as Float64Array
      let sum = 0
      for (let k = 0; k < m; k++) sum += (a[k] as number) * (b[k] as number)
      ;(gram[i] as Float64Array)[j] = sum
      ;(gram[j] as Float64Array)[i] = sum
    }
  }
  return eigenvalues(gram)
    .map((x) => Math.sqrt(Math.max(0, x)))
    .sort()
    .reverse()
}

/** Eigenvalues of a symmetric matrix, which is overwritten: Householder to tridiagonal form, then implicit QL. */
function eigenvalues(a: Float64Array[]): Float64Array {
  const n = a.length
  const d = new Float64Array(n)
  const e = new Float64Array(n)
  for (let i = n - 1; i > 0; i--) {
    const row = a[i] as Float64Array
    let scale = 0
    for (let k = 0; k < i; k++) scale += Math.abs(row[k] as number)
    if (i === 1 || scale === 0) {
      e[i] = row[i - 1] as number
      d[i] = 0
      continue
    }
    let h = 0
    for (let k = 0; k < i; k++) {
      row[k] = (row[k] as number) / scale
      h += (row[k] as number) ** 2
    }
    const f = row[i - 1] as number
    const g = f >= 0 ? -Math.sqrt(h) : Math.sqrt(h)
    e[i] = scale * g
    h -= f * g
    row[i - 1] = f - g
    let fold = 0
    for (let j = 0; j < i; j++) {
      const line = a[j] as Float64Array
      let sum = 0
      for (let k = 0; k <= j; k++) sum += (line[k] as number) * (row[k] as number)
      for (let k = j + 1; k < i; k++) sum += ((a[k] as Float64Array)[j] as number) * (row[k] as number)
      e[j] = sum / h
      fold += (e[j] as number) * (row[j] as number)
    }
    const half = fold / (h + h)
    for (let j = 0; j < i; j++) {
      const fj = row[j] as number
      const gj = (e[j] as number) - half * fj
      e[j] = gj
      const line = a[j] as Float64Array
      for (let k = 0; k <= j; k++) line[k] = (line[k] as number) - (fj * (e[k] as number) + gj * (row[k] as number))
    }
    d[i] = h
  }
  for (let i = 0; i < n; i++) d[i] = (a[i] as Float64Array)[i] as number
  for (let i = 1; i < n; i++) e[i - 1] = e[i] as number
  e[n - 1] = 0
  for (let l = 0; l < n; l++) {
    for (let tries = 0; tries < 60; tries++) {
      let m = l
      for (; m < n - 1; m++) {
        const size = Math.abs(d[m] as number) + Math.abs(d[m + 1] as number)
        if (Math.abs(e[m] as number) <= Number.EPSILON * size) break
      }
      if (m === l) break
      let g = ((d[l + 1] as number) - (d[l] as number)) / (2 * (e[l] as number))
      let r = Math.hypot(g, 1)
      g = (d[m] as number) - (d[l] as number) + (e[l] as number) / (g + (g >= 0 ? r : -r))
      let s = 1
      let c = 1
      let p = 0
      let i = m - 1
      for (; i >= l; i--) {
        let f = s * (e[i] as number)
        const b = c * (e[i] as number)
        r = Math.hypot(f, g)
        e[i + 1] = r
        if (r === 0) {
          d[i + 1] = (d[i + 1] as number) - p
          e[m] = 0
          break
        }
        s = f / r
        c = g / r
        g = (d[i + 1] as number) - p
        r = ((d[i] as number) - g) * s + 2 * c * b
        p = s * r
        d[i + 1] = g + p
        g = c * r - b
        f = 0
      }
      if (r === 0 && i >= l) continue
      d[l] = (d[l] as number) - p
      e[l] = g
      e[m] = 0
    }
  }
  return d
}
