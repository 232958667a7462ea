/**
 * Adds to package-lock.json the optional binaries of other platforms that npm left out (A-11, TC-28).
 *
 * A registry mirror that does not carry, say, the macOS compiler of Next.js makes npm drop the entry; then `npm ci` fails everywhere
 * and macOS users get no binary. What npm needs to skip or fetch such a package is its version, os and cpu, and those stand in the
 * name of the package. Entries without an integrity hash get one the first time that a full registry installs them.
 *
 *   node scripts/complete-lock.mjs           writes the missing entries
 *   node scripts/complete-lock.mjs --check   prints them and exits 1 when there are any
 */
import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const OS = {
  darwin: 'darwin',
  linux: 'linux',
  linuxmusl: 'linux',
  win32: 'win32',
  windows: 'win32',
  win: 'win32',
  android: 'android',
  freebsd: 'freebsd',
  openbsd: 'openbsd',
  netbsd: 'netbsd',
  sunos: 'sunos',
  aix: 'aix',
  openharmony: 'openharmony',
}
const CPU = ['x64', 'arm64', 'arm', 'ia32', 'ppc64', 'riscv64', 's390x', 'loong64', 'mips64el', 'wasm32']

/** `{os, cpu, libc}` as the last words of a package name say them; null when the name does not end in a platform. */
export function platformOf(name) {
  const words = name.split('/').at(-1).split('-')
  const cpu = words.filter((word) => CPU.includes(word)).at(-1)
  const os = words.map((word) => OS[word]).find(Boolean)
  if (!cpu) return null
  if (!os) return cpu === 'wasm32' ? { cpu: [cpu] } : null
  const musl = words.includes('musl') || words.includes('linuxmusl')
  const libc = musl ? 'musl' : words.includes('gnu') ? 'glibc' : null
  return { os: [os], cpu: [cpu], ...(libc ? { libc: [libc] } : {}) }
}

/** Whether some folder from `path` upwards holds `name`, as Node would look it up. */
function resolves(packages, path, name) {
  for (let at = path; ; ) {
    if (packages[`${at ? `${at}/` : ''}node_modules/${name}`]) return true
    if (!at) return false
    const cut = at.lastIndexOf('node_modules/')
    at = cut > 0 ? at.slice(0, cut - 1) : ''
  }
}

/** The entries that are missing from a parsed lock file, by path. Pure. Throws when a missing package's name tells no platform. */
export function missingEntries(lock) {
  const { packages } = lock
  const missing = {}
  for (const [path, entry] of Object.entries(packages))
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      if (resolves(packages, path, name)) continue
      const platform = platformOf(name)
      if (!platform)
        throw new Error(
          `package-lock.json: ${name}@${version}, optional for ${path || 'us'}, is missing and its name tells no platform. Add it by hand.`,
        )
      if (!/^\d+\.\d+\.\d+/.test(version))
        throw new Error(`package-lock.json: ${name} is wanted as ${version}; only exact versions can be added without asking a registry.`)
      missing[`node_modules/${name}`] = {
        version,
        ...(platform.cpu ? { cpu: platform.cpu } : {}),
        ...(entry.dev ? { dev: true } : {}),
        ...(platform.libc ? { libc: platform.libc } : {}),
        ...(entry.license ? { license: entry.license } : {}),
        optional: true,
        ...(platform.os ? { os: platform.os } : {}),
      }
    }
  return missing
}

async function main() {
  const file = join(dirname(dirname(fileURLToPath(import.meta.url))), 'package-lock.json')
  const lock = JSON.parse(await readFile(file, 'utf8'))
  const missing = missingEntries(lock)
  const names = Object.keys(missing)
  if (names.length === 0) {
    console.log('package-lock.json lists the optional binaries of every platform.')
    return
  }
  if (process.argv.includes('--check')) {
    console.error(`package-lock.json lacks ${names.length} optional binaries: run node scripts/complete-lock.mjs\n${names.join('\n')}`)
    process.exit(1)
  }
  const { '': self, ...rest } = { ...lock.packages, ...missing }
  const sorted = Object.fromEntries(Object.entries(rest).sort(([a], [b]) => a.localeCompare(b, 'en')))
  lock.packages = { '': self, ...sorted }
  await writeFile(file, `${JSON.stringify(lock, null, 2)}\n`)
  console.log(`Added ${names.length} to package-lock.json:\n${names.join('\n')}`)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main()
