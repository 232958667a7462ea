import { expect, test } from 'vitest'
import { registry } from '../../../nodes'
import { readCarried } from '../../../nodes/_kit/carried'
import { emptyPipeline, type Pipeline } from '../../../nodes/_kit/graph'
import { pictureOf } from '../../../nodes/_kit/picture'
import { writePipelineFile } from '../../../nodes/_kit/pipeline-file'

const document: Pipeline = {
  ...emptyPipeline(),
  nodes: {
    model: { type: 'load-model', version: 1, params: { model: 'builtin:thaw-tiny' } },
    freeze: { type: 'freeze-layers', version: 1, params: {} },
    odd: { type: 'from-a-package', version: 4, params: {} },
  },
  edges: [{ from: { node: 'model', port: 'model' }, to: { node: 'freeze', port: 'model' } }],
  notes: [{ id: 'n', text: 'look <script>alert(1)</script> & see', x: 0, y: 300 }],
  layout: { nodes: { model: { x: 0, y: 0, title: 'A "model" <b>' }, freeze: { x: 300, y: 20 }, odd: { x: -100, y: 200 } }, groups: [] },
}

test('UX-97, SEC-14: the picture shows every node and wire, is well-formed whatever the names hold, and opens as the pipeline', async () => {
  const file = writePipelineFile(document, 'x', '1')
  const { svg, width, height } = pictureOf(document, registry, file, (name) => `c-${name}`)
  expect(svg.match(/<g>/g)).toHaveLength(3)
  expect(svg).toContain('stroke="c-model"')
  expect(svg).toContain('A &quot;model&quot; &lt;b&gt;')
  expect(svg).not.toContain('<script')
  expect(svg.match(/stroke-dasharray/g)).toHaveLength(1)
  expect([width, height].every((size) => size > 300)).toBe(true)
  const bytes = new TextEncoder().encode(svg)
  const found = await readCarried({ name: 'a.svg', size: bytes.length, read: async (a, b) => bytes.slice(a, b) })
  expect(found).toMatchObject({ document, from: 'svg', changed: false })
})
