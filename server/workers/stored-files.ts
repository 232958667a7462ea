/** Files of a job in the artifact store: single ones, and manifests of several. */
import * as fs from 'node:fs'
import type { ArtifactAccess } from '../../nodes/_kit/context'
import type { Digest } from '../../nodes/_kit/ports'

export type StoredFile = { path: string; digest: Digest; size: number }

export async function readManifest(artifacts: ArtifactAccess, manifest: Digest): Promise<StoredFile[]> {
  return (JSON.parse(await artifacts.readText(manifest)) as { files: StoredFile[] }).files
}

/** Stores a file under the name it has in its manifest. */
export async function store(artifacts: ArtifactAccess, file: string, name: string): Promise<StoredFile> {
  const { size } = fs.statSync(file)
  return { path: name, digest: await artifacts.putFile(file), size }
}
