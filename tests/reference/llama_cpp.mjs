// What llama.cpp makes of a GGUF file, for tests/engine/formats/llama-cpp.long.test.ts: tokens of texts and greedy continuations.
//
// usage: llama_cpp.mjs PACKAGE_FOLDER REQUEST.json
// REQUEST: [{"file", "texts": [...], "tokens": n}]; prints [{"ids": [[...]], "greedy": [[...]], "template": str|null}]
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [folder, request] = process.argv.slice(2)
const entry = createRequire(join(folder, 'package.json')).resolve('node-llama-cpp')
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry).href)
const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false, logLevel: LlamaLogLevel.error, maxThreads: 2 })
const results = []
for (const { file, texts, tokens } of JSON.parse(readFileSync(request, 'utf8'))) {
  const model = await llama.loadModel({ modelPath: file })
  const context = await model.createContext({ contextSize: Math.min(256, model.trainContextSize) })
  const ids = texts.map((text) => [...model.tokenize(text, true)])
  const greedy = []
  for (const prompt of ids) {
    const sequence = context.getSequence()
    const made = []
    for await (const token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
      made.push(token)
      if (made.length >= tokens) break
    }
    greedy.push(made)
    sequence.dispose()
  }
  results.push({ ids, greedy, template: model.fileInfo.metadata.tokenizer?.chat_template ?? null })
  await context.dispose()
  await model.dispose()
}
process.stdout.write(JSON.stringify(results), () => process.exit(0))
