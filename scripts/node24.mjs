/** Scripts typed by hand start on whatever Node is installed; ours need 24, which npm installed beside them (A-10, TC-3). */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const WANTED = 24

/** The Node that npm installed for this platform, or null (macOS, Alpine). */
export function bundledNode() {
  const root = dirname(dirname(fileURLToPath(import.meta.url)))
  const name = process.platform === 'win32' ? 'node.exe' : 'node'
  const path = join(root, 'node_modules', `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`, 'bin', name)
  return existsSync(path) ? path : null
}

/**
 * Goes on at once on Node 24; on an older one starts the same script again on the bundled Node, and ends with its exit code.
 * Without a bundled Node, 22.12 is enough to run Thaw; anything older ends with one line that says what to do.
 */
export async function onNode24(scriptUrl) {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major >= WANTED) return
  const node = bundledNode()
  if (!node) {
    if (major > 22 || (major === 22 && minor >= 12)) return
    console.error(
      `Thaw needs Node ${WANTED} (or 22.12 and newer); this is ${process.versions.node}. Install Node ${WANTED} from your package manager, then try again.`,
    )
    process.exit(1)
  }
  const child = spawn(node, [fileURLToPath(scriptUrl), ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: { ...process.env, PATH: `${dirname(node)}${process.platform === 'win32' ? ';' : ':'}${process.env.PATH ?? ''}` },
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  const code = await new Promise((resolve) => {
    child.on('error', (error) => {
      console.error(`Could not start ${node}: ${error.message}`)
      resolve(1)
    })
    child.on('exit', (exit) => resolve(exit ?? 1))
  })
  process.exit(code)
}
