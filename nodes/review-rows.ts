import * as z from 'zod'
import { datasetFacts, putRows, putTable, tableFacts } from './_kit/dataset'
import { defineNode } from './_kit/define-node'
import { NodeError } from './_kit/node-error'
import { putReport } from './_kit/report'
import { plural } from './_kit/words'

const COLUMNS = ['row', 'action', 'before', 'after'] as const

export const reviewRows = defineNode({
  type: 'review-rows',
  title: 'Review rows',
  summary: 'Keeps, corrects or leaves out single rows as you decide, and gives out the new version of the data.',
  help: `What the finding nodes suspect, you decide here, row by row. Find label errors, Find suspects and Check data name each row by its **id**; write that id under **Leave out**, or under **Correct** as \`id = right answer\`.

All other rows pass unchanged, so that the data that comes out is a new version of the data that went in: the decisions are part of the pipeline, can be undone by removing a line, and are used again when earlier nodes run anew. **Changes** lists what was done, with the answer before and after.

An id that no row has is an error: most likely the data changed since you read the list.`,
  group: 'Data',
  icon: 'review-rows',
  tags: ['correct', 'relabel', 'manual', 'decide', 'accept', 'reject', 'fix', 'human', 'annotate', 'version'],
  params: z.strictObject({
    corrections: z
      .array(z.string().regex(/^\s*[^=\s][^=]*=/, 'must be id = right answer'))
      .max(100_000)
      .default([])
      .meta({ title: 'Correct', description: 'One row each: its id, an equals sign, and the right answer.' }),
    leave_out: z
      .array(z.string().min(1).max(300))
      .max(100_000)
      .default([])
      .meta({ title: 'Leave out', description: 'Ids of rows that must not be trained on, one each.' }),
  }),
  inputs: { data: { kind: 'dataset', title: 'Data', description: 'The rows that were looked at.' } },
  outputs: {
    data: { kind: 'dataset', title: 'Data', description: 'The new version: corrected, without what was left out.' },
    changes: { kind: 'dataset', title: 'Changes', description: 'A table: every decision with the answer before and after.' },
    report: { kind: 'report', title: 'Report', description: 'How many rows were corrected and left out.' },
  },
  purity: 'deterministic',
  resource: 'light',
  infer({ params, inputs }) {
    const data = datasetFacts(inputs.data)
    return {
      outputs: {
        ...(data && {
          data: {
            kind: 'dataset' as const,
            facts: { ...data, rows: data.rows === null ? null : Math.max(0, data.rows - new Set(params.leave_out).size) },
          },
        }),
        changes: { kind: 'dataset', facts: tableFacts(data, 'changes', COLUMNS) },
        report: { kind: 'report', facts: { name: 'Review rows' } },
      },
      estimate: { seconds: 1, memoryBytes: 0, diskBytes: Math.round((data?.rows ?? 0) * (data?.chars?.mean ?? 0)) },
      card: [
        { label: 'Corrected', value: String(params.corrections.length) },
        { label: 'Left out', value: String(params.leave_out.length) },
      ],
    }
  },
  async run({ params, inputs, ctx }) {
    const { parseJsonl, packRows, applyReview, answerOf } = await import('../analysis/index')
    const rows = parseJsonl(await ctx.artifacts.readText(inputs.data.artifact))
    const reviewed = applyReview(
      rows,
      [
        ...params.corrections.map((line) => {
          const at = line.indexOf('=')
          return { row: line.slice(0, at).trim(), action: 'correct' as const, answer: line.slice(at + 1).trim() }
        }),
        ...params.leave_out.map((row) => ({ row: row.trim(), action: 'drop' as const })),
      ],
      answerOf,
    )
    if (reviewed.unknown.length > 0)
      throw new NodeError('no_such_row', `${plural(reviewed.unknown.length, 'decision')} name a row that is not there.`, {
        param: params.leave_out.some((row) => reviewed.unknown.includes(row.trim())) ? 'leave_out' : 'corrections',
        expected: 'ids of rows of this data',
        got: reviewed.unknown.slice(0, 3).join(', '),
        fix: 'Read the list of the finding node again: the data has changed since.',
      })
    if (reviewed.rows.length === 0)
      throw new NodeError('no_rows_left', 'Every row is left out.', {
        param: 'leave_out',
        expected: 'at least one row that stays',
        got: 'none',
      })
    const corrected = reviewed.changes.filter((c) => c.action === 'correct').length
    const report = await putReport(ctx, {
      title: 'Review rows',
      verdict: {
        tone: 'good',
        text:
          reviewed.changes.length === 0
            ? `No decision yet: ${plural(rows.length, 'row')} pass unchanged.`
            : `${plural(corrected, 'row')} corrected, ${plural(reviewed.dropped.length, 'row')} left out, ${plural(reviewed.rows.length, 'row')} come out.`,
        action: reviewed.changes.length === 0 ? 'Read the suspects, then write your decisions into this node.' : null,
      },
      facts: [
        { label: 'Rows before, after', value: `${rows.length}, ${reviewed.rows.length}` },
        { label: 'Decisions without effect', value: String(params.corrections.length + params.leave_out.length - reviewed.changes.length) },
        { label: 'Data', value: inputs.data.artifact.slice(0, 12) },
      ],
      sections: [],
    })
    return {
      data: await putRows(ctx, inputs.data, packRows(reviewed.rows)),
      changes: await putTable(ctx, inputs.data, packRows(reviewed.changes.map((c, i) => ({ id: `c${i + 1}`, ...c }))), COLUMNS, 'changes'),
      report,
    }
  },
})
