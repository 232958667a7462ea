/**
 * Kills the trainer when its worker is gone, even while the main thread is blocked inside TensorFlow: a thread with an event loop of its own that
 * listens to a pipe nobody writes to. Its end means that the worker's end was closed, and only its death closes it. A blocking read would not do: it
 * cannot be interrupted, and an exiting process waits for its threads. An entry of its own, so that the thread loads nothing else.
 */
import { Socket } from 'node:net'
import { isMainThread } from 'node:worker_threads'

/** File descriptor of that pipe, after the three of the system and the IPC channel. */
const WATCHDOG_FD = 4

const die = () => process.kill(process.pid, 'SIGKILL')

if (!isMainThread) {
  const pipe = new Socket({ fd: WATCHDOG_FD, readable: true, writable: false })
  pipe.on('end', die)
  pipe.on('close', die)
  pipe.on('error', die)
  pipe.resume()
}
