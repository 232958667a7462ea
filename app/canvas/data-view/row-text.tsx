import type { Row } from './use-rows'

/** A row as it is stored, a field a paragraph. */
export function RowAsText({ row }: { row: Row | undefined }) {
  if (!row) return <p className="late muted p-4">Reading the row</p>
  const messages = Array.isArray(row.messages) ? (row.messages as { role?: unknown; content?: unknown }[]) : null
  const said = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value, null, 2))
  const fields: [string, unknown][] = messages
    ? [
        ...messages.map((message): [string, unknown] => [String(message.role ?? 'message'), message.content]),
        ...Object.entries(row).filter(([name]) => name !== 'messages' && name !== 'id'),
      ]
    : Object.entries(row).filter(([name]) => name !== 'id')
  return (
    <dl className="dv-text">
      {fields.map(([name, value], i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: two messages may have one role
        <div key={i}>
          <dt>{name}</dt>
          <dd>{said(value)}</dd>
        </div>
      ))}
    </dl>
  )
}
