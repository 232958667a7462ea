/** Digests of the nodes' code, written by scripts/build.mjs (R-59); empty without a build, and then nothing is reused. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export function readImplDigests(root: string): Record<string, string> {
  const path = join(root, 'dist', 'impl-digests.json')
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Record<string, string>) : {}
}
