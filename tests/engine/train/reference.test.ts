/** Whole trainings against PEFT, torch and transformers: the same runner as `npm run parity`, over the cases that live in the repository. */
import * as path from 'node:path'
import { expect, test } from 'vitest'
import { type Line, Report } from '../../../bench/parity/report'
import { training } from '../../../bench/parity/training'
import { BACKEND_NAMES, BACKENDS } from '../support/backend'
import { REFERENCE } from '../support/fixtures'

test.each(BACKEND_NAMES)(
  "E-1, E-8: adapters train, merge and are written as PEFT's are, and every optimizer goes the reference's way, on %s",
  async (backend) => {
    const lines: Line[] = []
    const report = new Report({ selfTest: false, print: (line) => lines.push(line) })
    const context = { root: REFERENCE, report, backend: await BACKENDS[backend](), modelFolders: [] }
    await training(context, path.join(REFERENCE, 'training'))
    expect(lines.filter(({ status }) => status !== 'ok')).toEqual([])
    for (const name of ['lion', 'sgd-nesterov', 'sgd-plain', 'norms-only'])
      expect(
        lines.some((line) => line.path.endsWith(name) && line.metric.startsWith('final weights')),
        name,
      ).toBe(true)
    for (const name of ['dora-qv', 'lora-rslora-head', 'lora-gpt2'])
      for (const metric of ['loss', 'adapter weights', 'merged logits', 'keys and shapes'])
        expect(
          lines.some((line) => line.path.endsWith(name) && line.metric.startsWith(metric)),
          `${name}: ${metric}`,
        ).toBe(true)
  },
)
