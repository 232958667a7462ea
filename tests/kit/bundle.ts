import { join } from 'node:path'
import * as esbuild from 'esbuild'
import { ROOT } from './product'

/** Bundles a TypeScript program so that a test can start it as a process. Returns the path of the .mjs, inside the checkout so that packages resolve. */
export async function bundleProgram(source: string, name: string): Promise<string> {
  const outfile = join(ROOT, 'node_modules', '.cache', 'thaw-tests', `${name}-${process.pid}.mjs`)
  await esbuild.build({
    entryPoints: [join(ROOT, source)],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node22',
    packages: 'external',
    logLevel: 'warning',
    tsconfig: join(ROOT, 'tsconfig.json'),
  })
  return outfile
}
