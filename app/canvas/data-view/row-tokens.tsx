'use client'
import type { TokenView } from '../../../nodes/_kit/tokens'
import { faultOf } from '../../fault'
import { Button } from '../../ui/button'
import { Notice } from '../../ui/notice'
import { count, plural } from '../../ui/words'
import { useActions } from '../actions-context'
import { useDerived } from '../context'
import { limitFor, type RowTokens, type Totals } from './counts'
import type { Reader } from './reader'
import { TokenFlow } from './token-flow'
import { useInspection } from './use-inspection'
import type { Row } from './use-rows'

/** What makes the tokens: a row's shape without its id and other columns. */
function question(row: Row): Record<string, unknown> | null {
  if (Array.isArray(row.messages)) return { messages: row.messages }
  if (row.prompt !== undefined && row.completion !== undefined) return { prompt: row.prompt, completion: row.completion }
  return typeof row.text === 'string' ? { text: row.text } : null
}

/** One row as tokens, and what is wrong with it as an example to learn from. */
export function RowAsTokens({
  row,
  reader,
  counts,
  totals,
}: {
  row: Row | undefined
  reader: Reader
  counts: RowTokens | null
  totals: Totals | null
}) {
  const actions = useActions()
  const asked = row ? question(row) : null
  const { data, error, isFetching } = useInspection<TokenView>(
    'tokens',
    asked ? { model: reader.model, rows: [asked], train_on: reader.trainOn } : null,
  )
  const context = useDerived((s) => {
    const facts = Object.values(s.nodes[reader.node]?.inputs ?? {}).find((f) => f?.kind === 'model')
    return facts?.kind === 'model' ? facts.facts.contextLength : null
  })
  if (error) {
    return (
      <Notice tone="error" title="The tokens could not be read" className="m-4">
        {faultOf(error).message} {faultOf(error).fix}
      </Notice>
    )
  }
  const [found] = data?.rows ?? []
  if (!found) return <p className="late muted p-4">{isFetching || !row ? 'Reading the tokens' : 'This row has nothing to read.'}</p>
  if (found.error) {
    return (
      <Notice tone="warning" title="This row cannot be written as tokens" className="m-4">
        {found.error}
      </Notice>
    )
  }
  const wanted = totals ? limitFor(totals.longest) : null
  return (
    <>
      <TokenFlow tokens={found.tokens} limit={counts?.long ? reader.maxLength : null} />
      {counts?.long && reader.trains && reader.maxLength !== null && totals ? (
        <Notice
          tone="error"
          className="m-4"
          title={`This row is longer than ${plural(reader.maxLength, 'token')}.`}
          actions={
            wanted !== null && (context === null || wanted <= context) ? (
              <Button
                size="sm"
                onClick={() =>
                  actions.fix({ kind: 'params', label: `Set the limit to ${wanted}`, node: reader.node, params: { max_length: wanted } })
                }
              >
                Set the limit to {count(wanted)}
              </Button>
            ) : null
          }
        >
          {'text' in (asked ?? {}) ? 'Training cuts it into pieces.' : 'Training leaves it out.'} {count(totals.flags.long)} of{' '}
          {plural(totals.rows, 'row')} are too long.
        </Notice>
      ) : found.trained === 0 ? (
        <Notice tone="warning" className="m-4" title="Nothing of this row is trained.">
          There is no answer in it. A training refuses such rows.
        </Notice>
      ) : found.endTrained ? null : (
        <Notice tone="warning" className="m-4" title="The end token is not trained.">
          From rows like this the model does not learn where to stop.
        </Notice>
      )}
    </>
  )
}
