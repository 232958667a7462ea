import { describe, expect, test } from 'vitest'
import { seeded } from '../../analysis/random'
import type { RowTokens } from '../../nodes/_kit/context'
import type { DatasetHandle } from '../../nodes/_kit/ports'
import { Report } from '../../nodes/_kit/report'
import { checkData } from '../../nodes/check-data'
import { cleanData } from '../../nodes/clean-data'
import { handleOf, headerOf, memoryContext } from './kit'

type Row = { id: string } & Record<string, unknown>
const lines = (rows: readonly object[]) => rows.map((r) => `${JSON.stringify(r)}\n`).join('')
const pair = (id: string, prompt: string, completion: string, columns?: Record<string, unknown>): Row => ({
  id,
  prompt,
  completion,
  ...(columns && { columns }),
})
/** Distinct questions of twenty words. */
const question = (n: number) => {
  const r = seeded(n + 1)
  return Array.from({ length: 20 }, () => `word${r.below(900)}`).join(' ')
}

function kit(engine: Parameters<typeof memoryContext>[0] = {}) {
  const memory = memoryContext(engine)
  const data = async (rows: readonly Row[], more: Partial<DatasetHandle> = {}): Promise<DatasetHandle> => {
    const artifact = await memory.ctx.artifacts.put(lines(rows))
    return {
      artifact,
      rows: rows.length,
      format: 'prompt_completion',
      columns: [],
      name: 'rows.jsonl',
      split: 'all',
      source: artifact,
      chars: { mean: 100, max: 200 },
      ...more,
    }
  }
  const reportOf = async (handle: { artifact: string }) => Report.parse(JSON.parse(await memory.ctx.artifacts.readText(handle.artifact)))
  return { ...memory, data, reportOf }
}

const clean = Array.from({ length: 40 }, (_, i) => pair(`r${i}`, question(i), i % 2 ? 'yes' : 'no'))

describe('check-data', () => {
  const check = async (k: ReturnType<typeof kit>, inputs: Record<string, Row[]>, params: Record<string, unknown> = {}, model = false) => {
    const handles = Object.fromEntries(
      await Promise.all(Object.entries(inputs).map(async ([name, rows]) => [name, await k.data(rows)] as const)),
    )
    const out = await checkData.run({
      params: checkData.params.parse(params),
      inputs: { ...(handles as { data: DatasetHandle }), ...(model && { model: handleOf(headerOf('tiny')) }) },
      ctx: k.ctx,
    })
    return { out, report: await k.reportOf(out.report), findings: await k.rowsOf(out.findings) }
  }

  test('clean rows get a good verdict that says what was not looked for', async () => {
    const { report, findings, out } = await check(kit(), { data: clean })
    expect(findings).toEqual([])
    expect(report.verdict).toEqual({
      tone: 'good',
      text: 'Nothing was found in 40 rows; leaks were not looked for, since neither validation nor test is wired.',
      action: null,
    })
    expect(out.report.verdict).toEqual(report.verdict)
    expect(report.sections[0]?.bars?.map((b) => b.label)).not.toContain('Leakage between splits')
  })

  test('SCI-80: a leak is the gravest finding: where, from where, and one thing to do', async () => {
    const { report, findings } = await check(kit(), {
      data: [...clean, pair('d', clean[3]?.prompt as string, 'no')],
      validation: [
        pair('v1', question(3).toUpperCase(), 'yes'),
        pair('v2', 'something else entirely and quite different from the rest', 'no'),
      ],
    })
    expect(report.verdict).toMatchObject({
      tone: 'bad',
      text: expect.stringContaining('1 held-out row of 2 (50 %)'),
      action: expect.stringContaining('Clean data'),
    })
    expect(findings[0]).toMatchObject({
      check: 'leakage',
      effect: 'stops_score',
      part: 'validation',
      row: 'v1',
      line: 1,
      other_part: 'training',
      other_row: 'r3',
    })
    expect(findings.map((f) => f.check)).toContain('contradiction')
  })

  test('SCI-82, SCI-90: personal data is named by kind and place; no value reaches log, report or table', async () => {
    const k = kit()
    const secret = ['anna.miller@post.example', '+49 30 90182034', 'DE89 3704 0044 0532 0130 00', '4111 1111 1111 1111']
    const { report, findings, out } = await check(k, {
      data: [...clean, ...secret.map((s, i) => pair(`p${i}`, `Please write to ${s} about order ${i} of the customer`, 'done'))],
    })
    expect(findings.filter((f) => f.check === 'personal_data').map((f) => String(f.detail).split(',').slice(1).join())).toEqual([
      ' prompt, characters 17 to 40',
      ' prompt, characters 17 to 31',
      ' prompt, characters 17 to 43',
      ' prompt, characters 17 to 35',
    ])
    const said = [JSON.stringify(report), await k.ctx.artifacts.readText(out.findings.artifact), ...k.logs.map((l) => l.text)].join('\n')
    for (const value of secret) expect(said).not.toContain(value)
    expect((await check(kit(), { data: [pair('p', 'mail a@b.de', 'x')] }, { personal_data: false })).findings).toEqual([])
  })

  test('F-41, F-42, F-43, F-47: with a model, the tokens that training will see', async () => {
    const row = (more: Partial<RowTokens> = {}): RowTokens => ({
      length: 50,
      trained: 5,
      endTrained: true,
      doubleStart: false,
      error: null,
      ...more,
    })
    const k = kit({
      tokens: async () => [
        row({ endTrained: false }),
        row({ length: 2000 }),
        row({ trained: 0 }),
        row({ doubleStart: true }),
        row({ error: 'no template' }),
        ...clean.slice(5).map(() => row()),
      ],
    })
    const { report, findings } = await check(k, { data: clean }, { max_length: 100 }, true)
    expect(findings.map((f) => [f.check, f.row, f.detail])).toEqual([
      ['not_trainable', 'r4', 'no template'],
      ['nothing_trains', 'r2', 'no token of this row trains'],
      ['too_long', 'r1', '2,000 tokens, 100 fit'],
      ['end_not_trained', 'r0', 'the token that ends the answer does not train'],
      ['two_start_tokens', 'r3', 'two start tokens'],
    ])
    expect(report.sections.at(-1)?.text).toMatch(
      /^3,900 tokens, of which 5 % train\. Rows have 50 to 2000 tokens.*trains in 38 of 40 rows\.$/,
    )
    expect(report.verdict).toMatchObject({ tone: 'bad', text: '2 rows of 40 cannot be trained on with this model.' })
  })

  test('before it runs: cost, card, and a column that is not there', () => {
    const facts = {
      name: 'x',
      rows: 1000,
      format: 'prompt_completion' as const,
      columns: ['a'],
      split: 'all' as const,
      chars: { mean: 500, max: 900 },
      origin: 'd',
    }
    const inferred = checkData.infer?.({
      params: checkData.params.parse({ group_column: 'b' }),
      inputs: { data: { kind: 'dataset', facts } },
      node: 'n',
    })
    expect(inferred?.estimate?.seconds).toBe(2)
    expect(inferred?.card?.map((c) => c.value)).toEqual(['1,000', 'need a validation or test wire', 'need a model wire'])
    expect(inferred?.problems).toMatchObject([{ code: 'no_such_column', fix: { params: { group_column: '' } } }])
  })

  test('A-6: nothing to check and unknown columns are refused by name', async () => {
    await expect(check(kit(), { data: [] })).rejects.toMatchObject({ code: 'no_rows' })
    await expect(check(kit(), { data: clean }, { group_column: 'nope' })).rejects.toMatchObject({
      code: 'no_such_column',
      param: 'group_column',
    })
  })
})

describe('clean-data', () => {
  const mixed: Row[] = [
    ...clean,
    pair('exact', ` ${question(1).toUpperCase()}`, 'yes'),
    pair('near', `${question(2).replace(/word/, 'amount')}`, 'no'),
    pair('empty', 'what now then', ' '),
    pair('contra', question(5), 'no'),
    pair('contra3', question(6), 'yes'),
    pair('contra2', question(6), 'no'),
    pair('mail', 'Answer the letter of a.b@post.example please, it is from a.b@post.example', '{"from": "a.b@post.example"}', {
      kept: 'a.b@post.example',
    }),
    pair('held', 'a question that is in the test too, word for word', 'x'),
  ]
  const run = async (params: Record<string, unknown> = {}, rows: Row[] = mixed) => {
    const k = kit()
    const inputs = {
      data: await k.data(rows, { columns: ['kept'] }),
      test: await k.data([pair('t', 'A question that is in the test too, word for word!', 'y')]),
    }
    const out = await cleanData.run({ params: cleanData.params.parse(params), inputs, ctx: k.ctx })
    return {
      ...k,
      inputs,
      out,
      kept: await k.rowsOf(out.data),
      removed: await k.rowsOf(out.removed),
      changes: await k.rowsOf(out.changes),
      report: await k.reportOf(out.report),
    }
  }

  test('every fix by its default: what goes, why, and what stays', async () => {
    const { kept, removed, changes, report, out } = await run()
    const tie = 'Contradictions: one of 2 rows that ask the same and answer differently'
    expect(removed.map((r) => [r.id, (r.columns as { removed_because: string }).removed_because])).toEqual([
      ['r5', tie],
      ['exact', 'Exact duplicates: the same words as an earlier row'],
      ['near', expect.stringMatching(/^Near duplicates: nearly an earlier row, similarity 0\.\d\d$/)],
      ['empty', 'Empty answers: no answer to train on'],
      ['contra', tie],
      ['contra3', 'Contradictions: answered otherwise in 2 of 3 rows'],
      ['contra2', 'Exact duplicates: the same words as an earlier row'],
      ['held', 'Leakage between splits: gives away a held-out row (same prompt)'],
    ])
    expect(kept.length + removed.length).toBe(mixed.length)
    expect(kept.at(-1)).toEqual({
      id: 'mail',
      prompt: 'Answer the letter of [e-mail 1] please, it is from [e-mail 1]',
      completion: '{"from": "[e-mail 1]"}',
      columns: { kept: 'a.b@post.example' },
    })
    expect(changes.find((c) => c.row === 'mail')).toMatchObject({ fix: 'personal_data', action: 'changed', detail: 'e-mail replaced' })
    expect(JSON.stringify(changes)).not.toContain('post.example')
    expect(report.verdict.text).toMatch(/^Left out \d+ rows of 48 \(\d+ %\) and changed 1\.$/)
    expect(out.data).toMatchObject({ rows: kept.length, format: 'prompt_completion', split: 'all' })
  })

  test('reversible: what stayed and what went are the rows that came in', async () => {
    const { kept, removed } = await run({ personal_data: 'keep' })
    const back = [...kept, ...removed].map((row) => {
      const { removed_because: _, ...columns } = (row.columns ?? {}) as Record<string, unknown>
      const { columns: __, ...rest } = row
      return Object.keys(columns).length > 0 ? { ...rest, columns } : rest
    })
    const order = new Map(mixed.map((r, i) => [r.id, i]))
    expect(back.sort((a, b) => (order.get(a.id as string) ?? 0) - (order.get(b.id as string) ?? 0))).toEqual(mixed)
  })

  test('preview changes nothing and lists the same rows', async () => {
    const preview = await run({ preview: true })
    const real = await run()
    expect(preview.out.data.artifact).toBe(preview.inputs.data.artifact)
    expect(preview.removed).toEqual([])
    expect(preview.changes.map((c) => [c.row, c.fix])).toEqual(real.changes.map((c) => [c.row, c.fix]))
    expect(new Set(preview.changes.map((c) => c.action))).toEqual(new Set(['would be removed', 'would be changed']))
    expect(preview.report.verdict.text).toMatch(/^Would leave out/)
  })

  test('nothing happens that was not chosen', async () => {
    const keep = Object.fromEntries(
      ['leakage', 'empty_target', 'truncated_target', 'exact_duplicate', 'near_duplicate', 'contradiction', 'personal_data'].map((fix) => [
        fix,
        'keep',
      ]),
    )
    const { out, inputs, report } = await run(keep)
    expect(out.data.artifact).toBe(inputs.data.artifact)
    expect(report.verdict).toEqual({ tone: 'good', text: 'All 48 rows stay as they are.', action: null })
  })

  test('repeats count as votes before they go, so the majority keeps its answer; personal data can cost the row', async () => {
    const rows = ['a', 'b', 'c'].map((id, i) => pair(id, 'Which colour does the old door have?', i === 1 ? 'blue' : 'red'))
    const { removed } = await run({}, rows)
    expect(removed.map((r) => r.id)).toEqual(['b', 'c'])
    expect((await run({ personal_data: 'drop' })).removed.map((r) => r.id)).toContain('mail')
  })

  test('A-6: a cleaning that leaves nothing is refused with the counts', async () => {
    await expect(run({}, [pair('a', 'q', ' ')])).rejects.toMatchObject({ code: 'no_rows_left', got: 'Empty answers: 1' })
  })
})
