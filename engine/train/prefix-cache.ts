/**
 * Outputs of the frozen blocks, computed once per row and read back every epoch. They are always stored in the dtype they are fed in, in a
 * pass of fixed order and shapes before the first step, so a resumed training sees the same bits as an undisturbed one (E-4).
 */
import * as fs from 'node:fs'
import type { Executable } from '../backends/backend'
import { chooseBuckets } from '../data/batches'
import type { EncodedRow } from '../data/encode'
import { EngineError } from '../errors'
import { readExactly } from '../formats/safetensors'
import type { Program } from '../graph/types'
import { prefix, type WeightPlan } from '../programs/index'
import { breathe } from '../session'

/** Rows of one call of the prefix program, whatever the training's batch: it depends on nothing else, so the values repeat exactly. */
const BATCH = 8

type PrefixPlan = {
  readonly groups: readonly { readonly rows: readonly number[]; readonly program: Program; readonly length: number }[]
  readonly programs: readonly Program[]
}

/**
 * Groups rows by length and makes the programs, to be compiled with all others. With `wanted` only groups that hold one of these rows are
 * computed; what is in a group, and so every value, is the same.
 */
export function planPrefix(plan: WeightPlan, rows: readonly EncodedRow[], block: number, wanted?: ReadonlySet<number>): PrefixPlan {
  const lengthOf = (i: number) => rows[i]?.ids.length as number
  const order = rows.map((_, i) => i).sort((a, b) => lengthOf(b) - lengthOf(a) || a - b)
  const chunks: number[][] = []
  for (let i = 0; i < order.length; i += BATCH) chunks.push(order.slice(i, i + BATCH))
  const lengths = chunks.map((chunk) => lengthOf(chunk[0] as number))
  const buckets = chooseBuckets(lengths, 4)
  const programs = new Map(buckets.map((length) => [length, prefix(plan, { batch: BATCH, length, block })]))
  const groups = chunks.map((chunk) => {
    const length = buckets.find((size) => size >= lengthOf(chunk[0] as number)) as number
    return { rows: chunk, program: programs.get(length) as Program, length }
  })
  const used = wanted ? groups.filter((group) => group.rows.some((row) => wanted.has(row))) : groups
  return { programs: [...new Set(used.map(({ program }) => program))], groups: used }
}

type Bits = Uint16Array | Float32Array

export class PrefixCache {
  readonly #fd: number
  readonly #file: string
  readonly #hidden: number
  readonly #bytes: 2 | 4
  readonly #rows: readonly EncodedRow[]
  /** Position of each row's values in the file. */
  readonly #at: Float64Array

  constructor(file: string, rows: readonly EncodedRow[], hidden: number, dtype: 'bf16' | 'f32') {
    this.#file = file
    this.#rows = rows
    this.#hidden = hidden
    this.#bytes = dtype === 'bf16' ? 2 : 4
    this.#at = new Float64Array(rows.length)
    let at = 0
    rows.forEach((row, i) => {
      this.#at[i] = at
      at += row.ids.length * hidden * this.#bytes
    })
    this.#fd = fs.openSync(file, 'w+')
    // The space is claimed now: a full disk should stop a training before its first step, not in the middle.
    try {
      fs.ftruncateSync(this.#fd, at)
    } catch (cause) {
      fs.closeSync(this.#fd)
      throw new EngineError('bad_argument', 'there is no room for the cache of frozen blocks', {
        where: file,
        expected: `${at} bytes`,
        cause,
      })
    }
  }

  static sizeBytes(rows: readonly EncodedRow[], hidden: number, dtype: 'bf16' | 'f32'): number {
    return rows.reduce((sum, row) => sum + row.ids.length, 0) * hidden * (dtype === 'bf16' ? 2 : 4)
  }

  /** Computes all rows; yields how many are done. */
  async *fill(executable: Executable, { groups }: PrefixPlan, padId: number, signal?: AbortSignal): AsyncGenerator<number> {
    let done = 0
    for (const { rows, program, length } of groups) {
      if (signal?.aborted) throw new EngineError('cancelled', 'training was cancelled')
      const ids = new Int32Array(BATCH * length).fill(padId)
      rows.forEach((row, b) => {
        ids.set(this.#rows[row]?.ids as Int32Array, b * length)
      })
      const { hidden } = await executable.run(program.name, { ids })
      const bits = this.#toBits(hidden as Float32Array | Uint16Array)
      rows.forEach((row, b) => {
        const count = (this.#rows[row]?.ids.length as number) * this.#hidden
        const part = bits.subarray(b * length * this.#hidden, b * length * this.#hidden + count)
        const bytes = new Uint8Array(part.buffer, part.byteOffset, part.byteLength)
        for (let at = 0; at < bytes.byteLength; )
          at += fs.writeSync(this.#fd, bytes, at, bytes.byteLength - at, (this.#at[row] as number) + at)
      })
      done += rows.length
      yield done
      await breathe()
    }
  }

  /** Values that a backend gave as float32 are bf16 numbers already: their upper halves are exact. */
  #toBits(values: Float32Array | Uint16Array): Bits {
    if (this.#bytes === 4 || values instanceof Uint16Array) return values
    const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
    return Uint16Array.from(words, (word) => word >>> 16)
  }

  /** The feed `hidden` of a batch: rows side by side, zeros behind each. */
  read(rows: readonly number[], batch: number, length: number): Bits {
    const out = this.#bytes === 2 ? new Uint16Array(batch * length * this.#hidden) : new Float32Array(batch * length * this.#hidden)
    rows.forEach((row, b) => {
      const count = (this.#rows[row]?.ids.length as number) * this.#hidden
      const part = out.subarray(b * length * this.#hidden, b * length * this.#hidden + count)
      readExactly(this.#fd, new Uint8Array(part.buffer, part.byteOffset, part.byteLength), this.#at[row] as number, this.#file)
    })
    return out
  }

  close(): void {
    fs.closeSync(this.#fd)
    fs.rmSync(this.#file, { force: true })
  }
}
