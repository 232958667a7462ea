import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { appendFile, chmod, link, mkdir, readdir, readFile, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ArtifactStore, isManifestPath } from '../../../server/storage/artifact-store'
import { bundleProgram } from '../../kit/bundle'
import { tempFolder } from '../../kit/temp'

const sha = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex')
async function* chunks(...parts: string[]) {
  for (const part of parts) yield Buffer.from(part)
}
async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

test('R-72: bytes are stored under their sha256, read-only, and storing them again stores nothing', async () => {
  await using folder = await tempFolder()
  const store = new ArtifactStore(join(folder.path, 'artifacts'))
  const stored = await store.putStream(chunks('hello ', 'world'))
  expect(stored).toEqual({ digest: sha('hello world'), sizeBytes: 11 })
  expect((await stat(store.path(stored.digest))).mode & 0o777).toBe(0o444)
  expect(await store.put('hello world')).toEqual(stored)
  expect(await store.putStream(chunks('hello world'))).toEqual(stored)
  expect(await filesUnder(store.folder)).toEqual([store.path(stored.digest)])
  expect(await store.readText(stored.digest)).toBe('hello world')
  expect(await store.verify(stored.digest)).toBe(true)
})

test('R-72: a file is moved, linked or copied, and the source is treated as promised', async () => {
  await using folder = await tempFolder()
  const store = new ArtifactStore(join(folder.path, 'artifacts'))
  for (const how of ['move', 'link', 'copy'] as const) {
    const path = join(folder.path, how)
    await writeFile(path, `bytes of ${how}`)
    const stored = await store.putFile(path, how)
    expect(stored.digest).toBe(sha(`bytes of ${how}`))
    expect(await store.readText(stored.digest)).toBe(`bytes of ${how}`)
    const left = await stat(path).catch(() => null)
    if (how === 'move') expect(left).toBeNull()
    if (how === 'link') expect(left?.ino).toBe((await stat(store.path(stored.digest))).ino)
    if (how === 'copy') {
      expect(left?.ino).not.toBe((await stat(store.path(stored.digest))).ino)
      await writeFile(path, 'changed afterwards')
      expect(await store.readText(stored.digest)).toBe(`bytes of ${how}`)
    }
  }
  expect(await readdir(join(store.folder, 'incoming'))).toEqual([])
})

test('SEC-7: a stream beyond its limit is refused while it arrives and leaves nothing', async () => {
  await using folder = await tempFolder()
  const store = new ArtifactStore(join(folder.path, 'artifacts'))
  let given = 0
  async function* endless() {
    for (;;) {
      given += 1
      yield Buffer.alloc(1_000)
    }
  }
  await expect(store.putStream(endless(), { limitBytes: 10_000 })).rejects.toMatchObject({ code: 'TOO_LARGE' })
  expect(given).toBe(11)
  expect(await filesUnder(store.folder)).toEqual([])
})

test('R-72, T-18: writers that race for the same digests and are killed leave every stored file whole', async () => {
  await using folder = await tempFolder()
  const program = await bundleProgram('tests/kit/artifact-writer.ts', 'artifact-writer')
  const artifacts = join(folder.path, 'artifacts')
  const acknowledged = new Set<string>()
  for (let round = 0; round < 6; round++) {
    const writers = [round, round + 3].map((seed) => {
      const child = spawn(process.execPath, [program, artifacts, String(seed)], { stdio: ['ignore', 'pipe', 'inherit'] })
      let text = ''
      child.stdout.on('data', (chunk) => {
        text += chunk
      })
      // Only whole lines were acknowledged.
      const ended = new Promise<void>((resolve) =>
        child.on('close', () => {
          for (const line of text.split('\n').slice(0, -1)) acknowledged.add(line)
          resolve()
        }),
      )
      return { child, ended, started: () => text.includes('\n') }
    })
    while (!writers.every((writer) => writer.started())) await new Promise((resolve) => setTimeout(resolve, 10))
    await new Promise((resolve) => setTimeout(resolve, 37 * (round + 1)))
    for (const writer of writers) writer.child.kill('SIGKILL')
    await Promise.all(writers.map((writer) => writer.ended))
  }
  const store = new ArtifactStore(artifacts)
  const stored = await filesUnder(join(artifacts, 'sha256'))
  expect(stored.length).toBeGreaterThan(5)
  for (const path of stored) expect(sha(await readFile(path))).toBe(path.slice(-64))
  expect(acknowledged.size).toBeGreaterThan(5)
  for (const digest of acknowledged) expect(await store.verify(digest)).toBe(true)
}, 120_000)

test('R-73: what killed writers left behind is removed after a day, what a living process writes is not', async () => {
  await using folder = await tempFolder()
  const store = new ArtifactStore(join(folder.path, 'artifacts'))
  await store.put('anything')
  const incoming = join(store.folder, 'incoming')
  const old = new Date(Date.now() - 25 * 3_600_000)
  for (const name of ['999999999-1-dead', `${process.pid}--mine`, 'nonsense']) {
    await writeFile(join(incoming, name), 'half')
    await utimes(join(incoming, name), old, old)
  }
  await writeFile(join(incoming, '999999999-1-young'), 'half')
  expect(await store.sweep()).toBe(2)
  expect((await readdir(incoming)).sort()).toEqual(['999999999-1-young', `${process.pid}--mine`].sort())
})

test('R-75, T-18: a flipped byte is found, the file is set aside, and storing the right bytes works again', async () => {
  await using folder = await tempFolder()
  const store = new ArtifactStore(join(folder.path, 'artifacts'))
  const { digest } = await store.put('the right bytes')
  await chmod(store.path(digest), 0o644)
  await writeFile(store.path(digest), 'the wrong bytes')
  expect(await store.verify(digest)).toBe(false)
  expect(await store.has(digest)).toBeNull()
  await expect(store.verifiedPath(digest)).rejects.toMatchObject({ code: 'ARTIFACT_MISSING' })
  await store.put('the right bytes')
  expect(await store.verify(digest)).toBe(true)
  expect(await readdir(join(store.folder, 'damaged'))).toHaveLength(1)
})

test('R-72: bytes of the wrong length under a digest are replaced by a put', async () => {
  await using folder = await tempFolder()
  const store = new ArtifactStore(join(folder.path, 'artifacts'))
  const { digest } = await store.put('whole')
  await chmod(store.path(digest), 0o644)
  await appendFile(store.path(digest), ' and more')
  await store.put('whole')
  expect(await store.readText(digest)).toBe('whole')
})

test('R-74: a manifest is sorted, the same files give the same digest, and reading it back gives the files', async () => {
  await using folder = await tempFolder()
  const store = new ArtifactStore(join(folder.path, 'artifacts'))
  const a = await store.put('a')
  const b = await store.put('b')
  const files = [
    { path: 'weights/b.bin', digest: b.digest, size: 1, role: 'weights' },
    { path: 'a.json', digest: a.digest, size: 1 },
  ]
  const first = await store.putManifest(files)
  expect(await store.putManifest([...files].reverse())).toEqual(first)
  expect(await store.readManifest(first.digest)).toEqual([files[1], files[0]])
  expect(await store.verifyManifest(first.digest)).toMatchObject({ ok: true })
  await store.delete(b.digest)
  expect(await store.verifyManifest(first.digest)).toEqual({ ok: false, digest: b.digest })
})

test('R-74, SEC-6: paths that leave the folder, or differ only in case, are refused in writing and in reading', async () => {
  await using folder = await tempFolder()
  const store = new ArtifactStore(join(folder.path, 'artifacts'))
  const { digest } = await store.put('x')
  for (const path of ['../x', 'a/../../x', '/etc/passwd', 'C:\\x', 'C:x', 'a\\b', 'a//b', './x', 'a/.', '', 'a\0b', 'x'.repeat(2_000)]) {
    expect(isManifestPath(path)).toBe(false)
    await expect(store.putManifest([{ path, digest, size: 1 }])).rejects.toMatchObject({ code: 'PATH_REFUSED' })
    const forged = await store.put(JSON.stringify({ files: [{ path, digest, size: 1 }] }))
    await expect(store.readManifest(forged.digest)).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' })
  }
  await expect(
    store.putManifest([
      { path: 'Model.json', digest, size: 1 },
      { path: 'model.json', digest, size: 1 },
    ]),
  ).rejects.toMatchObject({ code: 'PATH_REFUSED' })
})

test('SEC-6: only a sha256 in lower case names an artifact', async () => {
  await using folder = await tempFolder()
  const store = new ArtifactStore(join(folder.path, 'artifacts'))
  await mkdir(folder.path, { recursive: true })
  await writeFile(join(folder.path, 'secret'), 'secret')
  const hex = 'a'.repeat(64)
  for (const digest of [
    '../secret',
    '../../secret',
    `${hex}/../../secret`,
    hex.toUpperCase(),
    `${hex}0`,
    hex.slice(1),
    '',
    `${hex}\0`,
    `${hex}\n`,
    '%2e%2e/secret',
  ]) {
    expect(() => store.path(digest)).toThrowError(expect.objectContaining({ code: 'PATH_REFUSED' }))
    await expect(store.read(digest)).rejects.toMatchObject({ code: 'PATH_REFUSED' })
    await expect(store.has(digest)).rejects.toMatchObject({ code: 'PATH_REFUSED' })
  }
})

test('R-64: what a hard link shares is still verified by content', async () => {
  await using folder = await tempFolder()
  const store = new ArtifactStore(join(folder.path, 'artifacts'))
  const source = join(folder.path, 'download')
  await writeFile(source, 'as downloaded')
  const { digest } = await store.putFile(source, 'link')
  await link(source, join(folder.path, 'other name'))
  await symlink(source, join(folder.path, 'soft'))
  await chmod(source, 0o644)
  await writeFile(source, 'tampered with')
  expect(await new ArtifactStore(store.folder).verify(digest)).toBe(false)
})
