/** Digests of source trees: what decides whether something is built again (TC-18). Contents count, never times: a checkout touches every file. */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

const SKIP = new Set(['node_modules', '.next', 'dist', '.git', 'tests', 'migrations'])

function* filesUnder(root, path) {
  const full = join(root, path)
  if (!existsSync(full)) return
  if (statSync(full).isFile()) {
    yield path
    return
  }
  for (const entry of readdirSync(full, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (SKIP.has(entry.name)) continue
    const inner = `${path}/${entry.name}`
    if (entry.isDirectory()) yield* filesUnder(root, inner)
    else if (entry.isFile() && /\.(ts|tsx|mts|mjs|js|json|css|svg|png|ico|woff2)$/.test(entry.name)) yield inner
  }
}

/** @param {string} root @param {readonly string[]} paths files and folders under it */
export function digestOfSources(root, paths) {
  const hash = createHash('sha256')
  for (const path of paths) {
    for (const file of filesUnder(root, path)) {
      hash.update(`${file}\0`)
      hash.update(readFileSync(join(root, file)))
      hash.update('\0')
    }
  }
  return hash.digest('hex')
}
