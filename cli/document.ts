/** From a pipeline file and the command line to the document that runs. */
import { open, readFile } from 'node:fs/promises'
import { basename, dirname, isAbsolute, resolve } from 'node:path'
import { registry } from '../nodes'
import { type Carried, readCarried } from '../nodes/_kit/carried'
import type { AnyNode, Registry } from '../nodes/_kit/define-node'
import type { Pipeline } from '../nodes/_kit/graph'
import { loadDocument, parseDocument } from '../nodes/_kit/migrate'
import { nearest, paramSchemas } from '../nodes/_kit/problems'
import { AppError } from '../server/errors'
import { assignment } from './arguments'

export type Opened = { document: Pipeline; sourceFile: string; name: string; inputs: Record<string, unknown> }

const types: Registry = registry
export const defOf = (type: string): AnyNode | undefined => (Object.hasOwn(types, type) ? types[type] : undefined)

/** @throws AppError NOT_FOUND, INVALID_DOCUMENT, INVALID_PARAM */
export async function openDocument(file: string, options: { set: readonly string[]; input: readonly string[] }): Promise<Opened> {
  const sourceFile = resolve(file)
  let found: Carried | null
  let text = ''
  try {
    found = await carriedIn(sourceFile)
    if (!found) text = await readFile(sourceFile, 'utf8')
  } catch (cause) {
    if (cause instanceof AppError) throw cause
    const code = (cause as NodeJS.ErrnoException).code
    throw new AppError('NOT_FOUND', {
      message: code === 'EISDIR' ? 'This is a folder, not a pipeline file.' : `There is no pipeline file ${file}.`,
      where: sourceFile,
      expected: 'a pipeline.json',
      got: code,
      fix: 'Check the path; templates lie in templates/<name>/pipeline.json.',
      cause,
    })
  }
  const loaded = found ? loadDocument(found.document, types) : parseDocument(text, types)
  if (!loaded.ok) {
    const [first] = loaded.problems
    throw new AppError('INVALID_DOCUMENT', {
      message: first?.message ?? 'The pipeline cannot be opened.',
      where: first?.where ? `${file}, ${first.where}` : file,
      expected: first?.expected,
      got: first?.got,
      fix: first?.fix,
      details: loaded.problems.length > 1 ? loaded.problems.map((problem) => problem.message).join('\n') : undefined,
    })
  }
  // Paths in the file are meant from the file; paths on the command line from where it is typed.
  let document = withPaths(loaded.document, dirname(sourceFile))
  for (const text of options.set) document = setParam(document, text)
  return {
    document,
    sourceFile,
    name: nameOf(sourceFile),
    inputs: Object.fromEntries(options.input.map((text) => inputOf(document, text))),
  }
}

/** The pipeline that a pipeline file, a picture or a model carries; null for what may be a bare document. @throws AppError UNSUPPORTED */
async function carriedIn(path: string): Promise<Carried | null> {
  const file = await open(path, 'r')
  try {
    const info = await file.stat()
    // Reading a folder fails with the reason.
    if (!info.isFile()) return null
    const carried = await readCarried({
      name: path,
      size: info.size,
      async read(start, end) {
        const bytes = new Uint8Array(end - start)
        const { bytesRead } = await file.read(bytes, 0, bytes.length, start)
        return bytes.subarray(0, bytesRead)
      },
    })
    if (carried || !/\.(gguf|safetensors|png|svg|zip)$/i.test(path)) return carried
    throw new AppError('UNSUPPORTED', {
      message: `There is no pipeline in ${basename(path)}.`,
      where: path,
      expected: 'a pipeline file, or a picture or model that Thaw wrote',
      fix: /\.zip$/i.test(path) ? 'Open a bundle in the browser: it brings its data along.' : 'Name the pipeline file itself.',
    })
  } finally {
    await file.close()
  }
}

/** `templates/contract-fields/pipeline.json` is called by its folder, anything else by itself. */
function nameOf(path: string): string {
  const own = basename(path).replace(/(\.thaw)?\.[a-z0-9]+$/i, '')
  return own === 'pipeline' ? basename(dirname(path)) : own
}

/** Whether a param names a file or a model by path. */
export const widgetOf = (def: AnyNode | undefined, param: string): string | undefined =>
  def ? (paramSchemas(def)[param]?.meta()?.widget as string | undefined) : undefined

export function absolute(value: unknown, widget: string | undefined, folder: string): unknown {
  if (typeof value !== 'string' || (widget !== 'file' && widget !== 'model') || value === '') return value
  // `template:…`, `upload:…`, `builtin:…`, `hub:…`; on Windows a drive letter is a path.
  if (/^[a-z]{2,}:/i.test(value) || isAbsolute(value)) return value
  return resolve(folder, value)
}

function withPaths(document: Pipeline, folder: string): Pipeline {
  const nodes = Object.fromEntries(
    Object.entries(document.nodes).map(([id, node]) => {
      const def = defOf(node.type)
      const params = Object.fromEntries(
        Object.entries(node.params).map(([name, value]) => [name, absolute(value, widgetOf(def, name), folder)]),
      )
      return [id, { ...node, params }]
    }),
  )
  return { ...document, nodes }
}

function setParam(document: Pipeline, text: string): Pipeline {
  const { name, value } = assignment(text, '--set')
  const dot = name.indexOf('.')
  const [id, param] = [name.slice(0, dot), name.slice(dot + 1)]
  const node = dot > 0 && Object.hasOwn(document.nodes, id) ? document.nodes[id] : undefined
  if (!node || param === '') {
    const meant = nearest(dot > 0 ? id : name, Object.keys(document.nodes))
    throw new AppError('INVALID_PARAM', {
      message:
        dot > 0 ? `The pipeline has no node "${id}"${meant ? `. Did you mean "${meant}"?` : '.'}` : '--set names a node and a param.',
      where: `--set ${text}`,
      expected: dot > 0 ? Object.keys(document.nodes).join(', ') : '--set node.param=value',
      got: name,
    })
  }
  const typed = absolute(jsonOrText(value), widgetOf(defOf(node.type), param), process.cwd())
  return { ...document, nodes: { ...document.nodes, [id]: { ...node, params: { ...node.params, [param]: typed } } } }
}

function inputOf(document: Pipeline, text: string): [string, unknown] {
  const { name, value } = assignment(text, '--input')
  const input = document.inputs.find((one) => one.id === name)
  if (!input) {
    const meant = nearest(
      name,
      document.inputs.map((one) => one.id),
    )
    throw new AppError('INVALID_PARAM', {
      message: `The pipeline has no input "${name}"${meant ? `. Did you mean "${meant}"?` : '.'}`,
      where: `--input ${text}`,
      expected: document.inputs.map((one) => one.id).join(', ') || 'none; mark a param as an input first',
      got: name,
    })
  }
  const def = defOf(document.nodes[input.node]?.type ?? '')
  return [name, absolute(jsonOrText(value), widgetOf(def, input.param), process.cwd())]
}

/** `3`, `0.5`, `true`, `null`, `[1,2]` are what they look like; everything else is text. */
export function jsonOrText(value: string): unknown {
  try {
    return JSON.parse(value)
  } catch {
    return value
  }
}
