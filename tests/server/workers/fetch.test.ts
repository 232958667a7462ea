import { readFileSync } from 'node:fs'
import { mkdir, readdir } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type FetchDeps, fetchModel, hubFolder } from '../../../server/workers/fetch'
import { tempFolder } from '../../kit/temp'

/** A hub in this process: the three questions that a download asks, over real HTTP. */
const FILES: Record<string, string> = {
  'config.json': '{"model_type":"llama"}',
  'model.safetensors': 'weights',
  'tokenizer.json': '{}',
  'README.md': 'not wanted',
  'pytorch_model.bin': 'never wanted',
}
let server: Server
let endpoint = ''
let asked: string[] = []
let broken: string | null = null
beforeAll(async () => {
  server = createServer((request, response) => {
    const url = new URL(request.url ?? '', endpoint)
    asked.push(`${request.method} ${url.pathname}`)
    const json = (value: unknown) => response.setHeader('content-type', 'application/json').end(JSON.stringify(value))
    if (!url.pathname.includes('acme/')) return void response.writeHead(404).end('{}')
    if (/\/api\/models\/acme\/pickled\/tree\//.test(url.pathname))
      return void json([{ type: 'file', path: 'pytorch_model.bin', size: 3, oid: 'x' }])
    if (url.pathname.includes('/tree/')) {
      return void json(
        Object.entries(FILES).map(([path, text]) => ({
          type: 'file',
          path,
          size: path === broken ? text.length + 5 : text.length,
          oid: 'x',
        })),
      )
    }
    if (url.pathname.includes('/resolve/')) {
      const text = FILES[url.pathname.split('/').at(-1) ?? ''] ?? ''
      response.setHeader('etag', '"e"').setHeader('content-length', text.length).setHeader('x-repo-commit', 'c')
      if (request.headers.range === 'bytes=0-0') {
        response.setHeader('content-range', `bytes 0-0/${text.length}`).setHeader('content-length', 1)
        return void response.writeHead(206).end(text[0])
      }
      return void response.end(request.method === 'HEAD' ? undefined : text)
    }
    json({
      id: 'acme/tiny',
      _id: '1',
      private: false,
      pipeline_tag: 'text-generation',
      downloads: 0,
      gated: false,
      likes: 0,
      lastModified: new Date().toISOString(),
      cardData: { license: 'mit' },
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  const address = server.address()
  endpoint = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
})
afterAll(() => server.close())
beforeEach(() => {
  asked = []
  broken = null
})

const deps = (cache: string, more: Partial<FetchDeps> = {}): FetchDeps => ({
  cache,
  hfToken: undefined,
  hfEndpoint: endpoint,
  localModel: async () => null,
  fetchBuiltIn: () => Promise.reject(new Error('not here')),
  ...more,
})
const fetchIn = (cache: string, source: string, onProgress: (done: number, total: number) => void = () => {}) =>
  fetchModel(deps(cache), source, onProgress, new AbortController().signal)

test('SEC-10: a hub model comes from the endpoint that the operator named, only the files of a model, with progress', async () => {
  await using folder = await tempFolder()
  const seen: [number, number][] = []
  const got = await fetchIn(folder.path, 'hub:acme/tiny@v1', (done, total) => seen.push([done, total]))
  expect(got).toEqual({ path: hubFolder(folder.path, 'acme/tiny', 'v1'), name: 'tiny', license: 'mit' })
  expect((await readdir(got.path)).sort()).toEqual(['config.json', 'model.safetensors', 'tokenizer.json'])
  expect(readFileSync(join(got.path, 'model.safetensors'), 'utf8')).toBe('weights')
  expect(seen.at(-1)).toEqual([31, 31])
  expect(asked.filter((one) => one.includes('/resolve/v1/')).length).toBeGreaterThan(0)
})

test('a download that breaks off leaves nothing that counts as the model', async () => {
  await using folder = await tempFolder()
  broken = 'model.safetensors'
  await expect(fetchIn(folder.path, 'hub:acme/tiny')).rejects.toMatchObject({ code: 'NETWORK' })
  await mkdir(join(folder.path, 'models', 'hub'), { recursive: true })
  expect(await readdir(join(folder.path, 'models', 'hub'))).toEqual([])
})

test('SEC-9: a repository without safetensors is refused, one that is not there is named', async () => {
  await using folder = await tempFolder()
  await expect(fetchIn(folder.path, 'hub:acme/pickled')).rejects.toMatchObject({ code: 'BAD_MODEL' })
  await expect(fetchIn(folder.path, 'hub:nobody/nothing')).rejects.toMatchObject({ code: 'NOT_FOUND', where: 'hub:nobody/nothing' })
  await expect(fetchIn(folder.path, 'hub:../../etc')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await expect(fetchIn(folder.path, 'https://evil.example/model')).rejects.toMatchObject({ code: 'NOT_FOUND' })
})

test('what is here already is not fetched', async () => {
  await using folder = await tempFolder()
  const here = { path: '/models/x', name: 'x', license: null }
  const got = await fetchModel(deps(folder.path, { localModel: async () => here }), 'hub:acme/tiny', () => {}, new AbortController().signal)
  expect([got, asked]).toEqual([here, []])
})
