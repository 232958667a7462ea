/** What topics share: finding and reading reference files, and the backend. Cases are known by their folder and keys, never by their names. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import type { Backend } from '../../engine/backends/backend'
import { EngineError } from '../../engine/errors'
import { SafetensorsFile } from '../../engine/formats/safetensors'
import type { Report } from './report'

export type Context = {
  readonly root: string
  readonly report: Report
  readonly backend: Backend
  /** Folders with models that are too large for a fixture, such as THAW_CACHE/models. */
  readonly modelFolders: readonly string[]
}

// biome-ignore lint/suspicious/noExplicitAny: the files are references from outside, of many shapes; each topic checks the keys it reads
export type Json = any

/** Non-finite numbers stand as text in the references. */
export const number = (value: unknown): number =>
  typeof value === 'string' ? Number(value === 'Infinity' || value === '-Infinity' ? value : 'NaN') : (value as number)

export const readJson = (...parts: string[]): Json => JSON.parse(fs.readFileSync(path.join(...parts), 'utf8'))
export const exists = (...parts: string[]): boolean => fs.existsSync(path.join(...parts))
export const foldersIn = (folder: string): string[] =>
  fs
    .readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort()

/** Tensors of a safetensors file as typed arrays, by name. */
export class Tensors {
  readonly #file: SafetensorsFile
  constructor(...parts: string[]) {
    this.#file = SafetensorsFile.open(path.join(...parts))
  }
  has(name: string): boolean {
    return this.#file.tensors.has(name)
  }
  get names(): string[] {
    return [...this.#file.tensors.keys()]
  }
  shape(name: string): readonly number[] {
    return this.#file.tensors.get(name)?.shape ?? []
  }
  floats(name: string): Float32Array {
    return this.#file.readFloat32(name)
  }
  numbers(name: string): Float64Array {
    return this.#file.readNumbers(name)
  }
  bytes(name: string): Uint8Array {
    return this.#file.readBytes(name)
  }
  close(): void {
    this.#file.close()
  }
}

/**
 * Runs a case. What is not built yet is a skip with its reason; everything else that is thrown is a failure, and so is a case of which nothing
 * was compared.
 */
export async function runCase(context: Context, folder: string, body: (at: string) => Promise<void> | void): Promise<void> {
  const at = path.relative(context.root, folder) || '.'
  const before = context.report.lines.length
  try {
    await body(at)
    if (context.report.lines.length === before) context.report.fail(at, 'unread', 'nothing of it was compared')
  } catch (error) {
    if (error instanceof EngineError && error.code === 'unsupported') context.report.skip(at, error.message)
    else context.report.fail(at, 'threw', error instanceof Error ? error.message : String(error))
  }
}
