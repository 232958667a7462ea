import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type FileSources, openFileParam, parseFileParam } from '../../server/files'
import { ArtifactStore } from '../../server/storage/artifact-store'
import { cleanName, upload } from '../../server/web/transfer'
import { tempFolder } from '../kit/temp'
import { type TestWeb, testWeb } from '../kit/web'

let web: TestWeb
beforeAll(async () => {
  web = await testWeb()
})
afterAll(() => web[Symbol.asyncDispose]())

async function sources(): Promise<AsyncDisposable & { at: FileSources; folder: string }> {
  const made = await tempFolder()
  const folder = await realpath(made.path)
  const home = join(folder, 'home')
  const root = join(folder, 'root')
  await mkdir(join(root, 'templates/first'), { recursive: true })
  await mkdir(home)
  await writeFile(join(root, 'templates/first/rows.jsonl'), '{"text":"a"}\n')
  await writeFile(join(root, 'package.json'), 'secret of the checkout')
  await writeFile(join(home, 'token'), 'the token')
  await writeFile(join(folder, 'mine.jsonl'), '{"text":"mine"}\n')
  return {
    at: { root, home, artifacts: new ArtifactStore(join(home, 'artifacts')) },
    folder,
    [Symbol.asyncDispose]: () => made[Symbol.asyncDispose](),
  }
}
const read = async (at: FileSources, value: string) => {
  const { file, name } = await openFileParam(at, value)
  try {
    return { text: await file.readFile('utf8'), name }
  } finally {
    await file.close()
  }
}

describe('SEC-6: a file param opens the file it names and no other', () => {
  test('templates, uploads and own files are read', async () => {
    await using here = await sources()
    expect(await read(here.at, 'template:first/rows.jsonl')).toEqual({ text: '{"text":"a"}\n', name: 'rows.jsonl' })
    const stored = await here.at.artifacts.put('uploaded')
    expect(await read(here.at, `upload:${stored.digest}/Verträge 2026.csv`)).toEqual({ text: 'uploaded', name: 'Verträge 2026.csv' })
    expect(await read(here.at, join(here.folder, 'mine.jsonl'))).toEqual({ text: '{"text":"mine"}\n', name: 'mine.jsonl' })
  })

  test('names that climb, encode, drive or overflow are refused', async () => {
    await using here = await sources()
    const hex = 'a'.repeat(64)
    const bad = [
      'template:first/../../package.json',
      'template:../package.json',
      'template:first/%2e%2e/package.json',
      'template:/etc/passwd',
      'template:first/sub/rows.jsonl',
      `upload:${hex}/../../token`,
      `upload:../../token/x`,
      `upload:${hex.toUpperCase()}/x`,
      'C:\\Windows\\win.ini',
      'relative.csv',
      '../mine.jsonl',
      `${here.folder}/mine.jsonl\0.csv`,
      `/${'x'.repeat(4_096)}`,
      'file:///etc/passwd',
      'http://127.0.0.1/x.csv',
    ]
    for (const value of bad)
      await expect(read(here.at, value), value).rejects.toMatchObject({ code: expect.stringMatching(/PATH_REFUSED|NOT_FOUND/) })
    expect(() => parseFileParam('')).toThrowError(expect.objectContaining({ code: 'INVALID_PARAM' }))
  })

  test("Thaw's own state, devices, kernel files and folders are no data", async () => {
    await using here = await sources()
    await symlink(join(here.at.home, 'token'), join(here.folder, 'link.jsonl'))
    await mkdir(join(here.folder, '.ssh'))
    await writeFile(join(here.folder, '.ssh/id_ed25519'), 'key')
    for (const value of [
      join(here.at.home, 'token'),
      join(here.folder, 'link.jsonl'),
      '/dev/zero',
      '/proc/self/environ',
      '/proc/self/root/etc/passwd',
      '/etc/passwd',
      here.folder,
      join(here.folder, '.ssh/id_ed25519'),
    ]) {
      await expect(read(here.at, value), value).rejects.toMatchObject({ code: 'PATH_REFUSED' })
    }
  })

  test('a template that links out of its folder is refused', async () => {
    await using here = await sources()
    await symlink(join(here.at.root, 'package.json'), join(here.at.root, 'templates/first/evil.jsonl'))
    await expect(read(here.at, 'template:first/evil.jsonl')).rejects.toMatchObject({ code: 'PATH_REFUSED' })
  })

  test('outside the allowed folders nothing is read, by whatever link', async () => {
    await using here = await sources()
    const outside = await realpath(await mkdtemp(join(tmpdir(), 'thaw-outside-')))
    try {
      await writeFile(join(outside, 'theirs.csv'), 'theirs')
      await symlink(outside, join(here.folder, 'way out'))
      const at = { ...here.at, allowed: [here.folder] }
      expect((await read(at, join(here.folder, 'mine.jsonl'))).name).toBe('mine.jsonl')
      for (const value of [
        join(outside, 'theirs.csv'),
        join(here.folder, 'way out/theirs.csv'),
        `${here.folder}/../${outside.split('/').at(-1)}/theirs.csv`,
      ]) {
        await expect(read(at, value), value).rejects.toMatchObject({ code: 'PATH_REFUSED' })
      }
    } finally {
      await rm(outside, { recursive: true })
    }
  })

  test('a folder that is swapped for a link between check and open gives the file that was checked, or nothing', async () => {
    await using here = await sources()
    const allowed = join(here.folder, 'allowed')
    const secret = join(here.folder, 'secret')
    await mkdir(join(allowed, 'data'), { recursive: true })
    await mkdir(secret)
    await writeFile(join(allowed, 'data/x.csv'), 'allowed')
    await writeFile(join(secret, 'x.csv'), 'secret')
    let swapping = true
    const swapper = (async () => {
      while (swapping) {
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 3))
        await rename(join(allowed, 'data'), join(here.folder, 'aside')).catch(() => {})
        await symlink(secret, join(allowed, 'data')).catch(() => {})
        await rm(join(allowed, 'data')).catch(() => {})
        await rename(join(here.folder, 'aside'), join(allowed, 'data')).catch(() => {})
      }
    })()
    const seen = new Set<string>()
    for (let i = 0; i < 400; i++) {
      const got = await read({ ...here.at, allowed: [allowed] }, join(allowed, 'data/x.csv')).catch((error: { code: string }) => ({
        text: error.code,
      }))
      seen.add(got.text)
    }
    swapping = false
    await swapper
    expect(seen).not.toContain('secret')
    expect(seen).toContain('allowed')
  })
})

describe('SEC-7: an upload is the bytes of one file', () => {
  const octets = { 'content-type': 'application/octet-stream' }

  test('bytes come back under their digest, with a harmless name', async () => {
    const response = await web.send(`/api/upload?name=${encodeURIComponent('../../etc/Verträge <2026>.csv')}`, {
      method: 'POST',
      headers: octets,
      body: 'a,b\n1,2\n',
    })
    const stored = (await response.json()) as { file: string; digest: string; name: string; sizeBytes: number }
    expect(stored).toEqual({
      file: `upload:${stored.digest}/Verträge 2026.csv`,
      digest: createHash('sha256').update('a,b\n1,2\n').digest('hex'),
      name: 'Verträge 2026.csv',
      sizeBytes: 8,
    })
    expect((await web.query('artifacts.uploads')).body.result?.data.json).toMatchObject([
      { digest: stored.digest, name: 'Verträge 2026.csv' },
    ])
  })

  test('a JSON body that imitates an upload is refused, and the file it names is not read', async () => {
    const body = JSON.stringify({ files: { file: { filepath: '/etc/passwd', originalFilename: 'x.csv' } }, path: '/etc/passwd' })
    for (const headers of [{ 'content-type': 'application/json' }, { 'content-type': 'multipart/form-data; boundary=x' }]) {
      const response = await web.send('/api/upload?name=x.csv&path=/etc/passwd', { method: 'POST', headers, body })
      expect(response.status).toBe(400)
      expect(await response.text()).not.toContain('root:')
    }
  })

  test('the size limit holds while the body arrives', async () => {
    let sent = 0
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 1
        controller.enqueue(new Uint8Array(1_000))
      },
    })
    const request = new Request('http://127.0.0.1/api/upload?name=x', {
      method: 'POST',
      headers: octets,
      body,
      duplex: 'half',
    } as RequestInit)
    await expect(upload(request, 'owner', web.services, 10_000)).rejects.toMatchObject({ code: 'TOO_LARGE' })
    expect(sent).toBeLessThan(20)
  })

  test('an empty upload is refused', async () => {
    expect((await web.send('/api/upload?name=x', { method: 'POST', headers: octets, body: '' })).status).toBe(400)
  })

  test('names keep nothing that means something to a file system or a terminal', () => {
    expect(cleanName('..\\..\\boot.ini')).toBe('boot.ini')
    expect(cleanName('.bashrc')).toBe('bashrc')
    expect(cleanName('a\u001b[31mred\u0007.csv')).toBe('a[31mred.csv')
    expect(cleanName('///')).toBe('file')
    expect(cleanName('x'.repeat(500)).length).toBeLessThanOrEqual(150)
  })
})
