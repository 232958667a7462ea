/** `node scripts/run-built.mjs NAME args…`: builds if sources changed, then runs dist/NAME.mjs on Node 24 in this process. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from './build.mjs'
import { onNode24 } from './node24.mjs'

await onNode24(import.meta.url)
const [name, ...args] = process.argv.slice(2)
const path = name && /^[a-z-]+$/.test(name) ? join(dirname(dirname(fileURLToPath(import.meta.url))), 'dist', `${name}.mjs`) : null
await build()
if (!path || !existsSync(path)) {
  console.error(`There is no program "${name ?? ''}" in dist/.`)
  process.exit(1)
}
process.argv = [process.argv[0], path, ...args]
await import(pathToFileURL(path).href)
