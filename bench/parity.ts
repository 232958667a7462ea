/**
 * `npm run parity -- DIR [--self-test] [--json] [--backend NAME]`: compares the engine with reference values of Hugging Face's and other packages
 * (E-1). DIR is laid out like ../shared/fixtures: a folder for each topic, in it a folder for each case. Prints a line for each metric and ends
 * with `N passed, N failed`; exits 1 on a failure, on a case that nothing read, and when there was nothing to do.
 * `--self-test` spoils every result before comparing it: then `ok` means that the fault was noticed.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { pathToFileURL } from 'node:url'
import type { BackendName } from '../engine/backends/backend'
import { openBackend } from '../engine/backends/choose'
import type { Context } from './parity/cases'
import { data } from './parity/data'
import { generation } from './parity/generation'
import { gguf } from './parity/gguf'
import { metrics } from './parity/metrics'
import { models } from './parity/models'
import { preference } from './parity/preference'
import { Report, showLine } from './parity/report'
import { tokenizers } from './parity/tokenizers'
import { training } from './parity/training'

const TOPICS: Readonly<Record<string, (context: Context, folder: string) => Promise<void>>> = {
  tokenizers,
  models,
  training,
  generation,
  gguf,
  data,
  metrics,
  preference,
}

const args = process.argv.slice(2)
const flag = (name: string) => args.includes(name)
const optionOf = (name: string) => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined)
const root = args.find((arg, i) => !arg.startsWith('--') && args[i - 1] !== '--backend')

/** Where this checkout is: the bundle lies in dist/. */
const checkout = path.dirname(import.meta.dirname)

async function main(): Promise<number> {
  if (!root || !fs.existsSync(root)) {
    console.error(
      root ? `There is no folder ${root}.` : 'usage: npm run parity -- DIR [--self-test] [--json] [--backend tensorflow|wasm|cpu]',
    )
    return 1
  }
  const json = flag('--json')
  const report = new Report({
    selfTest: flag('--self-test'),
    print: (line) => {
      console.log(json ? JSON.stringify(line) : showLine(line))
    },
  })
  const install = await import(pathToFileURL(path.join(checkout, 'scripts', 'engine-install.mjs')).href)
  const fetch = await import(pathToFileURL(path.join(checkout, 'scripts', 'model-fetch.mjs')).href)
  const only = optionOf('--backend') as BackendName | undefined
  const { backend, reason } = await openBackend({
    addon: install.installedEngine()?.addon ?? null,
    reason: 'TensorFlow is not installed',
    ...(only && { only }),
  })
  if (!json) console.log(`# ${reason}`)
  const context: Context = { root: path.resolve(root), report, backend, modelFolders: [fetch.modelFolder()] }

  // A topic folder may be given itself.
  const own = TOPICS[path.basename(context.root)]
  const folders = own
    ? [context.root]
    : fs
        .readdirSync(context.root, { withFileTypes: true })
        .flatMap((entry) => (entry.isDirectory() ? [path.join(context.root, entry.name)] : []))
  for (const folder of folders.sort()) {
    const topic = TOPICS[path.basename(folder)]
    const at = path.relative(context.root, folder) || path.basename(folder)
    if (!topic) report.fail(at, 'unread', 'no such topic')
    else {
      try {
        const before = report.lines.length
        await topic(context, folder)
        if (report.lines.length === before) report.fail(at, 'unread', 'the topic holds no case')
      } catch (error) {
        report.fail(at, 'threw', error instanceof Error ? error.message : String(error))
      }
    }
  }
  backend.close()
  const count = (status: string) => report.lines.filter((line) => line.status === status).length
  const [passed, failed, skipped] = [count('ok'), count('FAIL'), count('skip')]
  if (json) console.log(JSON.stringify({ passed, failed, skipped }))
  else {
    if (skipped) console.log(`# ${skipped} skipped`)
    if (passed + failed === 0) console.log('# nothing was compared')
  }
  console.log(`${passed} passed, ${failed} failed`)
  return failed === 0 && passed > 0 ? 0 : 1
}

process.exitCode = await main()
