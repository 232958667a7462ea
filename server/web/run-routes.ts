/** Runs for scripts: one call starts one, another says how it stands. The token comes as `Authorization: Bearer`. */
import { randomUUID } from 'node:crypto'
import * as z from 'zod'
import { registry } from '../../nodes'
import { loadDocument } from '../../nodes/_kit/migrate'
import { AppError } from '../errors'
import { getPipeline } from '../storage/pipelines'
import { getRun, listNodeRuns } from '../storage/runs'
import { comparedInputs } from '../trpc/run-tools'
import type { Services } from '../trpc/services'
import { DATA_HEADERS } from './guard'

const LIMIT = 256 * 1024
const Body = z
  .strictObject({
    /** An earlier run to run again … */
    run: z.uuid().optional(),
    /** … or a pipeline, as it is saved now. */
    pipeline: z.uuid().optional(),
    inputs: z.record(z.string().max(130), z.unknown()).default({}),
    startFrom: z.enum(['base', 'last']).default('base'),
    name: z.string().max(200).optional(),
    note: z.string().max(10_000).optional(),
    /** The same key again answers the same run. */
    idempotencyKey: z.string().min(8).max(100).optional(),
  })
  .refine((body) => (body.run === undefined) !== (body.pipeline === undefined), 'either run or pipeline')

async function jsonOf(request: Request): Promise<unknown> {
  if (request.headers.get('content-type')?.split(';')[0]?.trim() !== 'application/json')
    throw new AppError('INVALID_INPUT', { message: 'The request is JSON.', where: 'content-type', expected: 'application/json' })
  let text = ''
  const decoder = new TextDecoder()
  if (request.body)
    for await (const part of request.body as unknown as AsyncIterable<Uint8Array>) {
      text += decoder.decode(part, { stream: true })
      if (text.length > LIMIT) throw new AppError('TOO_LARGE', { message: 'The request is too large.', expected: `at most ${LIMIT} bytes` })
    }
  try {
    return JSON.parse(text)
  } catch {
    throw new AppError('INVALID_INPUT', { message: 'The request is not JSON.', got: text.slice(0, 100) || 'nothing' })
  }
}

/** POST /api/runs → 201 `{run, number, status, url, compare?, data?}`. */
export async function startRun(request: Request, owner: string, services: Services): Promise<Response> {
  const parsed = Body.safeParse(await jsonOf(request))
  if (!parsed.success)
    throw new AppError('INVALID_INPUT', {
      message: 'The request is not as it must be.',
      where: parsed.error.issues[0]?.path.join('.') || 'the whole',
      expected: parsed.error.issues[0]?.message,
      fix: 'Send {"run": "<id>", "inputs": {"<input>": "<file>"}} or {"pipeline": "<id>"}.',
    })
  const { run, pipeline, inputs, startFrom, name, note, idempotencyKey = randomUUID() } = parsed.data
  const data = run === undefined ? null : await comparedInputs(services, owner, run, inputs)
  const made =
    run === undefined
      ? await submitDraft(services, owner, pipeline ?? '', { inputs, name, note, idempotencyKey })
      : await services.runs.rerun(owner, { run, inputs, startFrom, name: name ?? null, note, idempotencyKey })
  return Response.json(
    {
      run: made.run,
      number: made.number,
      url: `/runs/${made.run}`,
      ...(run !== undefined && { compare: `/runs/compare?ids=${run},${made.run}`, data }),
    },
    { status: made.existing ? 200 : 201, headers: { ...DATA_HEADERS, location: `/api/runs/${made.run}` } },
  )
}

async function submitDraft(
  services: Services,
  owner: string,
  pipelineId: string,
  values: { inputs: Record<string, unknown>; name?: string | undefined; note?: string | undefined; idempotencyKey: string },
) {
  const draft = await getPipeline(services.storage.db, owner, pipelineId)
  const opened = loadDocument(draft.document, registry)
  if (!opened.ok) throw new AppError('INVALID_DOCUMENT', opened.problems[0] ?? { message: 'The pipeline cannot be opened.' })
  return services.runs.submit(owner, {
    pipelineId,
    document: opened.document,
    target: null,
    inputs: values.inputs,
    idempotencyKey: values.idempotencyKey,
    parentRun: null,
    force: [],
    name: values.name ?? null,
    note: values.note ?? '',
  })
}

/** GET /api/runs/<id> → `{run, number, status, nodes: {<node>: {status, outputs?, error?}}}`. */
export async function readRun(owner: string, id: string, services: Services): Promise<Response> {
  const row = await getRun(services.storage.db, owner, id)
  const nodes = await listNodeRuns(services.storage.db, owner, id)
  return Response.json(
    {
      run: row.id,
      number: row.number,
      name: row.name,
      status: row.status,
      startedAt: row.startedAt,
      endedAt: row.endedAt,
      nodes: Object.fromEntries(
        nodes.map(({ nodeId, status, outputs, error, step }) => [
          nodeId,
          { status, step, ...(outputs && { outputs }), ...(error && { error }) },
        ]),
      ),
    },
    { headers: DATA_HEADERS },
  )
}
