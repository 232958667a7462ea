/**
 * `implDigest` of each node type: what its `run` does, and nothing else. A changed help text, comment, form title or estimate must not make
 * results stale; a changed line that `run` can reach must.
 *
 * For each node file: keep the declarations that `run` reaches, bundle them with every module of ours behind them, minified so that comments
 * and names of locals fall away, and hash that. Packages stay outside and count with their installed version. What the engine computes comes
 * in through `ctx` and is not reached from here; its numeric version stands for it.
 */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parse } from 'acorn'
import * as esbuild from 'esbuild'

const isNode = (value) => typeof value === 'object' && value !== null && typeof value.type === 'string'

/** All identifier names below a syntax node: more than are free in it, never fewer. */
function namesIn(tree, names = new Set()) {
  if (Array.isArray(tree)) for (const item of tree) namesIn(item, names)
  else if (isNode(tree)) {
    if (tree.type === 'Identifier') names.add(tree.name)
    for (const [key, value] of Object.entries(tree)) if (key !== 'type' && (Array.isArray(value) || isNode(value))) namesIn(value, names)
  }
  return names
}

function declaredBy(statement) {
  const declaration = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement
  if (!declaration) return []
  if (declaration.type === 'FunctionDeclaration' || declaration.type === 'ClassDeclaration') return [declaration.id.name]
  if (declaration.type === 'VariableDeclaration') return declaration.declarations.flatMap((one) => [...namesIn(one.id)])
  if (declaration.type === 'ImportDeclaration') return declaration.specifiers.map((one) => one.local.name)
  return []
}

/** The object handed to `defineNode` in a module, or null. */
function definitionIn(program) {
  for (const statement of program.body) {
    const declaration = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement
    if (declaration?.type !== 'VariableDeclaration') continue
    for (const { init, id } of declaration.declarations) {
      if (init?.type === 'CallExpression' && init.callee.name === 'defineNode') return { object: init.arguments[0], name: id.name }
    }
  }
  return null
}

/** Source of a module that exports only what `run` needs. Exported for the tests. */
export function runOnly(javascript, file) {
  const program = parse(javascript, { ecmaVersion: 'latest', sourceType: 'module' })
  const definition = definitionIn(program)
  const property = (name) =>
    definition?.object.properties.find((one) => one.type === 'Property' && (one.key.name ?? one.key.value) === name)
  const run = property('run')
  const type = property('type')?.value.value
  if (!definition || !run || typeof type !== 'string') throw new Error(`${file}: no defineNode({type, …, run}) found.`)
  const wanted = namesIn(run.value)
  const kept = new Set()
  for (let grew = true; grew; ) {
    grew = false
    for (const statement of program.body) {
      if (kept.has(statement)) continue
      const names = declaredBy(statement)
      // The definition itself holds all the words; `run` must not reach through it.
      if (names.includes(definition.name) || !names.some((name) => wanted.has(name))) continue
      kept.add(statement)
      namesIn(statement, wanted)
      grew = true
    }
  }
  const text = (node) => javascript.slice(node.start, node.end)
  const body = program.body.filter((statement) => kept.has(statement)).map(text)
  const value = run.method ? `({ ${text(run)} }).run` : text(run.value)
  return { type, code: `${body.join('\n')}\nexport default ${value}\n` }
}

const BUNDLE = {
  bundle: true,
  write: false,
  format: 'esm',
  platform: 'node',
  target: 'node22',
  packages: 'external',
  minify: true,
  legalComments: 'none',
  charset: 'utf8',
  logLevel: 'silent',
}

/** Versions of the packages that the code imports, as installed. */
function packageVersions(root, metafile) {
  const names = new Set()
  for (const output of Object.values(metafile.outputs)) {
    for (const { path, external } of output.imports) {
      if (!external || path.startsWith('node:')) continue
      names.add(
        path
          .split('/')
          .slice(0, path.startsWith('@') ? 2 : 1)
          .join('/'),
      )
    }
  }
  return [...names].sort().map((name) => {
    const manifest = join(root, 'node_modules', name, 'package.json')
    return `${name}@${existsSync(manifest) ? JSON.parse(readFileSync(manifest, 'utf8')).version : 'none'}`
  })
}

/** Counts up when the engine's numbers change (engine/version.ts). */
function engineVersion(root) {
  const path = join(root, 'engine', 'version.ts')
  const found = existsSync(path) ? /NUMERIC_VERSION\s*=\s*(\d+)/.exec(readFileSync(path, 'utf8')) : null
  return found ? Number(found[1]) : 0
}

/** @returns {Promise<Record<string, string>>} sha256 by node type */
export async function implDigests(root) {
  const folder = join(root, 'nodes')
  const files = readdirSync(folder).filter((name) => name.endsWith('.ts') && name !== 'index.ts')
  const engine = engineVersion(root)
  const entries = await Promise.all(
    files.sort().map(async (name) => {
      const path = join(folder, name)
      const source = readFileSync(path, 'utf8')
      const { code: javascript } = await esbuild.transform(source, { loader: 'ts', format: 'esm', target: 'node22', sourcefile: path })
      const { type, code } = runOnly(javascript, path)
      const result = await esbuild.build({
        ...BUNDLE,
        metafile: true,
        stdin: { contents: code, resolveDir: folder, sourcefile: `${basename(name, '.ts')}.js`, loader: 'js' },
        absWorkingDir: root,
        treeShaking: true,
        ignoreAnnotations: false,
      })
      const usesEngine = /resource:\s*['"]engine['"]/.test(source)
      const hash = createHash('sha256')
      hash.update(result.outputFiles[0].contents)
      hash.update(JSON.stringify([packageVersions(root, result.metafile), usesEngine ? engine : null]))
      return [type, hash.digest('hex')]
    }),
  )
  return Object.fromEntries(entries)
}
