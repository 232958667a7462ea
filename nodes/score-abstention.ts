import * as z from 'zod'
import type { GenerateOptions } from './_kit/context'
import { datasetFacts, evenly, modelFacts, putRows, putTable, tableFacts } from './_kit/dataset'
import { defineNode } from './_kit/define-node'
import { DECODE_FLOPS_PER_SECOND, forwardBytes, forwardFlopsPerToken, tokensOfChars, WARM_UP_SECONDS } from './_kit/estimate'
import { NodeError } from './_kit/node-error'
import { putReport, type Report } from './_kit/report'
import { percentWords, plural } from './_kit/words'

const ANSWERABLE: readonly string[] = ['messages', 'prompt_completion']
const COLUMNS = ['question', 'expected', 'answer', 'outcome', 'confidence'] as const

export const scoreAbstention = defineNode({
  type: 'score-abstention',
  title: 'Score abstention',
  summary: 'Measures whether a model stays silent where it does not know, and answers where it does.',
  help: `A wrong answer is often worse than none. This node lets the model answer each row, once as it thinks best and several times at random, and looks at two things.

**Silence**: an answer such as "not stated", or \`null\` in a JSON field, is an abstention. Right where the right answer is absent, too careful where there is one. **Net** is right answers minus the cost of wrong ones, so that a model which guesses does not look good.

**Confidence** is how often the random answers agree with the chosen one. If wrong answers have low confidence, you can keep the sure ones and hand the rest to a person: the risk curve shows how many mistakes remain at each share.

Fine-tuning can teach a model to abstain, and training on facts it does not know makes it invent more. For JSON answers every field is a question of its own.`,
  group: 'Evaluation',
  icon: 'score-abstention',
  tags: ['abstain', 'refuse', 'unknown', 'not stated', 'hallucination', 'confidence', 'calibration', 'risk', 'coverage', 'selective'],
  params: z.strictObject({
    wrong_cost: z
      .number()
      .min(0)
      .max(100)
      .default(2)
      .meta({ title: 'Cost of a wrong answer', description: 'How many right answers a wrong one undoes.', step: 0.5 }),
    samples: z
      .int()
      .min(1)
      .max(50)
      .default(5)
      .meta({ title: 'Random answers', description: 'Answers drawn for each row to see how sure the model is.', unit: 'answers' }),
    temperature: z
      .number()
      .min(0.05)
      .max(2)
      .default(0.7)
      .meta({ title: 'Temperature', description: 'How freely the random answers are drawn.', advanced: true }),
    max_rows: z
      .int()
      .min(1)
      .max(100_000)
      .default(100)
      .meta({ title: 'Rows', description: 'How many rows are asked, spread evenly.', unit: 'rows' }),
    max_new_tokens: z
      .int()
      .min(1)
      .max(4096)
      .default(96)
      .meta({ title: 'Longest answer', description: 'Writing stops here if the model does not stop by itself.', unit: 'tokens' }),
    abstain_words: z
      .array(z.string().max(100))
      .max(50)
      .default(['not stated', 'unknown', 'i do not know', "i don't know", 'i am unsure', 'n/a', 'none', 'null'])
      .meta({ title: 'Silent answers', description: 'Whole answers that count as abstentions, besides an empty one.', advanced: true }),
    seed: z
      .int()
      .min(0)
      .max(2_147_483_647)
      .default(42)
      .meta({ title: 'Seed', description: 'What the random answers are; the same seed draws the same.', advanced: true }),
  }),
  inputs: {
    model: { kind: 'model', title: 'Model', description: 'The model to ask.' },
    data: { kind: 'dataset', title: 'Data', description: 'Rows with questions and right answers, some of them absent.' },
  },
  outputs: {
    metrics: {
      kind: 'metrics',
      title: 'Metrics',
      description: 'Coverage, wrong rate, net, and how well confidence tells right from wrong.',
    },
    rows: { kind: 'dataset', title: 'Rows', description: 'Every question with outcome and confidence, surest mistakes first.' },
    report: { kind: 'report', title: 'Report', description: 'Silence and answers in one table, and the risk curve.' },
  },
  purity: 'seeded',
  resource: 'engine',
  infer({ params, inputs }) {
    const model = modelFacts(inputs.model)
    const data = datasetFacts(inputs.data)
    const rows = Math.min(params.max_rows, data?.rows ?? params.max_rows)
    const length = data?.chars ? tokensOfChars(data.chars.mean) : 128
    return {
      outputs: {
        metrics: { kind: 'metrics', facts: { names: ['coverage', 'wrong_rate', 'over_abstention', 'net', 'auroc', 'aurc'] } },
        rows: { kind: 'dataset', facts: tableFacts(data, 'asked rows', COLUMNS) },
        report: { kind: 'report', facts: { name: 'Score abstention' } },
      },
      ...(model && {
        estimate: {
          seconds: Math.round(
            WARM_UP_SECONDS +
              ((1 + params.samples) * rows * params.max_new_tokens * forwardFlopsPerToken(model, length)) / DECODE_FLOPS_PER_SECOND,
          ),
          memoryBytes: Math.round(forwardBytes(model, 16, length)),
          diskBytes: rows * 500,
        },
      }),
      card: [
        { label: 'Rows', value: rows.toLocaleString('en-US') },
        { label: 'Answers each', value: String(1 + params.samples) },
        { label: 'A wrong one costs', value: String(params.wrong_cost) },
      ],
      problems:
        data?.format && !ANSWERABLE.includes(data.format)
          ? [
              {
                severity: 'error' as const,
                code: 'no_answers',
                message: `${data.format.replaceAll('_', ' ')} rows ask nothing.`,
                expected: 'messages, or prompt and completion',
                got: data.format,
              },
            ]
          : [],
    }
  },
  async run({ params, inputs, ctx }) {
    const {
      parseJsonl,
      packRows,
      answerOf,
      questionOf,
      scoreAbstention: score,
      extractObject,
      canonicalValue,
      levelText,
      isAbsent,
    } = await import('../analysis/index')
    if (!ANSWERABLE.includes(inputs.data.format))
      throw new NodeError('no_answers', 'These rows ask nothing.', {
        expected: 'messages, or prompt and completion',
        got: inputs.data.format,
      })
    const rows = evenly(parseJsonl(await ctx.artifacts.readText(inputs.data.artifact)), params.max_rows)
    if (rows.length === 0) throw new NodeError('no_rows', 'There are no rows to ask.', { expected: 'at least one row', got: 'none' })
    const data = await putRows(ctx, inputs.data, packRows(rows))
    const options: GenerateOptions = {
      max_new_tokens: params.max_new_tokens,
      temperature: 0,
      top_k: 0,
      top_p: 1,
      repetition_penalty: 1,
      seed: params.seed,
      batch_size: 16,
    }
    const passes = 1 + params.samples
    const write = async (pass: number) => {
      const { texts } = await ctx.engine.generate({
        model: inputs.model,
        data,
        options: pass === 0 ? options : { ...options, temperature: params.temperature, seed: params.seed + pass },
        onProgress: (done) => ctx.progress(pass * rows.length + done, passes * rows.length, 'answers'),
      })
      ctx.signal.throwIfAborted()
      return texts
    }
    const chosen = await write(0)
    const drawn: string[][] = []
    for (let pass = 1; pass <= params.samples; pass++) drawn.push(await write(pass))

    const golds = rows.map(answerOf)
    const json = golds.every((gold) => extractObject(gold)?.strict)
    const silent = new Set(params.abstain_words.map(levelText))
    const abstains = (text: string) => text.trim() === '' || silent.has(levelText(text))
    /** What a text answers to each question of its row: '' for silence. */
    const said = (text: string, names: readonly string[]): string[] => {
      if (!json) return [abstains(text) ? '' : canonicalValue(text)]
      const value = extractObject(text)?.value
      return names.map((name) => (isAbsent(value?.[name]) || abstains(String(value?.[name])) ? '' : canonicalValue(value?.[name])))
    }
    const attempts = rows.flatMap((row, i) => {
      const gold = golds[i] as string
      const names = json ? Object.keys(extractObject(gold)?.value ?? {}) : ['']
      const right = said(gold, names)
      const answers = said(chosen[i] ?? '', names)
      const others = drawn.map((texts) => said(texts[i] ?? '', names))
      return names.map((name, k) => ({
        id: `${row.id}${name && `.${name}`}`,
        question: name ? `${name}: ${questionOf(row).slice(0, 300)}` : questionOf(row).slice(0, 400),
        expected: right[k] as string,
        answer: answers[k] as string,
        answerable: right[k] !== '',
        outcome: answers[k] === '' ? ('abstained' as const) : answers[k] === right[k] ? ('correct' as const) : ('wrong' as const),
        confidence: others.filter((other) => other[k] === answers[k]).length / Math.max(1, others.length),
      }))
    })
    const found = score(attempts, params.wrong_cost)
    const { counts } = found
    const wrong = counts.answerable.wrong + counts.unanswerable.wrong
    const silence = counts.unanswerable.abstained / Math.max(1, counts.unanswerable.abstained + counts.unanswerable.wrong)
    const tells = Number.isFinite(found.auroc) && found.auroc > 0.75
    const verdict: Report['verdict'] = {
      tone: found.net > 0.5 && silence > 0.9 ? 'good' : found.net <= 0 ? 'bad' : 'look',
      text: `Of ${plural(attempts.length, 'question')} the model answered ${counts.answerable.correct} rightly and ${wrong} wrongly, and kept silent in ${counts.answerable.abstained + counts.unanswerable.abstained}. Where there is no answer it kept silent in ${percentWords(silence)}.`,
      action:
        found.overAbstention > 0.3
          ? 'It is too careful: add rows that do have answers, or train longer.'
          : silence < 0.8 && counts.unanswerable.wrong > 0
            ? 'Add training rows whose answer is absent, or build preference pairs from its inventions.'
            : wrong > 0 && tells
              ? 'Its confidence tells: hand answers of low confidence to a person.'
              : null,
    }
    const report = await putReport(ctx, {
      title: 'Score abstention',
      verdict,
      facts: [
        { label: 'Rows, questions', value: `${rows.length}, ${attempts.length}` },
        { label: 'Random answers, temperature', value: `${params.samples}, ${params.temperature}` },
        { label: 'Seed', value: String(params.seed) },
        { label: 'Net at cost', value: `${found.net.toFixed(3)} at ${params.wrong_cost}` },
        { label: 'Model', value: inputs.model.base.name },
        { label: 'Data', value: inputs.data.artifact.slice(0, 12) },
      ],
      sections: [
        {
          title: 'Answers and silence',
          table: {
            columns: ['', 'right', 'wrong', 'silent'],
            rows: (['answerable', 'unanswerable'] as const).map((kind) => [
              kind === 'answerable' ? 'has an answer' : 'has none',
              counts[kind].correct,
              counts[kind].wrong,
              counts[kind].abstained,
            ]),
          },
        },
        ...(found.curve.length > 1
          ? [
              {
                title: 'Mistakes among the surest answers',
                text: `Confidence tells right from wrong with ${Number.isFinite(found.auroc) ? found.auroc.toFixed(2) : 'nothing to compare'} (0.5 is chance); its distance from the truth is ${found.calibrationError.toFixed(2)}.`,
                curves: {
                  x: { title: 'share of answers kept, surest first' },
                  y: { title: 'share of them wrong' },
                  lines: [{ name: 'risk', look: 'line' as const, points: found.curve.map((p): [number, number] => [p.coverage, p.risk]) }],
                },
              },
            ]
          : []),
      ],
    })
    const table = attempts
      .map(({ answerable: _, ...a }) => a)
      .toSorted((a, b) => Number(b.outcome === 'wrong') - Number(a.outcome === 'wrong') || b.confidence - a.confidence)
    return {
      metrics: {
        coverage: found.coverage,
        wrong_rate: found.wrongRate,
        over_abstention: found.overAbstention,
        net: found.net,
        ...(Number.isFinite(found.auroc) && { auroc: found.auroc }),
        aurc: found.aurc,
        calibration_error: found.calibrationError,
        silent_where_absent: silence,
      },
      rows: await putTable(ctx, inputs.data, packRows(table), COLUMNS, 'asked'),
      report,
    }
  },
})
