/**
 * A checkpoint: all that training needs to go on as if nothing had happened, as a folder of safetensors and JSON (F-6). File names are
 * those of Hugging Face where such a file exists; pickle files are neither written nor read.
 */
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { EngineError } from '../errors'
import { readJsonObject } from '../formats/hf-folder'
import { floatTensor, SafetensorsFile, writeSafetensors } from '../formats/safetensors'

/** JSON part of a checkpoint. Everything that is not a tensor. */
export type CheckpointState = {
  /** Optimizer steps done. */
  readonly step: number
  readonly epoch: number
  readonly totalSteps: number
  readonly epochs: number
  /** Settings that must be the same for the training to go on (all but its length), and what they train on. */
  readonly identity: Readonly<Record<string, unknown>>
  readonly best: { readonly metric: number; readonly step: number } | null
  /** Sums since the last log line, tokens so far, watchdog: what the next event needs. */
  readonly running: Readonly<Record<string, number>>
  readonly log: readonly Readonly<Record<string, number>>[]
}

export type CheckpointTensors = {
  readonly names: readonly string[]
  shape(name: string): readonly number[]
  /** Called once per tensor and file, in turn, so that only one is in memory. */
  weight(name: string): Promise<Float32Array>
  /** What the optimizer keeps beside each weight. */
  readonly states: readonly {
    readonly name: StateName
    /** Null: not kept beside this parameter. */
    shape(name: string): readonly number[] | null
    read(name: string): Promise<Float32Array>
  }[]
  /** Weights of the best evaluation so far; null where there was none, or where they are the weights of this very step. */
  best: ReadonlyMap<string, Float32Array> | null
}

/** Names in the optimizer's file, before the parameter's: torch's and transformers' where they have one. */
const STATE_PREFIXES = {
  first: 'exp_avg',
  second: 'exp_avg_sq',
  rows: 'exp_avg_sq_row',
  columns: 'exp_avg_sq_col',
  average: 'ema',
} as const
export type StateName = keyof typeof STATE_PREFIXES

export const WEIGHTS_FILE = 'model.safetensors'
export const OPTIMIZER_FILE = 'optimizer.safetensors'
export const BEST_FILE = 'best.safetensors'
const STATE_FILE = 'trainer_state.json'
const COMPLETE_FILE = 'complete.json'

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`

/**
 * Writes a checkpoint folder. It appears under its name only when whole: a temporary folder, files synced, `complete.json` with sizes and
 * digests last, then a rename (F-8). Returns the files beside `complete.json`.
 */
export async function writeCheckpoint(folder: string, state: CheckpointState, tensors: CheckpointTensors): Promise<string[]> {
  const partial = `${folder}.partial`
  fs.rmSync(partial, { recursive: true, force: true })
  fs.rmSync(folder, { recursive: true, force: true })
  fs.mkdirSync(partial, { recursive: true })
  const at = (name: string) => path.join(partial, name)
  try {
    const { names } = tensors
    const tensor = (prefix: string, name: string, read: () => Promise<Float32Array> | Float32Array) =>
      floatTensor(prefix + name, tensors.shape(name), 'F32', read)
    await writeSafetensors(
      at(WEIGHTS_FILE),
      names.map((name) => tensor('', name, () => tensors.weight(name))),
    )
    await writeSafetensors(
      at(OPTIMIZER_FILE),
      names.flatMap((name) =>
        tensors.states.flatMap((state) => {
          const shape = state.shape(name)
          return shape ? [floatTensor(`${STATE_PREFIXES[state.name]}/${name}`, shape, 'F32', () => state.read(name))] : []
        }),
      ),
    )
    if (tensors.best) {
      await writeSafetensors(
        at(BEST_FILE),
        [...tensors.best].map(([name, values]) => tensor('', name, () => values)),
      )
    }
    const texts: Record<string, unknown> = {
      [STATE_FILE]: {
        global_step: state.step,
        epoch: state.epoch,
        max_steps: state.totalSteps,
        num_train_epochs: state.epochs,
        best_metric: state.best?.metric ?? null,
        best_model_checkpoint: state.best ? `checkpoint-${state.best.step}` : null,
        eval_steps: state.identity.eval_steps ?? null,
        log_history: state.log,
        'thaw.best_step': state.best?.step ?? null,
        'thaw.running': state.running,
      },
      'training_args.json': state.identity,
      'scheduler.json': { last_step: state.step, total_steps: state.totalSteps, name: state.identity.lr_scheduler_type ?? null },
      'data_state.json': { step: state.step, epoch: state.epoch, data: state.identity.data ?? null },
      // The order of each epoch follows from seed and epoch alone, so the cursor is all there is to keep.
      'rng_state.json': { generator: 'xoshiro128**', seed: state.identity.seed ?? null, streams: 'order of epoch <n>' },
    }
    for (const [name, value] of Object.entries(texts)) fs.writeFileSync(at(name), json(value), { flush: true })
    const written = fs.readdirSync(partial).sort()
    const files: Record<string, { size: number; sha256: string }> = {}
    for (const name of written) files[name] = { size: fs.statSync(at(name)).size, sha256: await digestOf(at(name)) }
    fs.writeFileSync(at(COMPLETE_FILE), json({ files }), { flush: true })
    fs.renameSync(partial, folder)
    return written
  } catch (cause) {
    fs.rmSync(partial, { recursive: true, force: true })
    if ((cause as NodeJS.ErrnoException).code === 'ENOSPC')
      throw new EngineError('bad_argument', 'the disk is full, so the checkpoint could not be saved', {
        where: folder,
        fix: 'free some space and resume',
        cause,
      })
    throw cause
  }
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of fs.createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

/** An opened checkpoint. Close it when everything was read. */
export type OpenCheckpoint = {
  readonly state: CheckpointState
  weight(name: string): Float32Array
  kept(state: StateName, name: string): Float32Array
  /** Null when no evaluation was the best yet. */
  best(): Map<string, Float32Array> | null
  close(): void
}

/** Path of each file of a checkpoint: of a folder, or of files that lie elsewhere under other names (an artifact store). */
export type CheckpointFiles = (name: string) => string | null

/** Files of a checkpoint folder, checked against `complete.json`. A folder without it was never finished and is refused. */
export async function checkpointFolder(folder: string): Promise<CheckpointFiles> {
  const complete = path.join(folder, COMPLETE_FILE)
  if (!fs.existsSync(complete))
    throw new EngineError('bad_file', 'the checkpoint was not finished', {
      where: folder,
      expected: COMPLETE_FILE,
      fix: 'resume from an older checkpoint',
    })
  const files = readJsonObject(complete).files as Record<string, { size: number; sha256: string }>
  for (const [name, { size, sha256 }] of Object.entries(files)) {
    const file = path.join(folder, path.basename(name))
    if (!fs.existsSync(file) || fs.statSync(file).size !== size || (await digestOf(file)) !== sha256) {
      throw new EngineError('bad_file', `the file ${name} of the checkpoint is damaged`, {
        where: folder,
        fix: 'resume from an older checkpoint',
      })
    }
  }
  return (name) => (Object.hasOwn(files, name) ? path.join(folder, name) : null)
}

/** Opens a checkpoint for these parameters. Throws when it holds others. */
export function openCheckpoint(files: CheckpointFiles, names: readonly string[]): OpenCheckpoint {
  const need = (name: string): string => {
    const file = files(name)
    if (!file) throw new EngineError('bad_file', `the checkpoint has no ${name}`)
    return file
  }
  const trainer = readJsonObject(need(STATE_FILE))
  const identity = readJsonObject(need('training_args.json'))
  const weights = SafetensorsFile.open(need(WEIGHTS_FILE))
  const optimizer = SafetensorsFile.open(need(OPTIMIZER_FILE))
  const bestFile = files(BEST_FILE)
  const lacking = names.filter((name) => !weights.tensors.has(name))
  const extra = [...weights.tensors.keys()].filter((name) => !names.includes(name))
  if (lacking.length || extra.length) {
    weights.close()
    optimizer.close()
    throw new EngineError('mismatch', 'the checkpoint belongs to a training of other parameters', {
      expected: lacking.slice(0, 3).join(', ') || `${names.length} parameters`,
      got: extra.slice(0, 3).join(', ') || `${weights.tensors.size} parameters`,
    })
  }
  const bestStep = trainer['thaw.best_step'] as number | null
  return {
    state: {
      step: trainer.global_step as number,
      epoch: trainer.epoch as number,
      totalSteps: trainer.max_steps as number,
      epochs: trainer.num_train_epochs as number,
      identity,
      best: bestStep === null ? null : { metric: trainer.best_metric as number, step: bestStep },
      running: trainer['thaw.running'] as Record<string, number>,
      log: trainer.log_history as Record<string, number>[],
    },
    weight: (name) => weights.readFloat32(name),
    kept: (state, name) => optimizer.readFloat32(`${STATE_PREFIXES[state]}/${name}`),
    best() {
      if (!bestFile)
        return bestStep === (trainer.global_step as number) ? new Map(names.map((name) => [name, weights.readFloat32(name)])) : null
      using file = SafetensorsFile.open(bestFile)
      return new Map([...file.tensors.keys()].map((name) => [name, file.readFloat32(name)]))
    },
    close() {
      weights.close()
      optimizer.close()
    },
  }
}

/** Settings in which two trainings differ, as "name: was a, is b" lines; lengths of training are no difference. */
export function identityDifferences(was: Readonly<Record<string, unknown>>, is: Readonly<Record<string, unknown>>): string[] {
  return [...new Set([...Object.keys(was), ...Object.keys(is)])]
    .sort()
    .filter((key) => JSON.stringify(was[key] ?? null) !== JSON.stringify(is[key] ?? null))
    .map((key) => `${key}: was ${JSON.stringify(was[key] ?? null)}, is ${JSON.stringify(is[key] ?? null)}`)
}
