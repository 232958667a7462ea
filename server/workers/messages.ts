/**
 * What worker and trainer say to each other, checked with zod on both ends (R-24): they are two processes of one build, but a half-written
 * message or a fault in node code must end in a named error at the border and not somewhere inside. Bytes never cross: the trainer writes
 * into the artifact store and sends digests.
 */
import * as z from 'zod'
import { Digest } from '../../nodes/_kit/ports'
import { AppError } from '../errors'

const FAILURES = ['user', 'internal', 'resource', 'transient', 'lost'] as const
export const StoredErrorMessage = z.object({
  code: z.string(),
  message: z.string(),
  failure: z.enum(FAILURES),
  where: z.string().optional(),
  expected: z.string().optional(),
  got: z.string().optional(),
  fix: z.string().optional(),
  details: z.string().optional(),
})

const Values = z.record(z.string(), z.unknown())
const CheckpointRef = z.object({ step: z.int().min(0), manifest: Digest, metric: z.number().optional() })
export type CheckpointRef = z.infer<typeof CheckpointRef>

export const Provenance = z.object({ thawVersion: z.string(), graph: z.string(), graphDigest: Digest })

const Run = z.object({
  type: z.literal('run'),
  attempt: z.int().min(1),
  /** Node run id: names the attempt's folder and its lines in logs. */
  nodeRun: z.string(),
  node: z.string(),
  nodeType: z.string(),
  params: Values,
  inputs: Values,
  seed: z.int(),
  /** The attempt's own folder, made by the worker and removed by it. */
  tmp: z.string(),
  /** Checkpoints of the same identity, newest first; the trainer takes the first that verifies. */
  checkpoints: z.array(CheckpointRef),
  /** Digest that the key was made with, by the value of the file param (R-61). */
  sources: z.record(z.string(), z.string()),
  provenance: Provenance,
})
export type RunMessage = z.infer<typeof Run>

export const Inspect = z.object({ type: z.literal('inspect'), id: z.string(), kind: z.string(), request: Values })

/** Worker → trainer. */
export const ToTrainer = z.discriminatedUnion('type', [
  Run,
  Inspect,
  /** Save a checkpoint at the next step and go on (R-40). */
  z.object({ type: z.literal('checkpoint') }),
  /** Finish the micro-batch in progress, save a checkpoint, end (R-47). */
  z.object({ type: z.literal('stop') }),
  /** End without saving; the trainer is replaced afterwards (R-25). */
  z.object({ type: z.literal('abort') }),
  z.object({
    type: z.literal('answer'),
    ask: z.int(),
    ok: z.boolean(),
    value: z.unknown().optional(),
    error: StoredErrorMessage.optional(),
  }),
])
export type ToTrainer = z.infer<typeof ToTrainer>

export const Request = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('fetch-model'), source: z.string() }),
  z.object({ kind: z.literal('secret'), name: z.string() }),
  z.object({ kind: z.literal('curves'), node: z.string().max(64) }),
])
export type Request = z.infer<typeof Request>

export const LOG_LEVELS = ['info', 'warn', 'error'] as const
export const LogLine = z.object({ at: z.number(), level: z.enum(LOG_LEVELS), text: z.string() })
export type LogLine = z.infer<typeof LogLine>

const StoredArtifact = z.object({ digest: Digest, size: z.int().min(0), kind: z.string() })
export type StoredArtifact = z.infer<typeof StoredArtifact>

/** Trainer → worker. */
export const FromTrainer = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready'), pid: z.int() }),
  z.object({ type: z.literal('backend'), name: z.string(), device: z.string(), reason: z.string() }),
  /** From a timer, so that a blocked trainer is seen to be silent (R-26). */
  z.object({ type: z.literal('beat') }),
  z.object({ type: z.literal('progress'), done: z.number(), total: z.number(), unit: z.string() }),
  z.object({ type: z.literal('metric'), points: z.array(z.record(z.string(), z.number())) }),
  z.object({ type: z.literal('log'), lines: z.array(LogLine) }),
  /** Answered when the worker recorded it (R-70). */
  z.object({ type: z.literal('checkpoint'), ask: z.int(), ...CheckpointRef.shape, artifacts: z.array(StoredArtifact) }),
  z.object({ type: z.literal('ask'), ask: z.int(), request: Request }),
  /** Every artifact this attempt stored or named, so that the worker can record them with the outputs. */
  z.object({ type: z.literal('output'), outputs: Values, artifacts: z.array(StoredArtifact) }),
  z.object({ type: z.literal('inspected'), id: z.string(), result: z.unknown() }),
  z.object({ type: z.literal('stopped'), step: z.int().min(0).nullable() }),
  z.object({ type: z.literal('error'), error: StoredErrorMessage }),
])
export type FromTrainer = z.infer<typeof FromTrainer>

/** @throws AppError INTERNAL that names the message and its first fault. */
export function parseMessage<S extends z.ZodType>(schema: S, value: unknown, from: 'worker' | 'trainer'): z.output<S> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const type = typeof value === 'object' && value !== null && 'type' in value ? String(value.type) : typeof value
  throw new AppError('INTERNAL', {
    message: `The ${from} sent a message that cannot be understood.`,
    where: `${type}${issue ? ` at ${issue.path.join('.')}` : ''}`,
    expected: 'a message of server/workers/messages.ts',
    got: issue?.message ?? 'unknown',
  })
}
