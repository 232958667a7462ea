/**
 * `npm test`: everything that must hold before a change is merged, from a bare checkout, with one number at the end.
 *
 *   npm test                     engine, build, lint, types, unit and integration tests, browser tests
 *   npm test -- tests/engine     the test files whose path contains one of the words; lint, types and browser tests only if named
 *   npm test -- --long           also tests/**\/*.long.test.ts
 *   npm test -- --no-browser     without the browser tests
 *
 * The last line is `N passed, N failed`; lint, types and the build count as one check each. Exit code 0 only without failures.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findChromium } from './chromium.mjs'
import { onNode24 } from './node24.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
process.chdir(root)
await onNode24(import.meta.url)

const HELP = `npm test [-- WORD… | --long | --no-browser | --help]
  WORD          only test files whose path contains it (tests/e2e for the browser tests)
  --long        also the long tests (minutes each)
  --no-browser  leave the browser tests out`

const options = { long: false, browser: true }
const words = []
for (const argument of process.argv.slice(2)) {
  if (argument === '--long') options.long = true
  else if (argument === '--no-browser') options.browser = false
  else if (argument === '--help') {
    console.log(HELP)
    process.exit(0)
  } else if (argument.startsWith('-')) {
    console.error(`Unknown option ${argument}.\n${HELP}`)
    process.exit(2)
  } else words.push(argument)
}

/** Counted over all parts; `failures` names what to look at. */
const total = { passed: 0, failed: 0, skipped: 0 }
const failures = []
const notes = []
const scratch = await mkdtemp(join(tmpdir(), 'thaw-test-'))
const started = Date.now()

const env = {
  ...process.env,
  NEXT_TELEMETRY_DISABLED: '1',
  NEXT_IGNORE_INCORRECT_LOCKFILE: '1',
  TF_CPP_MIN_LOG_LEVEL: process.env.TF_CPP_MIN_LOG_LEVEL ?? '2',
  ...(options.long ? { THAW_TEST_LONG: '1' } : {}),
}

/** Runs a program of ours on this Node with the terminal attached; resolves to its exit code, 1 when a signal ended it. */
function run(args, extra = {}) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'], env: { ...env, ...extra } })
    child.on('error', (error) => {
      console.error(String(error))
      resolve(1)
    })
    child.on('exit', (code) => resolve(code ?? 1))
  })
}

function head(title) {
  console.log(`\n── ${title} ${'─'.repeat(Math.max(0, 90 - title.length))}`)
}

/** One counted check: a program whose exit code says yes or no. */
async function check(title, work) {
  head(title)
  const from = Date.now()
  let ok = false
  try {
    ok = await work()
  } catch (error) {
    console.error(error)
  }
  total[ok ? 'passed' : 'failed'] += 1
  if (!ok) failures.push(title)
  console.log(`${ok ? 'ok' : 'FAILED'} · ${title} · ${((Date.now() - from) / 1000).toFixed(1)} s`)
  return ok
}

/** Runs vitest with one configuration and adds its counts. A run that dies without a report counts as one failure. */
async function vitest(title, config, filters) {
  head(title)
  const report = join(scratch, `${config.replaceAll(/[^a-z0-9]/gi, '-')}.json`)
  const code = await run([
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    '--config',
    config,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    '--passWithNoTests',
    ...filters,
  ])
  let result
  try {
    result = JSON.parse(await readFile(report, 'utf8'))
  } catch {
    total.failed += 1
    failures.push(`${title}: ended without a report (exit code ${code})`)
    return
  }
  total.passed += result.numPassedTests
  total.failed += result.numFailedTests
  total.skipped += result.numPendingTests + (result.numTodoTests ?? 0)
  for (const file of result.testResults) {
    const bad = file.assertionResults.filter((test) => test.status === 'failed')
    for (const test of bad) failures.push(`${relative(root, file.name)}: ${test.fullName}`)
    // Only the browser tests have a second attempt; whoever needs it is a test to look at.
    for (const test of file.assertionResults)
      if (test.status === 'passed' && test.failureMessages?.length > 0)
        notes.push(`UNSTEADY  ${relative(root, file.name)}: ${test.fullName}: ${test.failureMessages[0].split('\n')[0]}`)
    // A file that cannot be loaded has no tests to count.
    if (file.status === 'failed' && bad.length === 0) {
      total.failed += 1
      failures.push(`${relative(root, file.name)}: ${String(file.message ?? '').split('\n')[0] || 'could not be run'}`)
    }
  }
  // Vitest also fails for what no test owns: an unhandled rejection, a hook of a file that passed.
  if (code !== 0 && result.numFailedTests === 0 && result.testResults.every((file) => file.status !== 'failed')) {
    total.failed += 1
    failures.push(`${title}: vitest ended with exit code ${code}; see its output above`)
  }
}

try {
  head('engine')
  const engine = (await run([join(root, 'scripts/engine-install.mjs')])) === 0
  // Thaw runs without TensorFlow, only slower, so a machine that cannot have it is no failure; a CI machine must.
  if (engine) total.passed += 1
  else if (process.env.CI === 'true') {
    total.failed += 1
    failures.push('engine: TensorFlow could not be installed; see above. Under CI=true that is a failure.')
  } else {
    total.skipped += 1
    notes.push('TensorFlow could not be installed (see above): the tests run on the slower fallback engine.')
  }
  const built = await check('build', async () => (await run([join(root, 'scripts/build.mjs')])) === 0)

  const browserOnly = words.length > 0 && words.every((word) => word.includes('e2e'))
  if (words.length === 0) {
    await check('lint', async () => (await run([join(root, 'node_modules/@biomejs/biome/bin/biome'), 'check', '.'])) === 0)
    await check('types', async () => (await run([typescript(), '--noEmit', '-p', 'tsconfig.json'])) === 0)
  }
  if (!browserOnly) await vitest('unit and integration tests', 'vitest.config.ts', words)

  const wanted = options.browser && (words.length === 0 || words.some((word) => word.includes('e2e')))
  if (wanted) {
    const chromium = findChromium()
    if (!built) notes.push('Browser tests were left out: there is no build to test.')
    else if (chromium)
      await vitest(
        'browser tests',
        'vitest.e2e.config.ts',
        words.filter((word) => word.includes('e2e')),
      )
    else {
      const line = 'Browser tests were skipped: no Chromium found. Set CHROMIUM_PATH or install the package chromium.'
      notes.push(line)
      total.skipped += 1
      if (process.env.CI === 'true') {
        total.failed += 1
        failures.push(`${line} Under CI=true that is a failure.`)
      }
    }
  }
} finally {
  await rm(scratch, { recursive: true, force: true })
}

function typescript() {
  const path = join(root, 'node_modules/typescript/bin/tsc')
  return existsSync(path) ? path : join(root, 'node_modules/typescript/lib/tsc.js')
}

head('summary')
for (const line of notes) console.log(line)
for (const line of failures) console.log(`FAILED  ${line}`)
const seconds = Math.round((Date.now() - started) / 1000)
console.log(`${Math.floor(seconds / 60)} min ${seconds % 60} s${total.skipped ? ` · ${total.skipped} skipped` : ''}`)
console.log(`${total.passed} passed, ${total.failed} failed`)
process.exit(total.failed === 0 ? 0 : 1)
