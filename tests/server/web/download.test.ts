import { createHash } from 'node:crypto'
import { unzipSync } from 'fflate'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { recordArtifacts } from '../../../server/storage/artifacts'
import { zipSize } from '../../../server/web/transfer'
import { madeRun, OWNER, STRANGER } from '../../kit/rows'
import { type TestWeb, testWeb } from '../../kit/web'

let web: TestWeb
beforeAll(async () => {
  web = await testWeb()
})
afterAll(() => web[Symbol.asyncDispose]())

const { text } = { text: (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('utf8') }

/** A finished node run whose output port `file` is a folder of these files. */
async function exported(files: Record<string, string | Uint8Array>, owner = OWNER) {
  const { artifacts, storage } = web.services
  const stored = await Promise.all(Object.entries(files).map(async ([path, bytes]) => ({ path, ...(await artifacts.put(bytes)) })))
  const list = stored.map(({ path, digest, sizeBytes }) => ({ path, digest, size: sizeBytes }))
  const manifest = await artifacts.putManifest(list)
  const handle = { manifest: manifest.digest, name: 'contract-fields', bytes: list.reduce((sum, file) => sum + file.size, 0), files: list }
  const made = await madeRun(storage.db, {
    owner,
    nodes: [{ nodeId: 'export', type: 'export', status: 'done', outputs: { file: handle, metrics: { loss: 0.5 } } }],
  })
  await storage.db.transaction((tx) =>
    recordArtifacts(tx, artifacts, owner, { kind: 'node_run', id: made.nodeRuns.export ?? '' }, [{ ...manifest, kind: 'manifest' }]),
  )
  return made.run
}

test('SEC-14: a folder comes as a zip attachment with the announced length, every file byte for byte', async () => {
  const weights = new Uint8Array(3_000_000).map((_, i) => (i * 31) % 251)
  const run = await exported({ 'config.json': '{}', 'model.safetensors': weights, 'unter ordner/ä.txt': 'umlaut' })
  const response = await web.send(`/api/download/${run}/export/file`)
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('application/zip')
  expect(response.headers.get('content-disposition')).toBe(
    'attachment; filename="contract-fields.zip"; filename*=UTF-8\'\'contract-fields.zip',
  )
  const bytes = new Uint8Array(await response.arrayBuffer())
  expect(bytes.length).toBe(Number(response.headers.get('content-length')))
  const files = unzipSync(bytes)
  expect(Object.keys(files).sort()).toEqual(['config.json', 'model.safetensors', 'unter ordner/ä.txt'])
  expect(
    createHash('sha256')
      .update(files['model.safetensors'] ?? '')
      .digest('hex'),
  ).toBe(createHash('sha256').update(weights).digest('hex'))
  expect(text(files['unter ordner/ä.txt'])).toBe('umlaut')
  const again = new Uint8Array(await (await web.send(`/api/download/${run}/export/file`)).arrayBuffer())
  expect(Buffer.compare(bytes, again)).toBe(0)
  expect(zipSize([])).toBe(22)
})

test('SEC-14: one file comes as itself, as an attachment of a type that no browser shows', async () => {
  const run = await exported({ 'report.html': '<script>alert(1)</script>' })
  const response = await web.send(`/api/download/${run}/export/file`)
  expect(response.headers.get('content-type')).toBe('application/octet-stream')
  expect(response.headers.get('content-disposition')).toMatch(/^attachment; filename="report\.html"/)
  expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  expect(await response.text()).toBe('<script>alert(1)</script>')
})

test('Flat values come as JSON', async () => {
  const run = await exported({ a: 'x' })
  const response = await web.send(`/api/download/${run}/export/metrics`)
  expect(await response.json()).toEqual({ loss: 0.5 })
})

test('SEC-16: outputs of another owner, unknown runs, nodes and ports are 404, and so is a digest', async () => {
  const theirs = await exported({ a: 'theirs' }, STRANGER)
  const mine = await exported({ a: 'mine' })
  const digest = createHash('sha256').update('theirs').digest('hex')
  for (const path of [
    `${theirs}/export/file`,
    `${mine}/export/nothing`,
    `${mine}/nobody/file`,
    `${digest}/export/file`,
    `${mine}/export/__proto__`,
    `${mine}/export/constructor`,
  ]) {
    expect((await web.send(`/api/download/${path}`)).status, path).toBe(404)
  }
})

test('R-75: a damaged file fails the download before its first byte, by name', async () => {
  const run = await exported({ 'a.bin': 'kept', 'b.bin': 'lost' })
  await web.services.artifacts.delete(createHash('sha256').update('lost').digest('hex'))
  const response = await web.send(`/api/download/${run}/export/file`)
  expect(response.status).toBe(500)
  expect(await response.json()).toMatchObject({ error: { code: 'ARTIFACT_MISSING', fix: expect.stringMatching(/Run again/) } })
})

test('A download that is given up frees its files', async () => {
  const run = await exported({ 'a.bin': new Uint8Array(8_000_000), 'b.bin': new Uint8Array(100) })
  const response = await web.send(`/api/download/${run}/export/file`)
  const reader = response.body?.getReader()
  await reader?.read()
  await reader?.cancel()
  expect((await web.send(`/api/download/${run}/export/file`)).status).toBe(200)
})
