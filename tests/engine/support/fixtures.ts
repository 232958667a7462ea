/** Reference cases as the engine's tests read them: see the READMEs of the reference values for what each number is. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { SafetensorsFile } from '../../../engine/formats/safetensors'
import { canonicalName, describeModel, type Model } from '../../../engine/models/index'

/** Small cases that live in the repository. */
export const REFERENCE = path.resolve(import.meta.dirname, '../../reference')

/** One folder for each architecture. */
export const REFERENCE_MODELS: readonly string[] = fs.readdirSync(path.join(REFERENCE, 'models')).sort()

export type StoredModel = { model: Model; read(name: string): Float32Array }

export function openModel(folder: string): StoredModel {
  const model = describeModel(readJson(path.join(folder, 'config.json')))
  const stored = new Map<string, { file: SafetensorsFile; name: string }>()
  for (const name of fs.readdirSync(folder).filter((file) => /^model.*\.safetensors$/.test(file))) {
    const file = SafetensorsFile.open(path.join(folder, name))
    for (const tensor of file.tensors.keys()) {
      const own = canonicalName(model, tensor)
      if (own) stored.set(own, { file, name: tensor })
    }
  }
  return {
    model,
    read: (name) => {
      const found = stored.get(name)
      if (!found) throw new Error(`${folder} has no ${name}`)
      return found.file.readFloat32(found.name)
    },
  }
}

// biome-ignore lint/suspicious/noExplicitAny: reference files have the shape that their README tells, checked by the tests that read them
export const readJson = (file: string): any => JSON.parse(fs.readFileSync(file, 'utf8'))
export const openTensors = (file: string) => SafetensorsFile.open(file)
export const readInts = (file: SafetensorsFile, name: string): Int32Array => Int32Array.from(file.readNumbers(name))

/** Which positions are scored (flattened), and against which token: labels shifted by one, −100 left out. Padded to `room`. */
export function labelFeeds(labels: Int32Array, length: number, room?: number) {
  const rows: number[] = []
  const targets: number[] = []
  for (let i = 0; i < labels.length; i++) {
    if (i % length === length - 1 || labels[i + 1] === -100) continue
    rows.push(i)
    targets.push(labels[i + 1] as number)
  }
  const padded = (values: number[]) => Int32Array.from({ length: room ?? values.length }, (_, i) => values[i] ?? 0)
  return {
    count: rows.length,
    rows: padded(rows),
    targets: padded(targets),
    weights: Float32Array.from({ length: room ?? rows.length }, (_, i) => (i < rows.length ? 1 : 0)),
  }
}

export function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>, where: (i: number) => boolean = () => true): number {
  if (a.length !== b.length) throw new Error(`lengths differ: ${a.length} and ${b.length}`)
  let worst = 0
  for (let i = 0; i < a.length; i++) {
    if (!where(i)) continue
    const difference = Math.abs((a[i] as number) - (b[i] as number))
    if (!(difference <= worst)) worst = difference
  }
  return worst
}

/** ‖a − b‖ / ‖b‖ */
export function relativeDifference(a: ArrayLike<number>, b: ArrayLike<number>, where: (i: number) => boolean = () => true): number {
  let difference = 0
  let norm = 0
  for (let i = 0; i < a.length; i++) {
    if (!where(i)) continue
    difference += ((a[i] as number) - (b[i] as number)) ** 2
    norm += (b[i] as number) ** 2
  }
  return Math.sqrt(difference / norm)
}

/** Shape of a tensor that must be there. */
export function shapeOf(file: SafetensorsFile, name: string): number[] {
  const entry = file.tensors.get(name)
  if (!entry) throw new Error(`${file.path} has no ${name}`)
  return [...entry.shape]
}
