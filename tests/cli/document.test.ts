import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openDocument } from '../../cli/document'
import { svgMetadata } from '../../nodes/_kit/carried'
import { emptyPipeline, type Pipeline } from '../../nodes/_kit/graph'
import { writePipelineFile } from '../../nodes/_kit/pipeline-file'
import { tempFolder } from '../kit/temp'

const document: Pipeline = {
  ...emptyPipeline(),
  nodes: { data: { type: 'load-data', version: 1, params: { file: 'rows.jsonl' } } },
}
const options = { set: [], input: [] }

test('UX-97, F-56: the command line runs a pipeline file and whatever else carries one; paths are meant from the file', async () => {
  await using folder = await tempFolder()
  const file = writePipelineFile(document, 'x', '1')
  await writeFile(join(folder.path, 'a.thaw.json'), file)
  await writeFile(join(folder.path, 'bare.json'), JSON.stringify(document))
  await writeFile(join(folder.path, 'picture.svg'), `<svg xmlns="http://www.w3.org/2000/svg">${svgMetadata(file)}</svg>`)
  for (const [name, called] of [
    ['a.thaw.json', 'a'],
    ['bare.json', 'bare'],
    ['picture.svg', 'picture'],
  ] as const) {
    const opened = await openDocument(join(folder.path, name), options)
    expect(opened.name).toBe(called)
    expect(opened.document.nodes.data?.params.file).toBe(join(folder.path, 'rows.jsonl'))
  }
})

test('A-6: what carries none, is broken or is missing is said by name', async () => {
  await using folder = await tempFolder()
  await writeFile(join(folder.path, 'plain.svg'), '<svg/>')
  await writeFile(join(folder.path, 'broken.json'), '{"nodes": ')
  await expect(openDocument(join(folder.path, 'plain.svg'), options)).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  await expect(openDocument(join(folder.path, 'broken.json'), options)).rejects.toMatchObject({ code: 'INVALID_DOCUMENT' })
  await expect(openDocument(join(folder.path, 'nothing.json'), options)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await expect(openDocument(folder.path, options)).rejects.toMatchObject({ code: 'NOT_FOUND' })
})
