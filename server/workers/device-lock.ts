/**
 * A lock that the kernel frees when its holder dies, however it dies: an open socket. So the trainer of a killed worker, still busy in a
 * blocking call, keeps the device until it is really gone, and its successor waits instead of running beside it.
 *
 * Linux: a socket in the abstract namespace, which has no file to be left over. Windows: a named pipe, likewise. macOS: a socket file; one that
 * nobody answers at was left by a dead process and is replaced.
 */
import { rmSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../errors'

const RETRY_MS = 50

const addressOf = (name: string) => {
  if (process.platform === 'linux') return `\0thaw-${name}`
  if (process.platform === 'win32') return `\\\\.\\pipe\\thaw-${name}`
  return join(tmpdir(), `thaw-${name}.lock`)
}

function listen(address: string): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(null) : reject(error)))
    server.listen(address, () => resolve(server))
    // The lock must not keep a process alive that has nothing else to do.
    server.unref()
  })
}

const answers = (address: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(address)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })

/** @param name of the device; letters, digits and dashes. @throws AppError NO_ENGINE when it is still held after `timeoutMs`. */
export async function lockDevice(name: string, timeoutMs = 60_000): Promise<{ release(): void }> {
  const address = addressOf(name)
  const until = Date.now() + timeoutMs
  for (;;) {
    const server = await listen(address)
    if (server) return { release: () => server.close() }
    if (process.platform !== 'linux' && process.platform !== 'win32' && !(await answers(address))) rmSync(address, { force: true })
    if (Date.now() > until) {
      throw new AppError('NO_ENGINE', {
        message: 'Another trainer still holds the device.',
        where: name,
        expected: `the device within ${timeoutMs / 1_000} s`,
        fix: 'Wait for it to end, or end it, and run again.',
      })
    }
    await sleep(RETRY_MS)
  }
}
