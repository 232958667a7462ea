/** Whole trainings against PEFT, torch and transformers: the same runner as `npm run parity`, over the cases that live in the repository. */
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { type Line, Report } from '../../../bench/parity/report'
import { training } from '../../../bench/parity/training'
import { BACKEND_NAMES, BACKENDS } from '../support/backend'
import { REFERENCE } from '../support/fixtures'

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'thaw-reference-'))
afterAll(() => fs.rmSync(dir, { recursive: true, force: true }))

/** The slower backends see one case of each kind. */
const FEW = ['base-llama', 'base-gpt2', 'data.safetensors', 'dora-qv', 'lora-gpt2', 'lion', 'sgd-nesterov', 'adafactor']

test.each(BACKEND_NAMES)(
  "E-1, E-8: adapters train, merge and are written as PEFT's are, and every optimizer goes the reference's way, on %s",
  async (backend) => {
    const all = path.join(REFERENCE, 'training')
    const topic = backend === 'tensorflow' ? all : path.join(dir, backend)
    if (topic !== all) for (const name of FEW) fs.cpSync(path.join(all, name), path.join(topic, name), { recursive: true })
    const lines: Line[] = []
    const report = new Report({ selfTest: false, print: (line) => lines.push(line) })
    await training({ root: path.dirname(topic), report, backend: await BACKENDS[backend](), modelFolders: [] }, topic)
    expect(lines.filter(({ status }) => status !== 'ok')).toEqual([])
    const seen = (name: string, metric: string) => lines.some((line) => line.path.endsWith(name) && line.metric.startsWith(metric))
    for (const name of ['lion', 'sgd-nesterov', 'adafactor']) expect(seen(name, 'final weights'), name).toBe(true)
    for (const name of ['dora-qv', 'lora-gpt2'])
      for (const metric of ['loss', 'adapter weights', 'merged logits', 'keys and shapes'])
        expect(seen(name, metric), `${name}: ${metric}`).toBe(true)
  },
)
