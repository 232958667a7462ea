import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { strToU8, unzipSync, Zip, ZipPassThrough, zipSync } from 'fflate'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { emptyPipeline, type Pipeline } from '../../../nodes/_kit/graph'
import { writePipelineFile } from '../../../nodes/_kit/pipeline-file'
import { createPipeline, getPipeline } from '../../../server/storage/pipelines'
import { OWNER } from '../../kit/rows'
import { type TestWeb, testWeb } from '../../kit/web'

let web: TestWeb
beforeAll(async () => {
  web = await testWeb()
})
afterAll(() => web[Symbol.asyncDispose]())

const document = (file: string): Pipeline => ({
  ...emptyPipeline(),
  nodes: { data: { type: 'load-data', version: 1, params: { file } }, other: { type: 'from-a-package', version: 3, params: { a: [1] } } },
})
const send = (body: Uint8Array | string) =>
  web.send('/api/import', { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: body as BodyInit })

test('UX-97: a bundle takes pipeline and data to another place, and opens there with the same data', async () => {
  const rows = '{"prompt":"a","completion":"b"}\n'.repeat(2_000)
  const uploaded = (await (
    await web.send('/api/upload?name=rows.jsonl', { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: rows })
  ).json()) as { file: string; digest: string }
  const { db } = web.services.storage
  const { id } = await createPipeline(db, OWNER, { name: 'Contracts', document: document(uploaded.file) })
  const response = await web.send(`/api/bundle/${id}`)
  expect(response.headers.get('content-disposition')).toContain('Contracts.thaw.zip')
  const bytes = new Uint8Array(await response.arrayBuffer())
  expect(Object.keys(unzipSync(bytes))).toEqual(['pipeline.thaw.json', `data/${uploaded.digest}/rows.jsonl`])

  await web.services.artifacts.delete(uploaded.digest)
  const answer = await send(bytes)
  expect(answer.status).toBe(200)
  const made = (await answer.json()) as { id: string; name: string; data: number }
  expect(made).toMatchObject({ name: 'Contracts', data: 1 })
  expect((await getPipeline(db, OWNER, made.id)).document).toEqual(document(uploaded.file))
  expect(await web.services.artifacts.readText(uploaded.digest)).toBe(rows)
  // Another program's zip of the same files, compressed, opens as well.
  expect((await send(zipSync(unzipSync(bytes)))).status).toBe(200)
})

describe('SEC-8: crafted bundles are refused, and leave nothing behind', () => {
  const pipeline = strToU8(writePipelineFile(document('x.jsonl'), 'x', '1'))
  const digest = 'a'.repeat(64)
  const twice = () => {
    const parts: Uint8Array[] = []
    const zip = new Zip((_, chunk) => parts.push(chunk))
    for (let i = 0; i < 2; i++) {
      const entry = new ZipPassThrough('pipeline.thaw.json')
      zip.add(entry)
      entry.push(pipeline, true)
    }
    zip.end()
    return Buffer.concat(parts)
  }
  const cases: [string, () => Uint8Array | string, number, RegExp][] = [
    ['a name that climbs out', () => zipSync({ 'pipeline.thaw.json': pipeline, '../../evil': pipeline }), 400, /does not belong/],
    ['an absolute name', () => zipSync({ '/etc/passwd': pipeline }), 400, /does not belong/],
    ['a climbing data name', () => zipSync({ [`data/${digest}/../x`]: pipeline }), 400, /does not belong/],
    ['a backslash', () => zipSync({ [`data/${digest}/..\\x`]: pipeline }), 400, /does not belong/],
    [
      'data that is not what its name says',
      () => zipSync({ 'pipeline.thaw.json': pipeline, [`data/${digest}/x`]: pipeline }),
      400,
      /not what its name says/,
    ],
    ['the same file twice', twice, 400, /twice/],
    [
      'too many files',
      () => zipSync(Object.fromEntries(Array.from({ length: 501 }, (_, i) => [`results/${i}.json`, pipeline]))),
      400,
      /too many/,
    ],
    [
      'a bomb',
      () => zipSync({ 'pipeline.thaw.json': pipeline, [`data/${digest}/x`]: new Uint8Array(64_000_000) }),
      413,
      /far more than it holds/,
    ],
    ['no pipeline', () => zipSync({ 'results/a.json': pipeline }), 400, /no pipeline/],
    ['no zip', () => 'this is text and no archive', 400, /no pipeline/],
    ['a cut archive', () => zipSync({ 'pipeline.thaw.json': pipeline }).slice(0, 60), 400, /no pipeline|cannot be read|damaged/],
    ['a pipeline that is none', () => zipSync({ 'pipeline.thaw.json': strToU8('{"nodes": 3, "edges": 1}') }), 400, /schema|pipeline/],
  ]
  test.each(cases)('%s', async (_, make, status, reason) => {
    const answer = await send(make())
    const { error } = (await answer.json()) as { error: { message: string } }
    expect(error.message).toMatch(reason)
    expect(answer.status).toBe(status)
    expect(readdirSync(join(web.env.home, 'incoming'))).toEqual([])
  })
})

test('SEC-2: bundles and imports need a login', async () => {
  expect((await web.send('/api/bundle/x', { loggedIn: false })).status).toBe(401)
  expect((await web.send('/api/import', { method: 'POST', loggedIn: false })).status).toBe(401)
  expect((await web.send('/api/bundle/3f8a1f9e-0000-4000-8000-000000000000')).status).toBe(404)
})
