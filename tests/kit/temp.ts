import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A folder of the test's own, with a space in its name on purpose; `await using` removes it. */
export async function tempFolder(name = 'thaw test '): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), name))
  return {
    path,
    // Retries: on the way out a killed process may still be writing.
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 }),
  }
}
