/** `npm test` counts what happened and cannot pass over a failure: the real script on small made-up checkouts. */
import { execFile } from 'node:child_process'
import { chmod, cp, mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { findChromium } from '../../scripts/chromium.mjs'
import { tempFolder } from '../kit/temp'

const ROOT = join(import.meta.dirname, '../..')
const PASSING = "import { expect, test } from 'vitest'\n\ntest('one is one', () => expect(1).toBe(1))\n"

/** Runs the script in a checkout with these files; engine and build are stand-ins that only end well. */
async function npmTest(
  files: Record<string, string>,
  args: string[] = [],
  env: Record<string, string> = {},
): Promise<{ code: number; out: string; last: string }> {
  await using folder = await tempFolder('thaw test command ')
  for (const path of [
    'scripts/test.mjs',
    'scripts/node24.mjs',
    'scripts/chromium.mjs',
    'vitest.config.ts',
    'vitest.e2e.config.ts',
    'biome.json',
    '.gitignore',
    'scripts/lint',
  ]) {
    await mkdir(dirname(join(folder.path, path)), { recursive: true })
    await cp(join(ROOT, path), join(folder.path, path), { recursive: true })
  }
  await symlink(join(ROOT, 'node_modules'), join(folder.path, 'node_modules'))
  const given: Record<string, string> = {
    'scripts/engine-install.mjs': '',
    'scripts/build.mjs': '',
    'package.json': '{\n  "type": "module"\n}\n',
    'tsconfig.json': '{ "compilerOptions": { "strict": true, "noEmit": true, "skipLibCheck": true }, "include": ["tests/**/*.ts"] }\n',
    ...files,
  }
  for (const [path, text] of Object.entries(given)) {
    await mkdir(dirname(join(folder.path, path)), { recursive: true })
    await writeFile(join(folder.path, path), text)
  }
  // Awaited here: the folder goes when this function ends.
  return await new Promise((resolve) => {
    const clean = Object.fromEntries(
      Object.entries(process.env).filter(
        ([name]) => !name.startsWith('VITEST') && !['CI', 'NODE_ENV', 'TEST', 'FORCE_COLOR'].includes(name),
      ),
    )
    execFile(
      process.execPath,
      [join(folder.path, 'scripts/test.mjs'), ...args],
      { cwd: folder.path, env: { ...clean, NODE_ENV: 'test', NO_COLOR: '1', ...env }, maxBuffer: 1 << 26 },
      (error, stdout, stderr) => {
        const out = `${stdout}\n${stderr}`
        resolve({ code: error ? Number(error.code ?? 1) : 0, out, last: stdout.trimEnd().split('\n').at(-1) ?? '' })
      },
    )
  })
}

test('engine, build, lint, types and tests are counted, and the last line says so', async () => {
  const { code, out, last } = await npmTest({ 'tests/a.test.ts': PASSING }, ['--no-browser'])
  expect(last, out).toBe('5 passed, 0 failed')
  expect(code).toBe(0)
})

test('a failing test, a file that cannot be loaded and an unhandled rejection each fail the run by name', async () => {
  const { code, out, last } = await npmTest(
    {
      'tests/a.test.ts': PASSING,
      'tests/b.test.ts': PASSING.replaceAll('one is one', 'one is two').replace('toBe(1)', 'toBe(2)'),
      'tests/c.test.ts': "import './no-such-file'\n",
      'tests/d.test.ts': "import { test } from 'vitest'\ntest.skip('later', () => undefined)\n",
    },
    ['tests/'],
  )
  expect(last, out).toBe('3 passed, 2 failed')
  expect(out).toContain('FAILED  tests/b.test.ts: one is two')
  expect(out).toMatch(/FAILED {2}tests\/c\.test\.ts: .*no-such-file/)
  expect(out).toContain('1 skipped')
  expect(code).toBe(1)
  const rejected = await npmTest({ 'tests/a.test.ts': `${PASSING}void Promise.reject(new Error('nobody waits'))\n` }, ['tests/a'])
  expect(rejected.last, rejected.out).toMatch(/passed, 1 failed$/)
  expect(rejected.code).toBe(1)
})

test('TC-8: wrong style, wrong types and a failing build fail the run', async () => {
  const { code, out, last } = await npmTest(
    { 'tests/a.test.ts': PASSING, 'tests/b.ts': 'export const a: number = "x";\n', 'scripts/build.mjs': 'process.exit(3)\n' },
    ['--no-browser'],
  )
  expect(last, out).toBe('2 passed, 3 failed')
  for (const name of ['build', 'lint', 'types']) expect(out).toMatch(new RegExp(`^FAILED {2}${name}$`, 'm'))
  expect(code).toBe(1)
})

test('without a Chromium the browser tests are skipped in one line, and under CI that is a failure', async () => {
  const files = { 'tests/e2e/a.test.ts': PASSING }
  const none = { CHROMIUM_PATH: '/nowhere/chromium' }
  const skipped = await npmTest(files, ['tests/e2e'], none)
  expect(skipped.out).toContain('Browser tests were skipped: no Chromium found.')
  expect(skipped.last, skipped.out).toBe('2 passed, 0 failed')
  const failed = await npmTest(files, ['tests/e2e'], { ...none, CI: 'true' })
  expect(failed.last).toBe('2 passed, 1 failed')
  expect(failed.code).toBe(1)
})

test('a browser test has a second attempt, and one that needs it is named; one that fails twice fails the run', async () => {
  const failing = (times: number) =>
    `import { expect, test } from 'vitest'\n\nlet n = 0\ntest('fails ${times} times', () => expect(n++).toBe(${times}))\n`
  const { code, out, last } = await npmTest({ 'tests/e2e/a.test.ts': failing(1), 'tests/e2e/b.test.ts': failing(2) }, ['tests/e2e'], {
    CHROMIUM_PATH: process.execPath,
  })
  expect(out).toContain('UNSTEADY  tests/e2e/a.test.ts: fails 1 times: AssertionError: expected +0 to be 1')
  expect(out).toContain('FAILED  tests/e2e/b.test.ts: fails 2 times')
  expect(out).not.toContain('FAILED  tests/e2e/a.test.ts')
  expect(last, out).toBe('3 passed, 1 failed')
  expect(code).toBe(1)
})

test('an unknown option is refused with the list of options', async () => {
  const { code, out } = await npmTest({}, ['--fast'])
  expect(code).toBe(2)
  expect(out).toContain('Unknown option --fast.')
  expect(out).toContain('--long')
})

test('a Chromium is looked up by CHROMIUM_PATH first, then by name along PATH', async () => {
  await using folder = await tempFolder()
  const own = join(folder.path, 'my browser')
  await writeFile(own, '')
  expect(findChromium({ CHROMIUM_PATH: own })).toBeNull() // not executable
  await chmod(own, 0o755)
  expect(findChromium({ CHROMIUM_PATH: own })).toBe(own)
  const named = join(folder.path, 'chromium')
  await writeFile(named, '')
  await chmod(named, 0o755)
  expect(findChromium({ PATH: folder.path })).toBe(named)
})
