/**
 * Bundles all TypeScript outside Next into `dist/` and writes each node's implDigest. Does nothing when the sources are those of the last build,
 * so everything that needs the bundles calls it first: `npm start`, `npm test`, `npx thaw`, `npm run bench`, `npm run parity`.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onNode24 } from './node24.mjs'
import { digestOfSources } from './sources.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const dist = join(root, 'dist')

/** Name under dist/ → source. Those that are not there yet are left out. */
const ENTRIES = {
  cli: 'cli/main.ts',
  supervisor: 'server/supervisor.ts',
  'die-with-parent': 'server/die-with-parent.ts',
  worker: 'server/workers/worker.ts',
  trainer: 'server/workers/trainer.ts',
  watchdog: 'server/workers/watchdog.ts',
  parity: 'bench/parity.ts',
  bench: 'bench/bench.ts',
}

const SOURCES = [
  'analysis',
  'bench',
  'cli',
  'drizzle/schema.ts',
  'engine',
  'models',
  'nodes',
  'scripts',
  'server',
  'package-lock.json',
  'tsconfig.json',
]

/** Writes so that a reader sees the old file or the new one; several builds may run at once. */
function put(path, contents) {
  const half = `${path}.${process.pid}`
  writeFileSync(half, contents)
  renameSync(half, path)
}

/** @returns {Promise<{fresh: boolean, ms: number}>} fresh: something was built */
export async function build({ force = false } = {}) {
  const started = performance.now()
  const digest = createHash('sha256').update(process.versions.modules).update(digestOfSources(root, SOURCES)).digest('hex')
  const stamp = join(dist, 'our-build')
  const ms = () => Math.round(performance.now() - started)
  if (!force && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return { fresh: false, ms: ms() }

  const [esbuild, { implDigests }] = await Promise.all([import('esbuild'), import('./impl-digests.mjs')])
  mkdirSync(dist, { recursive: true })
  rmSync(stamp, { force: true })
  const entries = Object.entries(ENTRIES).filter(([, source]) => existsSync(join(root, source)))
  const [result, digests] = await Promise.all([
    esbuild.build({
      entryPoints: entries.map(([out, source]) => ({ in: join(root, source), out })),
      outdir: dist,
      outExtension: { '.js': '.mjs' },
      absWorkingDir: root,
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'node',
      // macOS runs on its own Node, 22.12 at least.
      target: 'node22',
      packages: 'external',
      sourcemap: 'linked',
      sourcesContent: false,
      logLevel: 'warning',
      tsconfig: join(root, 'tsconfig.json'),
    }),
    implDigests(root),
  ])
  for (const file of result.outputFiles) put(join(dist, basename(file.path)), file.contents)
  put(join(dist, 'impl-digests.json'), `${JSON.stringify(digests, null, 2)}\n`)
  for (const name of readdirSync(dist)) {
    // Bundles of entries that are gone.
    if (/\.mjs(\.map)?$/.test(name) && !result.outputFiles.some((file) => basename(file.path) === name)) rmSync(join(dist, name))
  }
  put(stamp, digest)
  return { fresh: true, ms: ms() }
}

/** Whether this file is the program, however it was spelled. */
const isProgram = process.argv[1] && realpathSync(process.argv[1]) === realpathSync(fileURLToPath(import.meta.url))
if (isProgram) {
  await onNode24(import.meta.url)
  const { fresh, ms } = await build({ force: process.argv.includes('--force') })
  console.log(fresh ? `Built dist/ in ${(ms / 1000).toFixed(1)} s.` : `dist/ is up to date (${ms} ms).`)
}
