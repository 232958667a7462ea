/**
 * Who is alive: lock files that hold a process id together with the time that process started, so that a reused id is not mistaken for the
 * old owner. The lock is the file's existence with a living owner; a dead owner's file is taken over.
 */
import { execFileSync } from 'node:child_process'
import { linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

export type Owner = { pid: number; started: string | null }

/** Start time of a process in the system's own notation, or null if it cannot be told (the process is gone, or no /proc and no ps). */
export function processStart(pid: number): string | null {
  if (process.platform === 'win32') return null
  if (process.platform === 'linux') {
    try {
      // Field 22 of stat; the command name before it may hold spaces and brackets, so count from the last bracket.
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
    } catch {
      return null
    }
  }
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || null
  } catch {
    return null
  }
}

/** A zombie answers signals but holds nothing any more. */
function isZombie(pid: number): boolean {
  if (process.platform !== 'linux') return false
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat[stat.lastIndexOf(')') + 2] === 'Z'
  } catch {
    return true
  }
}

export function isAlive(owner: Owner): boolean {
  if (!Number.isInteger(owner.pid) || owner.pid <= 0) return false
  try {
    process.kill(owner.pid, 0)
  } catch (error) {
    // EPERM: it lives, under another account.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  if (isZombie(owner.pid)) return false
  const started = processStart(owner.pid)
  return owner.started === null || started === null || started === owner.started
}

export const thisProcess = (): Owner => ({ pid: process.pid, started: processStart(process.pid) })

/** Reads a lock or state file; null when it is missing or not ours to understand. */
export function readOwner<T extends Owner = Owner>(path: string): T | null {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    return typeof value === 'object' && value !== null && typeof (value as Owner).pid === 'number' ? (value as T) : null
  } catch {
    return null
  }
}

/** Never notified: waiting on it is a short sleep without giving up the caller's turn. */
const PAUSE = new Int32Array(new SharedArrayBuffer(4))

/**
 * Takes the lock at `path`, or returns the living owner that holds it. `link` makes taking it one indivisible step: the file appears with its
 * content or not at all.
 */
export function takeLock(path: string): { taken: true; release(): void } | { taken: false; owner: Owner } {
  mkdirSync(dirname(path), { recursive: true })
  const mine = `${path}.${process.pid}`
  writeFileSync(mine, JSON.stringify(thisProcess()), { mode: 0o600 })
  try {
    for (let round = 0; round < 100; round++) {
      try {
        linkSync(mine, path)
        return {
          taken: true,
          release: () => {
            if (readOwner(path)?.pid === process.pid) rmSync(path, { force: true })
          },
        }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
      const owner = readOwner(path)
      if (owner && isAlive(owner)) return { taken: false, owner }
      clearDead(path, mine)
      Atomics.wait(PAUSE, 0, 0, 2)
    }
    return { taken: false, owner: readOwner(path) ?? { pid: 0, started: null } }
  } finally {
    rmSync(mine, { force: true })
  }
}

/**
 * Removes a dead owner's lock, one process at a time: without the guard, two that saw the same dead owner could remove each other's fresh lock.
 * The guard is held for two file operations; one left by a process that was killed between them goes when its owner is seen to be dead.
 */
function clearDead(path: string, mine: string): void {
  const guard = `${path}.takeover`
  try {
    linkSync(mine, guard)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    const other = readOwner(guard)
    if (other && !isAlive(other)) rmSync(guard, { force: true })
    return
  }
  try {
    const owner = readOwner(path)
    if (!owner || !isAlive(owner)) rmSync(path, { force: true })
  } finally {
    rmSync(guard, { force: true })
  }
}

/** Waits for the lock; for short critical sections only. */
export async function waitForLock(path: string, timeoutMs: number): Promise<{ release(): void } | null> {
  const until = Date.now() + timeoutMs
  while (true) {
    const lock = takeLock(path)
    if (lock.taken) return lock
    if (Date.now() > until) return null
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Records this process as a user of the thing that `folder` stands for; `others` lists the living rest. */
export function joinUsers(folder: string): { leave(): void; others(): Owner[] } {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const mine = join(folder, `${process.pid}.json`)
  writeFileSync(mine, JSON.stringify(thisProcess()), { mode: 0o600 })
  return {
    leave: () => rmSync(mine, { force: true }),
    others: () =>
      readdirSync(folder).flatMap((name) => {
        const owner = readOwner(join(folder, name))
        if (!owner || owner.pid === process.pid) return []
        if (isAlive(owner)) return [owner]
        rmSync(join(folder, name), { force: true })
        return []
      }),
  }
}
