/** Looks at real processes through /proc, so that tests can kill one of the product's and see that none is left over. Linux only. */
import { readdir, readFile } from 'node:fs/promises'

export type ProcessInfo = { pid: number; parent: number; command: string; state: string }

/** Every process that this user may see. A process that ends meanwhile is left out. */
export async function processes(): Promise<ProcessInfo[]> {
  const found: ProcessInfo[] = []
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const stat = await readFile(`/proc/${name}/stat`, 'utf8')
      // The command name in brackets may hold spaces and brackets itself; the fields begin after the last one.
      const [state = '', parent = '0'] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      const command = (await readFile(`/proc/${name}/cmdline`, 'utf8')).replaceAll('\0', ' ').trim()
      found.push({ pid: Number(name), parent: Number(parent), command, state })
    } catch {
      // Ended between listing and reading.
    }
  }
  return found
}

/** All living descendants of a process, nearest first. Zombies do not count as living. */
export async function descendants(pid: number): Promise<ProcessInfo[]> {
  const all = (await processes()).filter((process) => process.state !== 'Z')
  const found: ProcessInfo[] = []
  const queue = [pid]
  for (let parent = queue.shift(); parent !== undefined; parent = queue.shift())
    for (const child of all.filter((process) => process.parent === parent)) {
      found.push(child)
      queue.push(child.pid)
    }
  return found
}

export async function isAlive(pid: number): Promise<boolean> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z'
  } catch {
    return false
  }
}
