/** Puts the files behind a `file` handle where people and other programs find them: a folder under THAW_HOME/exports. */
import { constants } from 'node:fs'
import { chmod, copyFile, mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { FileHandle } from '../nodes/_kit/ports'
import { AppError } from './errors'
import { type ArtifactStore, isManifestPath } from './storage/artifact-store'

const slug = (name: string) =>
  name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 60) || 'export'

/**
 * Copies, never links: what a user does with the folder must not reach the store. The folder appears whole or not at all, and the same content gives the
 * same folder. @returns its path. @throws AppError ARTIFACT_MISSING, ARTIFACT_CORRUPT, NO_SPACE
 */
export async function writeExport(store: ArtifactStore, home: string, name: string, handle: FileHandle): Promise<string> {
  const root = join(home, 'exports')
  const target = join(root, `${slug(name)}-${handle.manifest.slice(0, 12)}`)
  const files = await store.readManifest(handle.manifest)
  if (await holds(target, files)) return target
  await mkdir(root, { recursive: true })
  const half = await mkdtemp(join(root, '.writing-'))
  try {
    for (const file of files) {
      if (!isManifestPath(file.path))
        throw new AppError('PATH_REFUSED', { message: 'A file of the export has an unsafe path.', got: file.path.slice(0, 200) })
      const path = join(half, file.path)
      await mkdir(dirname(path), { recursive: true })
      await copyFile(await store.verifiedPath(file.digest), path, constants.COPYFILE_FICLONE)
      // Stored bytes are read-only; what a user gets is his.
      await chmod(path, 0o644)
    }
    // What lies there is not what it should be: somebody changed it, or an earlier Thaw wrote it half.
    const aside = `${target}.replaced-${Date.now()}`
    const moved = await rename(target, aside).then(
      () => true,
      () => false,
    )
    await rename(half, target)
    if (moved) await rm(aside, { recursive: true, force: true })
    return target
  } catch (error) {
    await rm(half, { recursive: true, force: true })
    // Another process wrote the same folder meanwhile.
    if (await holds(target, files)) return target
    throw error
  }
}

async function holds(folder: string, files: readonly { path: string; size: number }[]): Promise<boolean> {
  for (const file of files) {
    const info = await stat(join(folder, file.path)).catch(() => null)
    if (info?.size !== file.size) return false
  }
  return files.length > 0
}
