import type { Row } from './use-rows'

/** The first words of a row, for a list. */
export function firstWords(row: Row | undefined): string {
  if (!row) return ''
  const messages = Array.isArray(row.messages) ? (row.messages as { role?: string; content?: unknown }[]) : null
  const said = messages
    ? (messages.find((message) => message.role === 'user') ?? messages[0])?.content
    : (row.prompt ?? row.text ?? Object.entries(row).find(([name, value]) => name !== 'id' && typeof value === 'string')?.[1])
  const text =
    typeof said === 'string'
      ? said
      : Array.isArray(said)
        ? String((said.at(-1) as { content?: unknown } | undefined)?.content ?? '')
        : JSON.stringify(row)
  return text.slice(0, 200).replaceAll(/\s+/g, ' ')
}
