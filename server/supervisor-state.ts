/** What the supervisor tells other processes of its THAW_HOME, in `supervisor.json`: the CLI uses its database, a second start prints its URL. */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isAlive, type Owner, readOwner, thisProcess } from './lock-file'

export type ChildState = { name: string; pid: number | null; state: 'up' | 'restarting' | 'degraded'; lines: string[] }
export type SupervisorState = Owner & {
  /** http://127.0.0.1:port */
  origin: string
  /** Holds the database's password: the file is 0600. */
  databaseUrl: string
  children: ChildState[]
}

const pathOf = (home: string) => join(home, 'supervisor.json')
export const supervisorLock = (home: string) => join(home, 'supervisor.lock')

/** The living supervisor of this THAW_HOME, or null. */
export function readSupervisor(home: string): SupervisorState | null {
  const state = readOwner<SupervisorState>(pathOf(home))
  return state && isAlive(state) ? state : null
}

export function writeSupervisor(home: string, state: Omit<SupervisorState, 'pid' | 'started'>): void {
  mkdirSync(home, { recursive: true, mode: 0o700 })
  const half = `${pathOf(home)}.${process.pid}`
  writeFileSync(half, JSON.stringify({ ...thisProcess(), ...state }), { mode: 0o600 })
  renameSync(half, pathOf(home))
}

export function clearSupervisor(home: string): void {
  if (readOwner(pathOf(home))?.pid === process.pid) rmSync(pathOf(home), { force: true })
}
