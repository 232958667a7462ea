/**
 * Kills the trainer when its worker is gone, even while the main thread is blocked inside TensorFlow: a thread that reads a pipe which nobody writes
 * to. End of file means that the worker's end was closed, and only its death closes it. This file is an entry of its own, so that the thread loads nothing.
 */
import { readSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'

/** File descriptor of that pipe, after the three of the system and the IPC channel. */
const WATCHDOG_FD = 4
const LOOK_AGAIN_MS = 200

function watch(): void {
  const byte = Buffer.alloc(1)
  const nap = new Int32Array(new SharedArrayBuffer(4))
  for (;;) {
    try {
      if (readSync(WATCHDOG_FD, byte, 0, 1, null) > 0) continue
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      // libuv hands the descriptor over in non-blocking mode on some systems.
      if (code === 'EAGAIN' || code === 'EINTR') {
        Atomics.wait(nap, 0, 0, LOOK_AGAIN_MS)
        continue
      }
      // No such pipe: we were not started by a worker; there is nobody to follow.
      if (code === 'EBADF') return
    }
    process.kill(process.pid, 'SIGKILL')
  }
}

if (!isMainThread) watch()
