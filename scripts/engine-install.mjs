// Puts TensorFlow under the engine (E-16): the pinned wheel's libraries and the unmodified tfjs-node addon compiled against them, in a
// cache folder that survives `rm -rf node_modules`. Run by `npm start`, `npm test` and the first `npx thaw`; by hand it prints the result.
// Plain JavaScript without dependencies, because it runs before anything is built.
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { createRequire } from 'node:module'
import * as os from 'node:os'
import * as path from 'node:path'
import { fileURLToPath } from 'node:url'

export const TENSORFLOW_VERSION = '2.21.0'

/** Which wheel a machine gets. The addon uses the C interface only, so one wheel serves whatever Python and Node are installed. */
const WHEELS = {
  'linux-x64-cpu': {
    package: 'tensorflow-cpu',
    platform: 'manylinux_2_27_x86_64',
    bytes: 273_829_956,
    sha256: '2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c',
  },
  'linux-x64-cuda': {
    package: 'tensorflow',
    platform: 'manylinux_2_27_x86_64',
    bytes: 572_440_367,
    sha256: '9056fbc9ba04235810b71ae6cbd958a196e8804fb53bbcffbf3e23b56155f124',
  },
  'linux-arm64-cpu': {
    package: 'tensorflow',
    platform: 'manylinux_2_27_aarch64',
    bytes: 281_828_020,
    sha256: '4b24aca16d527a3cf1c37f720c04c484c3d20f4d0fdfa98632ac8b9f3be6eb5c',
  },
}

const repository = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const require = createRequire(import.meta.url)

const defaultCache = () => process.env.THAW_CACHE || path.join(os.homedir(), '.cache', 'thaw')

/**
 * @typedef {{kind: 'cpu' | 'cuda', folder: string, addon: string, libraryPath: string[], tensorflow: string}} Installed
 *   `addon`: the .node file to load. `libraryPath`: folders for LD_LIBRARY_PATH, to be set before the trainer starts; empty on CPU.
 * @typedef {{code: 'platform' | 'python' | 'pip' | 'compiler' | 'headers' | 'download' | 'disk' | 'folder', message: string, fix: string}} Reason
 */

/** Runs a program to its end, without a shell (SEC-12). */
const runProgram = (program, args, options = {}) =>
  new Promise((resolve) => {
    const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
    let tail = ''
    const keep = (data) => {
      tail = (tail + data).slice(-4000)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    child.on('error', (error) => resolve({ code: error.code === 'ENOENT' ? 'not found' : String(error.code), tail: String(error) }))
    child.on('close', (code) => resolve({ code, tail }))
  })

/** An NVIDIA driver is present when its user library or its control program is. Nothing is started to find out. */
export function nvidiaDriver({ folders, searchPath = process.env.PATH ?? '' } = {}) {
  if (process.platform !== 'linux' || process.arch !== 'x64') return false
  const libraries = folders ?? ['/usr/lib/x86_64-linux-gnu', '/usr/lib64', '/usr/lib', '/usr/local/nvidia/lib64', '/usr/lib/wsl/lib']
  return (
    libraries.some((folder) => fs.existsSync(path.join(folder, 'libcuda.so.1'))) ||
    searchPath.split(path.delimiter).some((folder) => folder !== '' && fs.existsSync(path.join(folder, 'nvidia-smi')))
  )
}

const fail = (code, message, fix) => ({ ok: false, reason: { code, message, fix } })

const tfjsFolder = () => path.dirname(require.resolve('@tensorflow/tfjs-node-gpu/package.json'))
const napiFolder = () => path.join(path.dirname(require.resolve('node-api-headers/package.json')), 'include')

/** Digest of the addon's sources: a new version of the package builds anew. */
function addonDigest() {
  const folder = path.join(tfjsFolder(), 'binding')
  const hash = createHash('sha256')
  for (const file of fs.readdirSync(folder).sort())
    hash
      .update(file)
      .update('\0')
      .update(fs.readFileSync(path.join(folder, file)))
  return hash.digest('hex').slice(0, 12)
}

const readStamp = (folder) => {
  try {
    const stamp = JSON.parse(fs.readFileSync(path.join(folder, 'installed.json'), 'utf8'))
    return fs.existsSync(path.join(folder, 'tfjs_binding.node')) && stamp.libraries.every((file) => fs.existsSync(file)) ? stamp : null
  } catch {
    return null
  }
}

/** Where the engine of this machine lies, or would lie. */
function target(cache) {
  const external = process.env.THAW_TENSORFLOW_DIR
  const kind = nvidiaDriver() ? 'cuda' : 'cpu'
  const name = external
    ? `external-${createHash('sha256').update(path.resolve(external)).digest('hex').slice(0, 12)}`
    : `tensorflow-${TENSORFLOW_VERSION}-${kind}-${process.platform}-${process.arch}`
  return { external, kind, folder: path.join(cache, 'engine', `${name}-${addonDigest()}`) }
}

const described = (folder, stamp) => ({
  kind: stamp.kind,
  folder,
  addon: path.join(folder, 'tfjs_binding.node'),
  libraryPath: stamp.libraryPath.map((entry) => path.resolve(folder, entry)),
  tensorflow: stamp.tensorflow,
})

/** What is installed, without installing: instant, for processes that only want to load it. @returns {Installed | null} */
export function installedEngine({ cache = defaultCache() } = {}) {
  const { folder } = target(cache)
  const stamp = readStamp(folder)
  return stamp ? described(folder, stamp) : null
}

async function findPython() {
  const seen = []
  for (const program of ['python3', 'python']) {
    const version = await runProgram(program, ['--version'])
    if (version.code === 'not found') continue
    const pip = await runProgram(program, ['-m', 'pip', '--version'])
    if (pip.code === 0) return { program }
    seen.push(program)
  }
  return { program: null, withoutPip: seen[0] }
}

const folderBytes = (folder) => {
  let sum = 0
  for (const entry of fs.readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue
    try {
      sum += fs.statSync(path.join(entry.parentPath ?? entry.path, entry.name)).size
    } catch {
      // pip removed it between the listing and the look.
    }
  }
  return sum
}

async function download(python, wheel, folder, requirement, onBytes) {
  const scratch = path.join(folder, 'pip')
  fs.mkdirSync(scratch, { recursive: true })
  // pip keeps a partial download under TMPDIR: watching that folder is the only progress it offers without a terminal.
  const timer = setInterval(() => onBytes?.(folderBytes(folder)), 250)
  try {
    return await runProgram(
      python,
      [
        ...['-m', 'pip', 'download', '--no-deps', '--only-binary=:all:', '--disable-pip-version-check', '--no-input', '--no-cache-dir'],
        ...['--python-version', '311', '--implementation', 'cp', '--abi', 'cp311', '--abi', 'none', '--abi', 'abi3'],
        ...wheel.platforms.flatMap((name) => ['--platform', name]),
        ...['-d', folder, requirement],
      ],
      { env: { ...process.env, TMPDIR: scratch } },
    )
  } finally {
    clearInterval(timer)
    fs.rmSync(scratch, { recursive: true, force: true })
  }
}

const sha256 = async (file) => {
  const hash = createHash('sha256')
  for await (const chunk of fs.createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk)
  return hash.digest('hex')
}

// Python is there anyway (pip needs it) and its zipfile reads any wheel; names are checked, so nothing lands outside the folder (SEC-8).
const UNPACK = `
import sys, zipfile
wheel, target, *prefixes = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for info in archive.infolist():
        name = info.filename
        if name.startswith('/') or '..' in name.split('/'):
            sys.exit('unsafe name in the wheel: ' + name)
        if any(name.startswith(prefix) for prefix in prefixes):
            archive.extract(info, target)
`

/** The wheels that `tensorflow[and-cuda]` names, read from the wheel itself so that they always fit it. */
const REQUIREMENTS = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    name = next(n for n in archive.namelist() if n.endswith('.dist-info/METADATA'))
    for line in archive.read(name).decode().splitlines():
        if line.startswith('Requires-Dist:') and 'and-cuda' in line:
            print(line[14:].split(';')[0].strip())
`

function libraryOf(folder) {
  const inside = path.join(folder, 'tensorflow')
  const at = fs.existsSync(path.join(inside, 'libtensorflow_cc.so.2')) ? inside : folder
  const files = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'].map((file) => path.join(at, file))
  return files.every((file) => fs.existsSync(file)) && fs.existsSync(path.join(at, 'include')) ? { at, files } : null
}

async function compile(libraries, out) {
  const link = path.join(out, 'link')
  fs.mkdirSync(link)
  // The linker looks for these names; the links are only needed while it runs.
  fs.symlinkSync(libraries.files[0], path.join(link, 'libtensorflow.so'))
  fs.symlinkSync(libraries.files[1], path.join(link, 'libtensorflow_framework.so'))
  const binding = path.join(tfjsFolder(), 'binding')
  const sources = fs.readdirSync(binding).filter((file) => file.endsWith('.cc'))
  const inCache = libraries.at.startsWith(out + path.sep)
  const rpath = inCache ? `$ORIGIN/${path.relative(out, libraries.at)}` : libraries.at
  const { code, tail } = await runProgram('g++', [
    ...['-std=c++17', '-O2', '-fPIC', '-shared', '-DNAPI_VERSION=8', '-w'],
    ...[`-I${path.join(libraries.at, 'include')}`, `-I${napiFolder()}`],
    ...sources.map((file) => path.join(binding, file)),
    ...[`-L${link}`, '-ltensorflow_framework', '-ltensorflow', `-Wl,-rpath,${rpath}`, '-o', path.join(out, 'tfjs_binding.node')],
  ])
  fs.rmSync(link, { recursive: true })
  return code === 0 ? null : tail
}

/**
 * Installs the engine once, or says why it cannot: the fallback engine then runs, slower. Never throws for what the machine lacks.
 * @param {{cache?: string, onProgress?: (step: string, done: number, total: number) => void}} options `done`, `total` in bytes; 0 of 0: unknown
 * @returns {Promise<{ok: true, engine: Installed, fresh: boolean} | {ok: false, reason: Reason}>}
 */
export async function ensureEngine({ cache = defaultCache(), onProgress = showProgress() } = {}) {
  const { external, kind, folder } = target(cache)
  const stamp = readStamp(folder)
  if (stamp) return { ok: true, engine: described(folder, stamp), fresh: false }

  const key = `${process.platform}-${process.arch}`
  const wheel = WHEELS[`${key}-${kind}`]
  if (!external && !wheel) {
    return fail(
      'platform',
      `TensorFlow has no build for ${key} that Thaw can use.`,
      'Run Thaw on Linux (x64 or arm64), or set THAW_TENSORFLOW_DIR.',
    )
  }
  const python = await findPython()
  if (!external && !python.program) {
    return python.withoutPip
      ? fail(
          'pip',
          `${python.withoutPip} is here, but its pip is not.`,
          'Install pip (Debian, Ubuntu: apt-get install python3-pip), then start again.',
        )
      : fail(
          'python',
          'Python 3 with pip was not found; it brings TensorFlow.',
          'Install it (Debian, Ubuntu: apt-get install python3-pip), then start again.',
        )
  }
  if ((await runProgram('g++', ['--version'])).code !== 0) {
    return fail(
      'compiler',
      'g++ was not found; it builds the bridge to TensorFlow.',
      'Install it (Debian, Ubuntu: apt-get install g++), then start again.',
    )
  }
  try {
    napiFolder()
    tfjsFolder()
  } catch {
    return fail('headers', 'The npm packages of the engine are not installed.', 'Run npm install, then start again.')
  }

  const work = `${folder}.${process.pid}.${randomBytes(4).toString('hex')}`
  try {
    fs.mkdirSync(work, { recursive: true })
  } catch (error) {
    return fail('folder', `The cache folder ${cache} cannot be written: ${error.message}`, 'Set THAW_CACHE to a folder that you may write.')
  }
  try {
    const need = external ? 50e6 : kind === 'cuda' ? 9e9 : 1.7e9
    const room = fs.statfsSync(work)
    if (room.bavail * room.bsize < need) {
      return fail(
        'disk',
        `The engine needs ${(need / 1e9).toFixed(1)} GB under ${cache}; ${((room.bavail * room.bsize) / 1e9).toFixed(1)} GB is free.`,
        'Free some space, or set THAW_CACHE to another disk.',
      )
    }
    const libraryPath = []
    if (!external) {
      const wheels = path.join(work, 'wheels')
      fs.mkdirSync(wheels)
      const step = `Downloading TensorFlow ${TENSORFLOW_VERSION}${kind === 'cuda' ? ' for CUDA' : ''}`
      onProgress(step, 0, wheel.bytes)
      const got = await download(
        python.program,
        { platforms: [wheel.platform] },
        wheels,
        `${wheel.package}==${TENSORFLOW_VERSION}`,
        (bytes) => onProgress(step, Math.min(bytes, wheel.bytes), wheel.bytes),
      )
      const file = fs.readdirSync(wheels).find((name) => name.endsWith('.whl'))
      if (got.code !== 0 || !file) {
        return fail(
          'download',
          `TensorFlow could not be downloaded: ${got.tail.trim().split('\n').at(-1) ?? got.code}`,
          'Check the network and the package index that pip uses, then start again.',
        )
      }
      onProgress(step, wheel.bytes, wheel.bytes)
      const archive = path.join(wheels, file)
      onProgress('Checking it', 0, 0)
      const digest = await sha256(archive)
      if (digest !== wheel.sha256) {
        return fail(
          'download',
          `The downloaded TensorFlow is not the pinned one: expected sha256 ${wheel.sha256}, got ${digest}.`,
          'Check which package index pip uses, then start again.',
        )
      }
      onProgress('Unpacking', 0, 0)
      const unpacked = await runProgram(python.program, [
        '-c',
        UNPACK,
        archive,
        work,
        'tensorflow/libtensorflow_cc.so.2',
        'tensorflow/libtensorflow_framework.so.2',
        'tensorflow/include/',
      ])
      if (unpacked.code !== 0)
        return fail(
          'download',
          `TensorFlow could not be unpacked: ${unpacked.tail.trim()}`,
          'Start again; if it stays, delete the cache folder.',
        )
      if (kind === 'cuda') {
        const listed = await runProgram(python.program, ['-c', REQUIREMENTS, archive])
        for (const requirement of listed.tail.trim().split('\n').filter(Boolean)) {
          const name = requirement.split(/[<>=! ]/)[0]
          const step = `Downloading ${name}`
          onProgress(step, 0, 0)
          const own = path.join(wheels, name)
          fs.mkdirSync(own)
          const got = await download(
            python.program,
            { platforms: ['manylinux_2_27_x86_64', 'manylinux_2_17_x86_64', 'manylinux2014_x86_64', 'manylinux1_x86_64'] },
            own,
            requirement,
            (bytes) => onProgress(step, bytes, 0),
          )
          const part = fs.readdirSync(own).find((entry) => entry.endsWith('.whl'))
          if (got.code !== 0 || !part)
            return fail(
              'download',
              `${name} could not be downloaded: ${got.tail.trim().split('\n').at(-1)}`,
              'Check the network, then start again.',
            )
          await runProgram(python.program, ['-c', UNPACK, path.join(own, part), work, 'nvidia/'])
          fs.rmSync(own, { recursive: true })
        }
        const nvidia = path.join(work, 'nvidia')
        for (const part of fs.existsSync(nvidia) ? fs.readdirSync(nvidia) : []) {
          if (fs.existsSync(path.join(nvidia, part, 'lib'))) libraryPath.push(path.join('nvidia', part, 'lib'))
        }
      }
      fs.rmSync(wheels, { recursive: true })
    }
    const libraries = libraryOf(external ? path.resolve(external) : work)
    if (!libraries) {
      return fail(
        'folder',
        `${external} holds no unpacked TensorFlow wheel (libtensorflow_cc.so.2, libtensorflow_framework.so.2 and include/).`,
        'Point THAW_TENSORFLOW_DIR at the folder that the wheel was unpacked to.',
      )
    }
    onProgress('Building the bridge to TensorFlow', 0, 0)
    const broken = await compile(libraries, work)
    if (broken)
      return fail(
        'compiler',
        `g++ could not build the bridge: ${broken.trim().split('\n').slice(-3).join(' ')}`,
        'Update g++ (9 or newer), then start again.',
      )
    // 400 MB of headers have done their work.
    if (!external) fs.rmSync(path.join(libraries.at, 'include'), { recursive: true })
    const inPlace = (file) => (file.startsWith(work) ? path.join(folder, path.relative(work, file)) : file)
    const installed = {
      kind: external ? (nvidiaDriver() ? 'cuda' : 'cpu') : kind,
      tensorflow: external ? 'external' : TENSORFLOW_VERSION,
      libraryPath,
      libraries: libraries.files.map(inPlace),
    }
    fs.writeFileSync(path.join(work, 'installed.json'), JSON.stringify(installed, null, 1))
    try {
      fs.renameSync(work, folder)
    } catch (error) {
      // Another process was faster, or an unfinished folder lies there from before stamps were written.
      if (!readStamp(folder)) {
        fs.rmSync(folder, { recursive: true, force: true })
        fs.renameSync(work, folder)
      } else if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    }
    onProgress('', 0, 0)
    const stamp = readStamp(folder)
    if (!stamp) throw new Error(`The engine was installed to ${folder}, but it is not there.`)
    return { ok: true, engine: described(folder, stamp), fresh: true }
  } finally {
    fs.rmSync(work, { recursive: true, force: true })
  }
}

/** Draws a bar on a terminal, and a line a step elsewhere. */
export function showProgress(stream = process.stderr) {
  let last = ''
  let drawn = 0
  return (step, done, total) => {
    if (step === '') {
      if (stream.isTTY && last) stream.write('\n')
      return
    }
    if (!stream.isTTY) {
      if (step !== last) stream.write(`${step}${total ? ` (${(total / 1e6).toFixed(0)} MB)` : ''}\n`)
      last = step
      return
    }
    if (step !== last && last) stream.write('\n')
    const now = Date.now()
    if (step === last && done < total && now - drawn < 100) return
    last = step
    drawn = now
    const bar = total
      ? `${'█'.repeat(Math.round((24 * done) / total)).padEnd(24, '░')} ${(done / 1e6).toFixed(0)} of ${(total / 1e6).toFixed(0)} MB`
      : done
        ? `${(done / 1e6).toFixed(0)} MB`
        : ''
    stream.write(`\r${step} ${bar}\u001b[K`)
  }
}

// By its own name only: inside a bundle, import.meta.url is the bundle's and would match every program made from it.
if (
  path.basename(process.argv[1] ?? '') === 'engine-install.mjs' &&
  fs.realpathSync(process.argv[1]) === fs.realpathSync(fileURLToPath(import.meta.url))
) {
  process.chdir(repository)
  const result = await ensureEngine()
  console.log(JSON.stringify(result, null, 2))
  process.exit(result.ok ? 0 : 1)
}
