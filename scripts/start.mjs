/**
 * `npm start`: makes sure that everything is there — Node, engine, bundles, pages — and then becomes the supervisor. `--dev` serves pages with
 * `next dev` instead of a build.
 *
 * Plain JavaScript, because it runs before anything is built.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from './build.mjs'
import { ensureEngine } from './engine-install.mjs'
import { onNode24 } from './node24.mjs'
import { digestOfSources } from './sources.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
process.chdir(root)
await onNode24(import.meta.url)

const development = process.argv.includes('--dev')
const say = (line) => process.stdout.write(`${line}\n`)

const refused = refusedHost()
if (refused) {
  process.stderr.write(`${refused}\n`)
  process.exit(1)
}

try {
  // A Thaw that runs has all it needs; its supervisor prints the address.
  if (!(await isRunning())) await prepare()
  else await build()
} catch (error) {
  process.stderr.write(`Thaw cannot start: ${error.message ?? error}\n`)
  process.exit(1)
}
const { main } = await import('../dist/supervisor.mjs')
await main(process.env, { development })

async function prepare() {
  const engine = await ensureEngine()
  if (!engine.ok) say(`TensorFlow is not available, so training uses the slower engine. ${engine.reason.message} ${engine.reason.fix}`)
  await build()
  if (!development) await buildPages()
}

/** SEC-18: said before anything is downloaded or built. The settings themselves refuse it again. */
function refusedHost() {
  const host = process.env.HOST?.trim()
  if (!host || ['127.0.0.1', 'localhost', '::1'].includes(host)) return null
  return `Thaw cannot start: HOST=${host} would let other machines in, and there are no accounts yet. Unset HOST; to reach Thaw from elsewhere use an SSH tunnel.`
}

/** Rough look; the supervisor makes sure with its lock. */
async function isRunning() {
  try {
    const home = process.env.THAW_HOME || join(homedir(), '.thaw')
    const { pid, origin } = JSON.parse(readFileSync(join(home, 'supervisor.json'), 'utf8'))
    process.kill(pid, 0)
    await fetch(`${origin}/api/login`, { signal: AbortSignal.timeout(1_000) })
    return true
  } catch {
    return false
  }
}

/** `next build`, only when something it reads changed (TC-18). */
async function buildPages() {
  const marker = join(root, '.next', 'our-build')
  const digest = digestOfSources(root, [
    ...['app', 'public', 'nodes', 'analysis', 'server', 'drizzle/schema.ts', 'engine', 'models/catalog.json'],
    ...['proxy.ts', 'next.config.mjs', 'postcss.config.mjs', 'tsconfig.json', 'tsconfig.app.json', 'package-lock.json'],
  ])
  if (existsSync(marker) && readFileSync(marker, 'utf8') === digest) return
  const first = !existsSync(marker)
  say(first ? 'First start: building the pages (about half a minute) …' : 'Building the changed pages (about ten seconds) …')
  rmSync(marker, { force: true })
  const started = Date.now()
  let output = ''
  const ticking = process.stdout.isTTY
    ? setInterval(() => process.stdout.write(`\r  ${Math.round((Date.now() - started) / 1_000)} s`), 1_000)
    : setInterval(() => say(`  … ${Math.round((Date.now() - started) / 1_000)} s`), 10_000)
  const code = await new Promise((resolve) => {
    const child = spawn(process.execPath, [join(root, 'node_modules/next/dist/bin/next'), 'build'], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_ENV: 'production', NEXT_TELEMETRY_DISABLED: '1', NEXT_IGNORE_INCORRECT_LOCKFILE: '1' },
    })
    // Ended from outside, the build must not go on alone.
    const end = () => {
      child.kill('SIGKILL')
      process.exit(1)
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, end)
    child.on('exit', () => {
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(signal, end)
    })
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += chunk
      })
    }
    child.on('error', (error) => {
      output += String(error)
      resolve(1)
    })
    child.on('exit', (exit) => resolve(exit ?? 1))
  })
  clearInterval(ticking)
  if (process.stdout.isTTY) process.stdout.write('\r')
  // Next ends with 0 when it is asked to end in the middle; the id is written last.
  if (code !== 0 || !existsSync(join(root, '.next', 'BUILD_ID'))) throw new Error(`the pages could not be built.\n${output.slice(-6_000)}`)
  mkdirSync(dirname(marker), { recursive: true })
  writeFileSync(marker, digest)
  say(`Built in ${Math.round((Date.now() - started) / 1_000)} s.`)
}
