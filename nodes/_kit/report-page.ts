/**
 * A run as a page to pass on: one self-contained HTML file that opens offline and prints well, and the same as Markdown. Light only, since it is
 * printed. Everything in it comes from the run; what was not measured is said to be missing.
 */
import type { Pipeline } from './graph'
import { pictureOf } from './picture'
import type { ModelHandle } from './ports'
import { countWords, percentWords, plural, rateWords } from './words'

export type ReportSample = { input: string; expected: string; before: string; after: string; correct: boolean }
export type RunReport = {
  title: string
  /** What was asked, in a person's words; empty: left out. */
  question: string
  thawVersion: string
  document: Pipeline
  graphDigest: string
  model: ModelHandle | null
  scores: Readonly<Record<string, number>>
  training: Readonly<Record<string, number>>
  retention: Readonly<Record<string, number>>
  /** Points of the training's curves. */
  curve: readonly Record<string, number>[]
  samples: readonly ReportSample[]
  /** Rows that were scored, for intervals. */
  scored: { rows: number; right: number; rightBefore: number } | null
  environment: readonly (readonly [string, string])[]
}

const round = (value: number, digits = 3): string =>
  Math.abs(value) >= 1e5 ? value.toExponential(2) : String(Number(value.toFixed(digits)))

/** Wilson's 95 % interval of a share. */
export function wilson(right: number, rows: number): [number, number] {
  if (rows === 0) return [0, 1]
  const z = 1.959964
  const p = right / rows
  const middle = (p + (z * z) / (2 * rows)) / (1 + (z * z) / rows)
  const half = (z * Math.sqrt((p * (1 - p)) / rows + (z * z) / (4 * rows * rows))) / (1 + (z * z) / rows)
  return [Math.max(0, middle - half), Math.min(1, middle + half)]
}

/** The result in one or two sentences. */
export function verdictOf(report: RunReport): string {
  const { model, scored, scores, retention } = report
  const who = model?.base.name ?? 'The model'
  const parts: string[] = []
  if (scored) {
    const [low, high] = wilson(scored.right, scored.rows)
    parts.push(
      `${who} answered ${scored.right} of ${plural(scored.rows, 'row')} exactly as expected (${percentWords(scored.right / scored.rows)}, 95 % interval ${round(low, 2)} to ${round(high, 2)}); before training it was ${scored.rightBefore}.`,
    )
  } else if (scores.eval_loss !== undefined)
    parts.push(
      `The loss on rows that were not trained on is ${round(scores.eval_loss)}${scores.base_eval_loss === undefined ? '' : `, before training ${round(scores.base_eval_loss)}`}.`,
    )
  else parts.push('No scores were wired to this report, so it does not say how good the model is.')
  parts.push(
    retention.knowledge_cost === undefined
      ? 'What else it knew was not measured again.'
      : `It ${retention.knowledge_cost > 0 ? 'lost' : 'gained'} ${round(Math.abs(retention.knowledge_cost))} bits per byte on general text.`,
  )
  return parts.join(' ')
}

type Table = { title: string; head: readonly string[]; rows: readonly (readonly string[])[]; note?: string }

/** The tables of both forms, in order. */
export function tablesOf(report: RunReport): Table[] {
  const { scores, training, retention, model, document } = report
  const list: Table[] = []
  const paired = Object.keys(scores).filter((name) => `base_${name}` in scores)
  const interval = (name: string): string => {
    if (name === 'exact_match' && report.scored) {
      const [low, high] = wilson(report.scored.right, report.scored.rows)
      return `${round(low, 2)} to ${round(high, 2)}`
    }
    return ''
  }
  if (paired.length)
    list.push({
      title: 'Scores',
      head: ['Score', 'Before', 'After', '95 % interval'],
      rows: paired.map((name) => [
        name.replaceAll('_', ' '),
        round(scores[`base_${name}`] as number),
        round(scores[name] as number),
        interval(name),
      ]),
      ...(scores.exact_match_gain_low !== undefined && {
        note: `Gain in exact match, paired over the same rows: ${round(scores.exact_match_gain as number)} (${round(scores.exact_match_gain_low)} to ${round(scores.exact_match_gain_high as number)}).`,
      }),
    })
  if (Object.keys(retention).length)
    list.push({
      title: 'What was forgotten',
      head: ['Measure', 'Value'],
      rows: Object.entries(retention).map(([name, value]) => [name.replaceAll('_', ' '), round(value)]),
    })
  if (Object.keys(training).length)
    list.push({
      title: 'Training',
      head: ['Measure', 'Value'],
      rows: Object.entries(training).map(([name, value]) => [
        name.replaceAll('_', ' '),
        name.includes('rate') ? rateWords(value) : round(value),
      ]),
    })
  const settings = Object.entries(document.nodes).flatMap(([id, node]) =>
    Object.entries(node.params)
      .filter(([, value]) => value !== '' && value !== null && typeof value !== 'object')
      .map(([name, value], i) => [
        // Named once: the rows below belong to the same node.
        i === 0 ? (document.layout.nodes[id]?.title ?? node.type.replaceAll('-', ' ')) : '',
        name,
        typeof value === 'number' && value < 0.01 ? rateWords(value) : String(value),
      ]),
  )
  if (settings.length)
    list.push({ title: 'Settings that differ from the standard ones', head: ['Node', 'Setting', 'Value'], rows: settings })
  const data = model?.lineage.at(-1)
  list.push({
    title: 'To repeat this run',
    head: ['What', 'Value'],
    rows: [
      ['Pipeline', report.graphDigest],
      ...(model
        ? [
            ['Base weights', model.base.manifest],
            ['Base', `${model.base.name}${model.base.license ? `, ${model.base.license}` : ''}`],
          ]
        : []),
      ...(model?.delta ? [['Changed weights', model.delta]] : []),
      ...(data
        ? [
            ['Training rows', data.data],
            ['Seed', String(data.seed)],
          ]
        : []),
      ['Program', `Thaw ${report.thawVersion}`],
      ...report.environment.map(([name, value]) => [name, value]),
    ],
  })
  return list
}

const LIMITS = (report: RunReport): string[] => [
  ...(report.scored
    ? [`${plural(report.scored.rows, 'row')} were scored, of the kind that was wired in; other wordings, lengths and languages were not.`]
    : []),
  'One training with one seed: another seed gives another number.',
  ...(Object.keys(report.retention).length
    ? []
    : ['Knowledge cost was not measured: wire Measure retention to this report to have it here.']),
]

const ESCAPES: Readonly<Record<string, string>> = { '<': '&lt;', '>': '&gt;', '&': '&amp;', '"': '&quot;', "'": '&#39;' }
const html = (text: string): string => text.replace(/[<>&"']/g, (char) => ESCAPES[char] as string)

const COLOURS: Readonly<Record<string, string>> = {
  ground: '#ffffff',
  surface: '#ffffff',
  'line-strong': '#c5cdd6',
  ink: '#12181f',
  'ink-2': '#3f4954',
  'ink-3': '#5c6773',
  model: '#7657c4',
  dataset: '#0a756e',
  plan: '#4561c4',
  metrics: '#94700c',
  report: '#66717d',
  file: '#35803f',
}
const colour = (name: string): string => COLOURS[name] ?? '#66717d'

/** Frozen and open blocks of the model, as on the canvas. */
function stripSvg(model: ModelHandle): string {
  const open = model.trainable?.blocks ?? Array.from({ length: model.blocks }, () => 1)
  const width = 640 / Math.max(1, open.length)
  const cells = open.map((share, i) => {
    const warm = share > 0
    return `<rect x="${round(i * width)}" y="${warm ? 0 : 5}" width="${round(Math.max(1, width - 2))}" height="${warm ? 24 : 14}" rx="1.5" fill="${warm ? '#f07c45' : '#c4e4f6'}" stroke="${warm ? '#da5a25' : '#3389bc'}"/>`
  })
  return `<svg viewBox="-1 -1 642 26" width="100%" role="img" aria-label="${open.filter((share) => share > 0).length} of ${open.length} blocks trained">${cells.join('')}</svg>`
}

/** Loss over steps, on a log scale. */
function curveSvg(points: readonly Record<string, number>[]): string {
  const series = (name: string) =>
    points.flatMap((point) =>
      point[name] !== undefined && point[name] > 0 && point.step !== undefined ? [[point.step, point[name]] as const] : [],
    )
  const [train, evaluation] = [series('loss'), series('eval_loss')]
  const all = [...train, ...evaluation]
  if (all.length < 2) return ''
  const last = Math.max(...all.map(([step]) => step))
  const logs = all.map(([, value]) => Math.log10(value))
  const [low, high] = [Math.min(...logs), Math.max(...logs)]
  const at = ([step, value]: readonly [number, number]) =>
    `${round(48 + (580 * step) / Math.max(1, last), 1)},${round(10 + (160 * (high - Math.log10(value))) / Math.max(1e-9, high - low), 1)}`
  const ticks = [high, (high + low) / 2, low].map(
    (value, i) =>
      `<line x1="48" x2="628" y1="${10 + 80 * i}" y2="${10 + 80 * i}" stroke="#e1e6eb"/><text x="42" y="${14 + 80 * i}" text-anchor="end">${round(10 ** value, 4)}</text>`,
  )
  return `<svg viewBox="0 0 640 200" width="100%" role="img" aria-label="Loss over steps" font-size="11" fill="#5c6773">${ticks.join('')}<text x="48" y="192">0</text><text x="628" y="192" text-anchor="end">step ${last}</text>${
    train.length > 1 ? `<polyline fill="none" stroke="#da5a25" stroke-width="1.6" points="${train.map(at).join(' ')}"/>` : ''
  }${evaluation
    .map((point) => {
      const [cx, cy] = at(point).split(',')
      return `<circle cx="${cx}" cy="${cy}" r="3.5" fill="#fff" stroke="#12181f" stroke-width="1.5"/>`
    })
    .join('')}</svg><p class="key"><span class="line"></span>Training <span class="dot"></span>Validation</p>`
}

const CSS = `:root{color-scheme:light}*{box-sizing:border-box}body{margin:0;background:#f2f4f7;color:#12181f;font:13px/1.5 Inter,system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;font-variant-numeric:tabular-nums}main{max-width:760px;margin:24px auto;padding:44px 52px;background:#fff;border:1px solid #e1e6eb}h1{font-size:26px;line-height:1.2;margin:0 0 8px}h2{font-size:15px;margin:28px 0 8px;break-after:avoid}p{margin:0 0 8px;max-width:66ch}.lead{font-size:15px}.muted,.key{color:#5c6773}header{display:flex;justify-content:space-between;color:#5c6773;margin-bottom:20px}table{width:100%;border-collapse:collapse;break-inside:avoid}th,td{text-align:left;padding:4px 10px 4px 0;border-bottom:1px solid #e1e6eb;vertical-align:top;overflow-wrap:anywhere}th{color:#5c6773;font-weight:500}td:not(:first-child){font-weight:500}figure{margin:0;break-inside:avoid;overflow-x:auto}figure svg{max-width:100%;height:auto}pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:0;font:12px/1.45 "JetBrains Mono",ui-monospace,Menlo,Consolas,monospace}.sample{border-left:2px solid #c5cdd6;padding:2px 0 2px 12px;margin:0 0 14px;break-inside:avoid}.sample dt{color:#5c6773}.sample dd{margin:0 0 4px}.right{color:#217346}.wrong{color:#be1e4b}.line,.dot{display:inline-block;margin:0 6px 0 12px;vertical-align:middle}.line{width:18px;border-top:2px solid #da5a25}.dot{width:8px;height:8px;border:1.5px solid #12181f;border-radius:50%}@media print{body{background:#fff}main{margin:0;padding:0;border:0;max-width:none}@page{margin:18mm 16mm}}@media (max-width:640px){main{margin:0;padding:20px;border:0}}`

/** The page. No script, no address to anything outside. */
export function reportHtml(report: RunReport): string {
  const table = ({ title, head, rows, note }: Table) =>
    `<h2>${html(title)}</h2><table><thead><tr>${head.map((cell) => `<th scope="col">${html(cell)}</th>`).join('')}</tr></thead><tbody>${rows
      .map((row) => `<tr>${row.map((cell) => `<td>${html(cell)}</td>`).join('')}</tr>`)
      .join('')}</tbody></table>${note ? `<p class="muted">${html(note)}</p>` : ''}`
  const tables = tablesOf(report)
  const [results, rest] = [
    tables.filter(({ title }) => !/^(Settings|To repeat)/.test(title)),
    tables.filter(({ title }) => /^(Settings|To repeat)/.test(title)),
  ]
  const samples = report.samples.map(
    (one) =>
      `<dl class="sample"><dt>Input</dt><dd><pre>${html(one.input)}</pre></dd><dt>Expected</dt><dd><pre>${html(one.expected)}</pre></dd><dt>Before training</dt><dd><pre>${html(one.before)}</pre></dd><dt>After training, <span class="${one.correct ? 'right' : 'wrong'}">${one.correct ? '✓ right' : '✗ not as expected'}</span></dt><dd><pre>${html(one.after)}</pre></dd></dl>`,
  )
  const { model } = report
  const curve = curveSvg(report.curve)
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta http-equiv="content-security-policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:"><title>${html(report.title)}</title><style>${CSS}</style></head><body><main>
<header><span>Run report</span><span>Thaw ${html(report.thawVersion)}</span></header>
<h1>${html(report.title)}</h1>
${report.question ? `<p class="lead"><b>Asked:</b> ${html(report.question)}</p>` : ''}
<p class="lead">${html(verdictOf(report))}</p>
${model ? `<figure>${stripSvg(model)}</figure><p class="muted">${html(model.trainable ? model.trainable.summary : 'every block')} trained, ${countWords(model.trainable?.parameters ?? model.parameters)} of ${countWords(model.parameters)} parameters</p>` : ''}
${results.map(table).join('\n')}
${curve ? `<h2>Loss, log scale</h2><figure>${curve}</figure>` : ''}
<h2>How it was made</h2><figure>${pictureOf(report.document, null, null, colour).svg}</figure>
${samples.length ? `<h2>Answers, worst first</h2>${samples.join('\n')}` : ''}
${rest.map(table).join('\n')}
<h2>What this does not show</h2>${LIMITS(report)
    .map((text) => `<p>${html(text)}</p>`)
    .join('')}
</main></body></html>
`
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replace(/\s*\n\s*/g, ' ')
const fence = (text: string): string => {
  const ticks = '`'.repeat(Math.max(3, ...[...text.matchAll(/`+/g)].map(([run]) => run.length + 1)))
  return `${ticks}\n${text}\n${ticks}`
}

/** The same as Markdown; the curve as numbers at a few steps. */
export function reportMarkdown(report: RunReport): string {
  const table = ({ title, head, rows, note }: Table) =>
    [
      `## ${title}`,
      '',
      `| ${head.join(' | ')} |`,
      `|${head.map(() => '---|').join('')}`,
      ...rows.map((row) => `| ${row.map(cell).join(' | ')} |`),
      ...(note ? ['', note] : []),
      '',
    ].join('\n')
  const losses = report.curve.filter((point) => point.loss !== undefined)
  const shown = losses.filter((_, i) => i % Math.max(1, Math.floor(losses.length / 10)) === 0 || i === losses.length - 1)
  const { model } = report
  return [
    `# ${report.title}`,
    '',
    ...(report.question ? [`**Asked:** ${report.question}`, ''] : []),
    verdictOf(report),
    '',
    ...(model
      ? [
          `${model.trainable ? model.trainable.summary : 'Every block'} trained, ${countWords(model.trainable?.parameters ?? model.parameters)} of ${countWords(model.parameters)} parameters.`,
          '',
        ]
      : []),
    ...(shown.length > 1
      ? [
          table({
            title: 'Loss',
            head: ['Step', 'Loss'],
            rows: shown.map((point) => [String(point.step ?? ''), round(point.loss as number, 4)]),
          }),
        ]
      : []),
    ...tablesOf(report).map(table),
    ...(report.samples.length ? ['## Answers, worst first', ''] : []),
    ...report.samples.map((one) =>
      [
        'Input',
        fence(one.input),
        'Expected',
        fence(one.expected),
        'Before training',
        fence(one.before),
        `After training, ${one.correct ? 'right' : 'not as expected'}`,
        fence(one.after),
        '',
      ].join('\n\n'),
    ),
    '## What this does not show',
    '',
    ...LIMITS(report).map((text) => `- ${text}`),
    '',
  ].join('\n')
}
