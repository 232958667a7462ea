/**
 * Checks that everything we ship or install for users may be used the way we use it (SEC-19): each production dependency's licence is on
 * the list below, or the package is a named exception with its reason. Reads package-lock.json only.
 *
 *   node scripts/licences.mjs            prints the count by licence; exits 1 when something is not allowed
 */
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const ALLOWED = new Set([
  'MIT',
  'Apache-2.0',
  'ISC',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'MPL-2.0',
  'CC0-1.0',
  'BlueOak-1.0.0',
  'Unlicense',
  'OFL-1.1',
])

/** Package name (or its beginning, with a star) → why its licence is fine here though it is not on the list. */
export const EXCEPTIONS = {
  '@img/sharp-*': 'libvips is LGPL: an optional shared library of Next.js, unmodified and replaceable; Thaw does not call it.',
  'caniuse-lite': 'CC-BY-4.0 is the licence of its browser data, used while building; nothing of it is shipped.',
}

const exceptionFor = (name) => Object.keys(EXCEPTIONS).find((key) => (key.endsWith('*') ? name.startsWith(key.slice(0, -1)) : name === key))

/** Whether an SPDX expression lets us choose only allowed licences: every part of an AND, one part of an OR. */
export function allowed(expression) {
  const text = expression.trim().replace(/^\((.*)\)$/, '$1')
  if (text.includes('(')) return false
  if (/ AND /.test(text)) return text.split(/ AND /).every(allowed)
  return text.split(/ OR /).some((part) => ALLOWED.has(part.trim()))
}

/** `{counts, problems, unusedExceptions}` for a parsed lock file. Pure. */
export function checkLicences(lock) {
  const counts = {}
  const problems = []
  const used = new Set()
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (!path || entry.dev || entry.link) continue
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
    const licence = entry.license ?? 'none stated'
    counts[licence] = (counts[licence] ?? 0) + 1
    if (allowed(licence)) continue
    const exception = exceptionFor(name)
    if (exception) used.add(exception)
    else
      problems.push(`${name}@${entry.version}: ${licence}. Replace it, or name it in EXCEPTIONS of scripts/licences.mjs with the reason.`)
  }
  return { counts, problems, unusedExceptions: Object.keys(EXCEPTIONS).filter((key) => !used.has(key)) }
}

async function main() {
  const lock = JSON.parse(await readFile(join(dirname(dirname(fileURLToPath(import.meta.url))), 'package-lock.json'), 'utf8'))
  const { counts, problems } = checkLicences(lock)
  for (const [licence, count] of Object.entries(counts).sort((a, b) => b[1] - a[1])) console.log(`${String(count).padStart(4)}  ${licence}`)
  for (const line of problems) console.error(line)
  if (problems.length > 0) process.exit(1)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main()
