#!/usr/bin/env node
/**
 * `npx thaw`: builds when sources changed, installs the engine for commands that need it, and runs the command line on Node 24. Plain JavaScript, because
 * it runs before anything is built.
 */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from '../scripts/build.mjs'
import { ensureEngine } from '../scripts/engine-install.mjs'
import { onNode24 } from '../scripts/node24.mjs'

await onNode24(import.meta.url)
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const [command] = process.argv.slice(2)
const help = process.argv.includes('--help')
try {
  // Everything said before the command itself goes to standard error: with --json, standard output belongs to it alone.
  if ((command === 'run' || command === 'worker') && !help) {
    const engine = await ensureEngine()
    if (!engine.ok)
      process.stderr.write(
        `TensorFlow is not available, so training uses the slower engine. ${engine.reason.message} ${engine.reason.fix}\n`,
      )
  }
  await build()
} catch (error) {
  process.stderr.write(`thaw: ${error.message ?? error}\n`)
  process.exit(1)
}
const program = join(root, 'dist', 'cli.mjs')
if (!existsSync(program)) {
  process.stderr.write('thaw: the command line was not built.\n')
  process.exit(1)
}
await import(pathToFileURL(program).href)
